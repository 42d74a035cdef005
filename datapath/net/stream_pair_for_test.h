// Two ends of a connection on one loop, over every kind of poller and of socket.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <tuple>

#include "datapath/net/listener.h"
#include "datapath/net/stream.h"

namespace sluice::net {

// Runs the loop until `done`; false when that takes long.
inline bool RunUntil(EventLoop& loop, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    loop.RunOnce(std::chrono::milliseconds(10));
  }
  return true;
}

// Records what it is told; each hook may be replaced.
struct Recorder : StreamHandler {
  void OnConnected() override {
    connected = true;
    if (on_connected) on_connected();
  }
  void OnReadable() override {
    readable = true;
    if (on_readable) on_readable();
  }
  void OnWritable() override {
    if (on_writable) on_writable();
  }
  void OnDeadline() override {
    ++deadlines;
    if (on_deadline) on_deadline();
  }
  void OnBroken(const base::Status& why) override {
    broken = why;
    if (on_broken) on_broken();
  }
  bool connected = false;
  bool readable = false;
  int deadlines = 0;
  base::Status broken;
  std::function<void()> on_connected, on_readable, on_writable, on_deadline, on_broken;
};

using ring::PollerKind;
using OverWhat = std::tuple<const char*, PollerKind>;

class StreamPair : public testing::TestWithParam<OverWhat> {
 protected:
  void SetUp() override {
    const PollerKind kind = std::get<PollerKind>(GetParam());
    const ring::PollerChoice choice = ring::ChoosePoller(kind);
    if (choice.kind != kind) GTEST_SKIP() << choice.why;
    auto loop = EventLoop::Create(clock_, kind);
    ASSERT_TRUE(loop.ok());
    loop_ = std::move(loop).value();
  }
  Address ListenAddress() {
    std::string text = std::get<const char*>(GetParam());
    if (text == "unix") {
      char directory[] = "/tmp/sluice-net-XXXXXX";
      directory_ = ::mkdtemp(directory);
      text = "unix:" + directory_ + "/s.sock";
    }
    return *Address::Parse(text);
  }
  // A connected pair: client_ (by Connect) and server_ (by the listener).
  void Pair() {
    auto listener = Listener::Listen(
        *loop_, ListenAddress(), {},
        [this](UniqueFd fd, const Address& peer) {
          accepted_fd_ = fd.get();
          auto stream = AdoptSocket(*loop_, std::move(fd), peer, {}, &server_events_);
          ASSERT_TRUE(stream.ok());
          server_ = std::move(stream).value();
        },
        [](const base::Status& error) { FAIL() << error.ToString(); });
    ASSERT_TRUE(listener.ok()) << listener.status().ToString();
    listener_ = std::move(listener).value();
    auto client =
        Connect(*loop_, listener_->bound(), OptionsTowards(listener_->bound()), &client_events_);
    ASSERT_TRUE(client.ok()) << client.status().ToString();
    client_ = std::move(client).value();
    ASSERT_TRUE(Until([this] { return client_events_.connected && server_ != nullptr; }));
  }
  void TearDown() override {
    client_.reset();
    server_.reset();
    listener_.reset();
    if (!directory_.empty()) ::rmdir(directory_.c_str());
  }
  bool Until(const std::function<bool()>& done) { return RunUntil(*loop_, done); }

  base::RealClock clock_;
  std::unique_ptr<EventLoop> loop_;
  Recorder client_events_, server_events_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Stream> client_, server_;
  int accepted_fd_ = -1;
  std::string directory_;
};

inline std::string NameOf(const testing::TestParamInfo<OverWhat>& over) {
  const std::string form = std::get<const char*>(over.param);
  return std::string(form == "unix"   ? "Unix"
                     : form[0] == '[' ? "Ipv6"
                                      : "Ipv4") +
         "_" + ring::PollerKindName(std::get<PollerKind>(over.param));
}

inline constexpr PollerKind kPollers[] = {PollerKind::kEpoll, PollerKind::kIoUring};

}  // namespace sluice::net
