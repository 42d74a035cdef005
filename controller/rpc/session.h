// Internal to this folder: HTTP/2 and gRPC of one connection, as a machine that takes the peer's
// bytes and gives those for it. No socket, no TLS, no thread: fuzzed as it is (session_fuzz.cc).
// Frames and header compression are nghttp2's, which nothing else of the product includes.
//
// Invariants:
//  1. A handler's OnEnd runs once, and nothing of it after.
//  2. What a peer sends is kept only as far as kMaxHeadBytes and most_request_bytes of kCallsAtOnce
//     calls go, and while the server's Budget has room; a method sees whole messages only.
//  3. A message being sent is the caller's own buffer until its frame is written: never copied to
//  wait.
//
// Thread rule: the connection's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/rpc/budget.h"
#include "controller/rpc/limits.h"
#include "controller/rpc/mailbox.h"
#include "controller/rpc/server.h"

struct nghttp2_session;

namespace sluice::rpc {

class SessionCall;

// What a server offers; fixed once it has started.
struct Service {
  std::map<std::string, Method, std::less<>> methods;
  std::size_t most_request_bytes = 0;
  std::size_t most_answer_bytes = 0;
  std::chrono::seconds most_age{0};
};

class Session {
 public:
  // What a connection has of its server; all outlive the session.
  struct Host {
    const Service& service;
    Budget& budget;
    base::Clock& clock;
    const std::shared_ptr<Mailbox>& mailbox;
    std::function<void()> has_news;  // Take has something to give
  };
  Session(Host host, std::shared_ptr<const Peer> peer);
  ~Session();  // ends the calls that are left
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // From the peer. After an error of this or of Take the connection must be cut.
  base::Status Feed(std::string_view bytes);
  // Appends what is for the peer until `out` holds `about` bytes, a frame more at most.
  base::Status Take(std::string& out, std::size_t about);
  // Takes no new calls; over once those under way are.
  void Leave();
  bool over() const;  // all is said
  bool message_waits() const;

  base::MonoTime Due() const;  // when to call Expire; MonoTime::max(): never
  void Expire();

  // For SessionCall.
  void Send(SessionCall& call, std::shared_ptr<const std::string> message);
  void Finish(SessionCall& call, base::Status status);

 private:
  friend struct Frames;  // nghttp2's callbacks
  SessionCall* Find(std::int32_t id) const;
  bool Begin(std::int32_t id);
  void Route(SessionCall& call);
  void TakeData(SessionCall& call, std::string_view bytes);
  void HalfClose(SessionCall& call);
  void End(SessionCall& call);
  bool Calm();  // false: too many frames that carry nothing
  void SubmitStatus(SessionCall& call, const base::Status& status, bool trailers);

  Host host_;
  const std::shared_ptr<const Peer> peer_;
  nghttp2_session* http2_ = nullptr;
  std::vector<std::shared_ptr<SessionCall>> calls_;
  std::string* out_ = nullptr;  // during Take
  std::size_t out_about_ = 0;
  const base::MonoTime begun_;
  base::MonoTime idle_since_;
  bool leaving_ = false;
  int idle_frames_ = kIdleFrames;  // that it may send at once now
  base::MonoTime frames_at_;       // when that was so
};

}  // namespace sluice::rpc
