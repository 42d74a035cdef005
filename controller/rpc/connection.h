// Internal to this folder: a socket, TLS over it and the session within. Thread rule: its loop's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/rpc/session.h"

struct ssl_ctx_st;
struct ssl_st;

namespace sluice::rpc {

class Connection {
 public:
  // Takes `fd`, which does not block. Enters itself in `touched` when there is something to write.
  Connection(int fd, ssl_ctx_st* tls, Session::Host host, std::vector<Connection*>& touched,
             base::MonoTime handshake_by);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Reads what is there, of its own turn. `buffer` and `scratch` are the loop's, for all
  // connections.
  void Read(std::string& buffer);
  // Writes what there is to write, until the peer takes no more.
  void Write(std::string& scratch);
  void Leave();
  void Expire();
  void Hurry(base::MonoTime handshake_by);  // an earlier end of the handshake

  int fd() const { return fd_; }
  bool handshaking() const { return session_ == nullptr; }
  base::MonoTime began() const { return began_; }
  bool dead() const { return dead_; }
  bool blocked() const { return blocked_; }  // waits until the socket can be written
  base::MonoTime Due() const;                // when to call Expire

 private:
  void Shake();
  bool GoesOn(int result);  // after a TLS call: false, and dead, when it is the end
  void Cut(const base::Status& why);

  const int fd_;
  ssl_st* const tls_;
  Session::Host host_;
  const base::MonoTime began_;
  base::MonoTime handshake_by_;
  std::unique_ptr<Session> session_;  // after the handshake
  std::string unsent_;                // taken from the session, not by the socket
  base::MonoTime waits_since_;        // for the peer to read; max(): it does not
  bool blocked_ = false;
  bool dead_ = false;
};

}  // namespace sluice::rpc
