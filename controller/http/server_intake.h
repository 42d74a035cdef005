// Connections of a server from their beginning to the end of a request's head. One thread reads
// them all as their bytes come, TLS handshakes included, so that no thread that answers waits for a
// client that is silent or sends a byte at a time. Internal to this folder.
//
// Invariants
//  1. Nothing here waits for one client; only `take` may, until there is a thread for a request.
//  2. At most kMaxServerWaiting connections wait: one more takes the place of the oldest.
//  3. A head is whole within kServerHeadTimeout, or its connection is closed.
//
// Thread rule: one thread runs it. Stop: Run returns when `stop` is triggered; the destructor
// closes what waits.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/http/connection.h"
#include "controller/http/request_parser.h"
#include "controller/http/server.h"
#include "controller/http/wait.h"

struct pollfd;
struct ssl_ctx_st;

namespace sluice::http {

class ServerIntake {
 public:
  struct Asked {
    std::unique_ptr<Connection> connection;
    RequestHead head;
    std::string body;  // what came of it with the head
  };
  using Take = std::function<void(Asked asked)>;
  // What to answer a request with that is not to be taken, from its head. Must not wait.
  using Refusal = std::function<std::optional<ServerResponse>(const RequestHead& head)>;

  // `tls`: nullptr: none. Both outlive this.
  ServerIntake(int listener, ssl_ctx_st* tls, Refusal refusal);
  ~ServerIntake();
  ServerIntake(const ServerIntake&) = delete;
  ServerIntake& operator=(const ServerIntake&) = delete;

  // Accepts, and gives each request to `take` when its head is whole. Refuses by itself, and reads
  // on for a while so that the client sees why: what ParseRequestHead and `refusal` refuse, and
  // heads that are too long.
  void Run(const WakeFd& stop, const Take& take);

 private:
  struct Waiting {
    std::unique_ptr<Connection> connection;
    base::MonoTime limit;  // then it is closed
    std::string bytes;
    bool refused = false;
    std::size_t drained = 0;  // bytes after it was refused
  };
  int UntilNextLimitMs() const;
  void AcceptSome(const WakeFd& stop, const Take& take);
  // Reads what has come. False: nothing is left to do here.
  bool Advance(Waiting& each, const Take& take);
  // The request, once its head is whole, is taken or refused. False: nothing is left to do here.
  bool TakeHead(Waiting& each, std::size_t head_bytes, const Take& take);
  void Refuse(Waiting& each, const base::Status& why) const;
  void Refuse(Waiting& each, const std::string& answer) const;

  const int listener_;
  ssl_ctx_st* const tls_;
  const Refusal refusal_;
  const WakeFd never_;
  std::list<Waiting> waiting_;  // the oldest first
  std::vector<pollfd> polled_;  // listener, stop, waiting_
};

}  // namespace sluice::http
