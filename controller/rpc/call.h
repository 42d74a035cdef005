// Internal to this folder: a call of a session. Its first part is for any thread, the rest for the
// connection's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "controller/rpc/framing.h"
#include "controller/rpc/mailbox.h"
#include "controller/rpc/server.h"

namespace sluice::rpc {

class Session;

class SessionCall final : public Call, public std::enable_shared_from_this<SessionCall> {
 public:
  SessionCall(Session* its_session, std::int32_t its_id, std::shared_ptr<const Peer> peer,
              std::shared_ptr<Mailbox> mailbox, std::size_t most_request_bytes)
      : peer_(std::move(peer)),
        mailbox_(std::move(mailbox)),
        session(its_session),
        id(its_id),
        reader(most_request_bytes) {}

  const Peer& peer() const override { return *peer_; }
  void Send(std::shared_ptr<const std::string> message) override;
  void Finish(base::Status status) override;

 private:
  const std::shared_ptr<const Peer> peer_;
  const std::shared_ptr<Mailbox> mailbox_;

 public:
  // What the peer's header fields say; gone once the call is routed.
  struct Head {
    std::string method, path, content_type, timeout;
    std::size_t bytes = 0;
  };

  Session* session;  // nullptr: it has ended
  const std::int32_t id;
  std::unique_ptr<Head> head = std::make_unique<Head>();
  std::shared_ptr<Handler> handler;  // nullptr: not routed, refused, or ended
  MessageReader reader;
  bool half_closed = false;

  std::shared_ptr<const std::string> sending;
  Prefix prefix{};
  std::size_t sent = 0;   // of prefix and message
  bool answered = false;  // header fields were submitted
  std::optional<base::Status> last_words;
  bool trailed = false;  // and they, too

  // MonoTime::max(): none.
  base::MonoTime request_by = base::MonoTime::max();  // the first message
  base::MonoTime answer_by = base::MonoTime::max();   // the peer's own time limit
  base::MonoTime cut_at = base::MonoTime::max();      // after last_words
};

}  // namespace sluice::rpc
