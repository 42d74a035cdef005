// What the tests of the client share: a recorder of what an exchange tells, and the client's
// fixture.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "datapath/origin/client.h"
#include "datapath/origin/imposter_for_test.h"

namespace sluice::origin::testing {

inline std::string Answer(int status, const std::string& body, const std::string& extra = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + extra + "\r\n" + body;
}

struct Recorder : ResponseHandler {
  void OnHead(const http1::Response& response) override {
    status = response.status;
    etag = response.headers.Get(http1::HeaderId::kEtag);
    if (on_head) on_head();
  }
  std::span<char> BodyBuffer(std::uint64_t left) override {
    if (direct.empty()) return {};
    EXPECT_LE(left + body.size(), direct.size());
    return std::span<char>(direct).subspan(body.size());
  }
  void OnData(std::span<const char> bytes) override {
    in_place = in_place && bytes.data() == direct.data() + body.size();
    body.append(bytes.data(), bytes.size());
    if (on_data) on_data();
  }
  void OnSendable() override {
    while (sent < upload.size()) {
      const std::size_t taken = exchange->Send(std::span<const char>(upload).subspan(sent));
      if (taken == 0) return;
      sent += taken;
    }
  }
  void OnDone(const base::Status& result) override {
    EXPECT_FALSE(done);
    done = true;
    outcome = result;
    if (on_done) on_done();
  }
  std::unique_ptr<Exchange> exchange;
  int status = 0;
  std::string etag, body, upload;
  std::size_t sent = 0;
  std::vector<char> direct;
  bool in_place = true;
  bool done = false;
  base::Status outcome;
  std::function<void()> on_head, on_data, on_done;
};

class ClientTest : public ::testing::Test {
 protected:
  void Connect(const std::string& url, std::shared_ptr<TlsContext> tls = nullptr) {
    options_.name = "test";
    options_.endpoint = *Endpoint::Parse(url);
    options_.region = "us-east-1";
    options_.access_key_id = "AK";
    options_.secret_access_key = "secret";
    options_.tls = std::move(tls);
    client_ = Client::Create(*loop_, resolver_, options_, circuit_);
  }
  static Request Get(const std::string& key) {
    Request request;
    request.bucket = "b";
    request.key = key;
    return request;
  }
  void Start(Recorder& recorder, Request request) {
    recorder.exchange = client_->Start(std::move(request), &recorder);
    EXPECT_FALSE(recorder.done);  // never from inside
  }
  bool Until(const std::function<bool()>& done) {
    const auto deadline = clock_.Mono() + std::chrono::seconds(kPatienceSeconds);
    while (!done()) {
      if (clock_.Mono() > deadline) return false;
      loop_->RunOnce(std::chrono::milliseconds(10));
    }
    return true;
  }
  void Run(Recorder& recorder, Request request) {
    Start(recorder, std::move(request));
    ASSERT_TRUE(Until([&] { return recorder.done; }));
  }
  // What a GET gives: "200 body" or the error's code.
  std::string Fetch(const std::string& key) {
    Recorder recorder;
    Run(recorder, Get(key));
    return recorder.outcome.ok() ? std::to_string(recorder.status) + " " + recorder.body
                                 : std::string(CodeName(recorder.outcome.code()));
  }

  base::RealClock clock_;
  std::unique_ptr<net::EventLoop> loop_ = *net::EventLoop::Create(clock_);
  net::Resolver resolver_{clock_};
  std::shared_ptr<Circuit> circuit_ = std::make_shared<Circuit>();
  ClientOptions options_;
  std::unique_ptr<Client> client_;
};

}  // namespace sluice::origin::testing
