// A Server on loopback with origins by script, and a blocking client that signs.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <charconv>
#include <csignal>
#include <map>
#include <string>
#include <thread>

#include "datapath/http1/response.h"
#include "datapath/s3/sign.h"
#include "datapath/serve/server.h"
#include "datapath/testing/script_upstream.h"

namespace sluice::testing {

struct Answer {
  int status = 0;  // 0: the connection ended before a head
  std::map<std::string, std::string> headers;
  std::string body;
  bool whole = false;  // as long as Content-Length said
};

// One connection. Blocking, with a 20 s limit on each call.
class TestClient {
 public:
  explicit TestClient(const net::Address& address, int receive_buffer_bytes = 0) {
    fd_ = net::UniqueFd(::socket(address.family(), SOCK_STREAM, 0));
    if (receive_buffer_bytes > 0)
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(int));
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    SLUICE_CHECK(::connect(fd_.get(), address.get(), address.length()) == 0);
  }
  void SendRaw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server may have answered and closed
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Reads one answer; `method` HEAD has no body.
  Answer Receive(http1::Method method = http1::Method::kGet) {
    Answer answer;
    http1::ResponseParser parser;
    http1::ParseResult parsed;
    while ((parsed = parser.Parse(buffer_, method)).state == http1::ParseState::kNeedMore)
      if (!ReadMore()) return answer;
    if (parsed.state == http1::ParseState::kError) return answer;
    const http1::Response& head = parser.response();
    answer.status = head.status;
    for (const http1::Header& line : head.headers)
      answer.headers[std::string(line.name)] = line.value;
    const std::uint64_t length =
        head.body == http1::BodyKind::kLength ? head.content_length : std::uint64_t{0};
    buffer_.erase(0, parsed.consumed);
    while (buffer_.size() < length && ReadMore()) {
    }
    answer.body = buffer_.substr(0, length);
    answer.whole = answer.body.size() == length;
    buffer_.erase(0, answer.body.size());
    return answer;
  }
  bool ReadMore() {
    char bytes[64 << 10];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  // True once the server has ended the connection.
  bool Ended() { return buffer_.empty() && !ReadMore(); }
  int fd() const { return fd_.get(); }

 private:
  net::UniqueFd fd_;
  std::string buffer_;
};

class ServerRig : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kChunk = 64 << 10;
#ifdef SLUICE_THREAD_SANITIZED
  // It does not see that what a ring sends comes before what a test receives.
  static constexpr ring::PollerKind kPoller = ring::PollerKind::kEpoll;
#else
  static constexpr ring::PollerKind kPoller = ring::PollerKind::kAuto;
#endif

  static control::Config BaseConfig() {
    control::Config config;
    config.version = "v1";
    config.site = "lab";
    config.node = "n1";
    config.listeners = {{"127.0.0.1:0"}};
    config.threads = 2;
    config.cache.memory_bytes = 16 << 20;
    config.cache.chunk_bytes = kChunk;
    config.cache.metadata_ttl = std::chrono::hours(1);
    config.origins = {{.name = "lake", .endpoint = "http://127.0.0.1:1", .region = "us-east-1"}};
    config.mounts = {{"/data", "lake", "bucket", "in/"}, {"/other", "lake", "bucket", "other/"}};
    config.tenants = {
        {"falcon",
         {{"FALCON", "secret", ""}},
         {{"/data", control::kRead | control::kWrite | control::kDelete | control::kList}}},
        {"hawk", {{"HAWK", "secret2", ""}}, {{"/other", control::kRead}}}};
    return config;
  }

  void StartServer(control::Config config = BaseConfig()) {
    ::signal(SIGPIPE, SIG_IGN);  // as sluice-agent does: splice knows no MSG_NOSIGNAL
    config_ = std::make_shared<control::Config>(std::move(config));
    auto server =
        serve::Server::Create(config_, clock(),
                              {.upstream =
                                   [this](net::EventLoop& loop) {
                                     return std::make_unique<ScriptUpstream>(loop, origin_);
                                   },
                               .poller = kPoller});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
  }
  virtual base::Clock& clock() { return real_clock_; }
  void TearDown() override {
    origin_.Hold(false);
    server_.reset();
  }

  net::Address address() const { return server_->bound().front(); }
  TestClient NewClient() { return TestClient(address()); }

  // The head of a signed request of tenant falcon.
  std::string Head(std::string_view method, std::string_view path,
                   std::vector<s3::OutgoingHeader> headers = {}, std::string_view query = {},
                   std::optional<std::uint64_t> length = {},
                   std::string_view payload_hash = s3::kUnsignedPayload) {
    const std::string host = address().ToString();
    std::array<char, 4096> out;
    const std::string_view head =
        s3::WriteSignedHead({.method = method,
                             .host = host,
                             .path = path,
                             .query = query,
                             .headers = headers,
                             .payload_hash = payload_hash,
                             .content_length = length},
                            {"FALCON", "secret", "", "us-east-1"}, clock().Wall(), &keys_, out);
    SLUICE_CHECK(!head.empty());
    return std::string(head);
  }
  Answer Get(TestClient& client, std::string_view key,
             std::vector<s3::OutgoingHeader> headers = {}) {
    client.SendRaw(Head("GET", "/data/" + std::string(key), std::move(headers)));
    return client.Receive();
  }
  Answer Get(std::string_view key, std::vector<s3::OutgoingHeader> headers = {}) {
    TestClient client = NewClient();
    return Get(client, key, std::move(headers));
  }
  static std::string Body(std::size_t size, int seed) {
    std::string body(size, '\0');
    std::uint32_t x = static_cast<std::uint32_t>(seed) * 2654435761u + 1;
    for (std::size_t i = 0; i < size; i += 4) {
      x = x * 1664525u + 1013904223u;
      std::memcpy(body.data() + i, &x, std::min<std::size_t>(4, size - i));
    }
    return body;
  }
  template <typename Condition>
  static bool Until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  base::RealClock real_clock_;
  ScriptOrigin origin_;
  s3::SigningKeyCache keys_;
  control::ConfigPtr config_;
  std::unique_ptr<serve::Server> server_;
};

}  // namespace sluice::testing
