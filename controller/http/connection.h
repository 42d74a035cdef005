// One TCP or TLS connection: to a server, perhaps through a proxy, or from a client. Internal to
// this folder.
// Thread rule: one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/http/resolver.h"
#include "controller/http/tls_context.h"
#include "controller/http/url.h"
#include "controller/http/wait.h"

namespace sluice::http {

class Connection {
 public:
  struct Target {
    Url server;
    Url proxy;  // host empty: direct
    std::shared_ptr<const TlsContext> tls;
  };
  // Ready to carry requests on return. Errors as http::Client::Do.
  static base::StatusOr<std::unique_ptr<Connection>> Open(const Target& target, Resolver& resolver,
                                                          const CallScope& scope,
                                                          base::MonoTime limit);
  // A server's end: takes `fd`, which does not block, and `tls`, a fresh session of the server's
  // context or nullptr. Its first bytes are read by ReadNow, which makes the handshake on the way.
  static std::unique_ptr<Connection> Accepted(int fd, ssl_st* tls);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What wants an early end: a peer that speaks or closes while we wait for it to take more has
  // said what it had to say (nobody asks it for 100 Continue). Cut then, as one that is gone.
  enum class Early { kIgnored, kCut };
  base::Status WriteAll(std::string_view bytes, const CallScope& scope, base::MonoTime limit,
                        Early early = Early::kIgnored);
  // Waits for and returns some bytes; 0 when the peer closed.
  base::StatusOr<std::size_t> Read(char* buffer, std::size_t size, const CallScope& scope,
                                   base::MonoTime limit);
  // Some of the bytes that have come, without waiting: none when there are no more yet, 0 when the
  // peer closed.
  base::StatusOr<std::optional<std::size_t>> ReadNow(char* buffer, std::size_t size);
  // False when the peer closed or sent anything while the connection lay idle.
  bool StillIdle();
  int fd() const { return socket_.fd; }  // to wait for

  struct Socket {
    int fd;
    bool drained = false;  // the last recv(2) left nothing behind: wait before the next one
  };

 private:
  explicit Connection(int fd) : socket_{fd} {}
  static base::StatusOr<std::unique_ptr<Connection>> OpenTo(
      const std::vector<SocketAddress>& addresses, const Target& target, const CallScope& scope,
      base::MonoTime limit);
  static base::StatusOr<std::unique_ptr<Connection>> ConnectTcp(const SocketAddress& address,
                                                                const CallScope& scope,
                                                                base::MonoTime limit);
  base::Status ConnectThroughProxy(const Target& target, const CallScope& scope,
                                   base::MonoTime limit);
  base::Status Handshake(const Target& target, const CallScope& scope, base::MonoTime limit);
  void AttachTls();  // to the socket
  // After a failed TLS call with result `n`: waits for what it wants, or says what went wrong.
  base::Status AfterTls(int n, const CallScope& scope, base::MonoTime limit, const char* limit_name,
                        bool* closed);
  // The same for one that wants nothing: `error` is SSL_get_error's.
  base::Status TlsFailure(int error, int saved_errno, bool* closed) const;

  Socket socket_;                                  // BIOs point to it
  std::shared_ptr<const TlsContext> tls_context_;  // outlives tls_
  ssl_st* tls_ = nullptr;
  bool handshaken_ = false;  // OpenSSL forgets this after a fatal error
};

}  // namespace sluice::http
