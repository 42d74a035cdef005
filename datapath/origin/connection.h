// One connection to an origin: carries one exchange at a time, kept between them.
//
// States: connecting → idle ⇄ busy → closed. In busy, writing (head, body) and reading (head, body)
// go on independently: an origin may answer before it has read everything.
// Invariants: 1. `user_` is set exactly in busy, but for a body being drained for nobody. 2. Every
// state has a deadline, but for a busy one whose user paused. 3. After each callback the connection
// looks whether it is still busy for the same user. 4. It is never destroyed inside its own
// methods: its owner buries it (OnClosed) and destroys it on a later turn. Thread rule: the loop's
// thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "datapath/http1/body.h"
#include "datapath/net/resolver.h"
#include "datapath/net/stream.h"
#include "datapath/origin/client.h"

namespace sluice::origin {

// The exchange, as its connection sees it. May call back into the connection.
class ConnectionUser {
 public:
  virtual ~ConnectionUser() = default;
  virtual void OnHead(const http1::Response& response) = 0;
  virtual std::span<char> BodyBuffer(std::uint64_t left) = 0;
  virtual void OnData(std::span<const char> bytes) = 0;
  virtual void OnSendable() = 0;
  virtual void OnFinished() = 0;  // the answer is complete; the connection is no longer the user's
  // `fresh`: the connection was made for this user; `answered`: a head had been given.
  virtual void OnFailed(const base::Status& why, bool fresh, bool answered) = 0;
};

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void OnUsable(class Connection* connection) = 0;  // connected, or idle again
  // `why` is set when it never came up.
  virtual void OnClosed(class Connection* connection, const base::Status& why) = 0;
  virtual std::span<char> Scratch() = 0;  // shared by the loop, used within one call
};

struct Job {
  ConnectionUser* user = nullptr;
  http1::Method method = http1::Method::kGet;
  std::string head;
  std::string_view body;           // whole, owned by the user; or
  std::uint64_t stream_bytes = 0;  // to come through Send()
};

class Connection final : public net::StreamHandler {
 public:
  Connection(net::EventLoop& loop, net::Resolver& resolver, const ClientOptions& options,
             ClientStats& stats, ConnectionOwner& owner);
  ~Connection() override;

  void Open();                               // once
  bool first_use() const { return fresh_; }  // no exchange has ended on it yet
  bool closed() const { return state_ == State::kClosed; }
  void Begin(Job job);  // in idle
  void SetPaused(bool paused);
  std::size_t Send(std::span<const char> bytes);
  // The user goes away: a short rest of its answer is drained, else the connection closes.
  void Detach();

  void OnConnected() override;
  void OnReadable() override;
  void OnWritable() override;
  void OnDeadline() override;
  void OnBroken(const base::Status& why) override;

 private:
  enum class State : std::uint8_t { kConnecting, kIdle, kBusy, kClosed };

  void Dial(base::StatusOr<std::vector<net::Address>> addresses);
  void WriteMore();
  void ReadMore();
  bool ReadHead();  // false: stop reading for now
  bool ReadBody();
  bool Feed(std::string_view bytes);
  void Finish();
  void Fail(const base::Status& why);
  void Close(const base::Status& why);
  void ArmDeadline();
  void PostRead();
  bool IsStreaming() const { return streamed_ < job_.stream_bytes; }
  bool IsHeadWritten() const { return written_ == job_.head.size() + job_.body.size(); }
  bool IsSent() const { return IsHeadWritten() && !IsStreaming(); }
  bool WaitsForUser() const {
    return IsHeadWritten() && IsStreaming() && !write_blocked_ && !answered_;
  }

  net::EventLoop& loop_;
  net::Resolver& resolver_;
  const ClientOptions& options_;
  ClientStats& stats_;
  ConnectionOwner& owner_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  State state_ = State::kConnecting;
  std::unique_ptr<net::Stream> stream_;
  net::Timer resolve_deadline_;
  bool fresh_ = true;

  // Of the exchange in hand:
  Job job_;
  ConnectionUser* user_ = nullptr;
  std::size_t written_ = 0;     // of head and whole body
  std::uint64_t streamed_ = 0;  // of stream_bytes
  bool write_blocked_ = false;
  bool answered_ = false;
  bool paused_ = false;
  bool reusable_ = false;
  bool read_posted_ = false;
  bool in_read_ = false;
  std::size_t drained_ = 0;
  std::uint64_t body_left_ = 0;  // with a known length
  http1::BodyKind body_kind_ = http1::BodyKind::kNone;
  http1::ResponseParser parser_;
  http1::BodyReader body_;
  std::unique_ptr<char[]> head_;  // kMaxHeadBytes, while busy
  std::size_t head_size_ = 0;
  std::size_t head_used_ = 0;  // parsed or fed
};

}  // namespace sluice::origin
