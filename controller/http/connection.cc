#include "controller/http/connection.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "controller/base/digest.h"
#include "controller/http/response_parser.h"

namespace sluice::http {
namespace {

base::Status Cut(std::string_view what, int error) {
  return base::Unavailable(base::FromErrno(error, what).message()).WithReason("ConnectionCut");
}

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE on a closed peer; this one
// does not, and leaves the descriptor to its Connection.
int BioWrite(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  auto& socket = *static_cast<Connection::Socket*>(BIO_get_data(bio));
  socket.drained = true;  // the answer to this is still to come
  const ssize_t n = send(socket.fd, bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int BioRead(BIO* bio, char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  auto& socket = *static_cast<Connection::Socket*>(BIO_get_data(bio));
  const ssize_t n = recv(socket.fd, bytes, static_cast<std::size_t>(size), 0);
  socket.drained = n < size;
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(n);
}

long BioControl(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
      return 0;
  }
}

const BIO_METHOD* SocketMethod() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket");
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_ctrl(made, BioControl);
    BIO_meth_set_create(made, [](BIO* bio) {
      BIO_set_init(bio, 1);
      return 1;
    });
    return made;
  }();
  return method;
}

// A dead peer is noticed within about half a minute even when nothing is sent to it.
void SetSocketOptions(int fd) {
  const int one = 1;
  const int idle_s = 15;
  const int interval_s = 5;
  const int probes = 3;
  const unsigned user_timeout_ms = 30000;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

}  // namespace

base::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Target& target,
                                                             Resolver& resolver,
                                                             const CallScope& scope,
                                                             base::MonoTime limit) {
  const Url& peer = target.proxy.host.empty() ? target.server : target.proxy;
  SLUICE_ASSIGN_OR_RETURN(const Resolver::Addresses addresses,
                          resolver.Resolve(peer.host, peer.port, scope, limit));
  auto connection = OpenTo(addresses, target, scope, limit);
  // The name may lead elsewhere by now. Not so when time ran out, perhaps in a slow look-up, which
  // must not begin anew.
  if (connection.status().code() == base::Code::kUnavailable) {
    resolver.Forget(peer.host, peer.port);
  }
  return connection;
}

base::StatusOr<std::unique_ptr<Connection>> Connection::OpenTo(
    const std::vector<SocketAddress>& addresses, const Target& target, const CallScope& scope,
    base::MonoTime limit) {
  const Url& peer = target.proxy.host.empty() ? target.server : target.proxy;
  base::Status last = base::Unavailable("no address");
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // Each address gets a fair share of what is left, so that a dead one hides no living one.
    const auto now = std::chrono::steady_clock::now();
    const auto share = (limit - now) / static_cast<long>(addresses.size() - i);
    auto connection =
        ConnectTcp(addresses[i], scope, i + 1 == addresses.size() ? limit : now + share);
    if (!connection.ok()) {
      last = connection.status().Annotate(peer.Authority());
      if (last.code() == base::Code::kCancelled || last.reason() == "Total") return last;
      continue;
    }
    if (!target.proxy.host.empty() && target.server.tls()) {
      SLUICE_RETURN_IF_ERROR((*connection)->ConnectThroughProxy(target, scope, limit));
    }
    if (target.server.tls()) SLUICE_RETURN_IF_ERROR((*connection)->Handshake(target, scope, limit));
    return connection;
  }
  return last;
}

base::StatusOr<std::unique_ptr<Connection>> Connection::ConnectTcp(const SocketAddress& address,
                                                                   const CallScope& scope,
                                                                   base::MonoTime limit) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return base::FromErrno(errno, "socket");
  std::unique_ptr<Connection> connection(new Connection(fd));
  SetSocketOptions(fd);
  int error = 0;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    error = errno;
  }
  if (error == EINPROGRESS) {
    SLUICE_RETURN_IF_ERROR(scope.WaitFor(fd, POLLOUT, limit, "Connect"));
    socklen_t size = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error != 0) {
    return base::Unavailable(base::FromErrno(error, "connect").message())
        .WithReason("ConnectionRefused");
  }
  return connection;
}

std::unique_ptr<Connection> Connection::Accepted(int fd, ssl_st* tls) {
  std::unique_ptr<Connection> connection(new Connection(fd));
  SetSocketOptions(fd);
  if (tls == nullptr) return connection;
  connection->tls_ = tls;
  connection->AttachTls();
  SSL_set_accept_state(tls);
  return connection;
}

void Connection::AttachTls() {
  BIO* bio = BIO_new(SocketMethod());
  SLUICE_CHECK(bio != nullptr);
  BIO_set_data(bio, &socket_);
  SSL_set_bio(tls_, bio, bio);
}

base::Status Connection::ConnectThroughProxy(const Target& target, const CallScope& scope,
                                             base::MonoTime limit) {
  const bool v6 = target.server.host.find(':') != std::string::npos;
  const std::string authority = fmt::format("{}{}{}:{}", v6 ? "[" : "", target.server.host,
                                            v6 ? "]" : "", target.server.port);
  std::string request = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", authority);
  if (!target.proxy.userinfo.empty()) {
    request += "Proxy-Authorization: Basic " + base::Base64Encode(target.proxy.userinfo) + "\r\n";
  }
  request += "\r\n";
  SLUICE_RETURN_IF_ERROR(WriteAll(request, scope, limit));
  // Byte by byte would be the only way not to read into the tunnel, but the server side of TLS
  // never speaks first: whatever follows the head is the proxy's mistake.
  ResponseParser parser(true);
  bool more = false;
  char buffer[2048];
  while (!parser.done()) {
    SLUICE_ASSIGN_OR_RETURN(const std::size_t n, Read(buffer, sizeof(buffer), scope, limit));
    if (n == 0) return parser.FeedEnd().Annotate("proxy");
    SLUICE_ASSIGN_OR_RETURN(const std::size_t used, parser.Feed({buffer, n}, [](std::string_view) {
      return base::OkStatus();
    }));
    more = used != n;
  }
  if (parser.status() / 100 != 2) {  // a refusal may explain itself
    return base::Unavailable(fmt::format("the proxy answered {}", parser.status()))
        .WithReason("Proxy");
  }
  if (more) return base::Unavailable("the proxy sent bytes of its own").WithReason("Proxy");
  return base::OkStatus();
}

base::Status Connection::Handshake(const Target& target, const CallScope& scope,
                                   base::MonoTime limit) {
  tls_context_ = target.tls;
  SLUICE_ASSIGN_OR_RETURN(tls_, tls_context_->NewSession(target.server.host));
  AttachTls();
  while (true) {
    ERR_clear_error();
    const int n = SSL_do_handshake(tls_);
    if (n == 1) {
      handshaken_ = true;
      return base::OkStatus();
    }
    const long verify = SSL_get_verify_result(tls_);
    bool closed = false;
    const base::Status status = AfterTls(n, scope, limit, "Connect", &closed);
    if (!status.ok()) tls_context_->ForgetSession();
    if (verify != X509_V_OK && !status.ok() && status.code() == base::Code::kUnavailable) {
      return base::Unavailable(fmt::format("TLS to {}: certificate not accepted: {}",
                                           target.server.Authority(),
                                           X509_verify_cert_error_string(verify)))
          .WithReason("CertificateInvalid");
    }
    SLUICE_RETURN_IF_ERROR(status);
    if (closed) {
      return base::Unavailable("the peer closed the connection in the TLS handshake")
          .WithReason("ConnectionCut");
    }
  }
}

base::Status Connection::AfterTls(int n, const CallScope& scope, base::MonoTime limit,
                                  const char* limit_name, bool* closed) {
  const int saved_errno = errno;
  const int error = SSL_get_error(tls_, n);
  switch (error) {
    case SSL_ERROR_WANT_READ:
      return scope.WaitFor(socket_.fd, POLLIN, limit, limit_name);
    case SSL_ERROR_WANT_WRITE:
      return scope.WaitFor(socket_.fd, POLLOUT, limit, limit_name);
    default:
      return TlsFailure(error, saved_errno, closed);
  }
}

base::Status Connection::TlsFailure(int error, int saved_errno, bool* closed) const {
  switch (error) {
    case SSL_ERROR_ZERO_RETURN:
      *closed = true;
      return base::OkStatus();
    case SSL_ERROR_SYSCALL:
      return Cut("TLS", saved_errno == 0 ? ECONNRESET : saved_errno);
    default:
      // After the handshake this is mostly a cut without TLS's own farewell: the answer must not
      // pass for whole, and what became of the request is unknown. Before it nothing was sent.
      return base::Unavailable("TLS: " + TakeTlsError())
          .WithReason(handshaken_ ? "ConnectionCut" : "Tls");
  }
}

base::Status Connection::WriteAll(std::string_view bytes, const CallScope& scope,
                                  base::MonoTime limit, Early early) {
  // TLS 1.3 has its tickets to read on the way, which are no answer: StillIdle knows them.
  const auto wait = [&]() -> base::Status {
    if (early == Early::kIgnored) return scope.WaitFor(socket_.fd, POLLOUT, limit, "Write");
    if (!StillIdle()) return Cut("write", EPIPE);
    return scope.WaitFor(socket_.fd, POLLOUT | POLLIN, limit, "Write");
  };
  for (bool first = true; !bytes.empty(); first = false) {
    if (!first) SLUICE_RETURN_IF_ERROR(scope.Check());
    if (tls_ != nullptr) {
      ERR_clear_error();
      std::size_t n = 0;
      const int result = SSL_write_ex(tls_, bytes.data(), bytes.size(), &n);
      if (result == 1) {
        bytes.remove_prefix(n);
        continue;
      }
      if (SSL_want_write(tls_)) {
        SLUICE_RETURN_IF_ERROR(wait());
        continue;
      }
      bool closed = false;
      SLUICE_RETURN_IF_ERROR(AfterTls(result, scope, limit, "Write", &closed));
      if (closed) return Cut("write", EPIPE);
      continue;
    }
    socket_.drained = true;  // the answer to this is still to come
    const ssize_t n = send(socket_.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      SLUICE_RETURN_IF_ERROR(wait());
    } else if (errno != EINTR) {
      return Cut("write", errno);
    }
  }
  return base::OkStatus();
}

base::StatusOr<std::size_t> Connection::Read(char* buffer, std::size_t size, const CallScope& scope,
                                             base::MonoTime limit) {
  // A recv(2) that finds nothing costs as much as one that does: wait first where nothing is left.
  if (socket_.drained && (tls_ == nullptr || SSL_has_pending(tls_) == 0)) {
    SLUICE_RETURN_IF_ERROR(scope.WaitFor(socket_.fd, POLLIN, limit, "Read"));
  } else {
    SLUICE_RETURN_IF_ERROR(scope.Check());
  }
  while (true) {
    if (tls_ != nullptr) {
      ERR_clear_error();
      std::size_t n = 0;
      const int result = SSL_read_ex(tls_, buffer, size, &n);
      if (result == 1) return n;
      bool closed = false;
      SLUICE_RETURN_IF_ERROR(AfterTls(result, scope, limit, "Read", &closed));
      if (closed) return std::size_t{0};
      continue;
    }
    const ssize_t n = recv(socket_.fd, buffer, size, 0);
    socket_.drained = n < static_cast<ssize_t>(size);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN) {
      SLUICE_RETURN_IF_ERROR(scope.WaitFor(socket_.fd, POLLIN, limit, "Read"));
    } else if (errno != EINTR) {
      return Cut("read", errno);
    }
  }
}

base::StatusOr<std::optional<std::size_t>> Connection::ReadNow(char* buffer, std::size_t size) {
  if (tls_ == nullptr) {
    const ssize_t n = recv(socket_.fd, buffer, size, 0);
    socket_.drained = n < static_cast<ssize_t>(size);
    if (n >= 0) return std::optional(static_cast<std::size_t>(n));
    if (errno == EAGAIN || errno == EINTR) return std::optional<std::size_t>();
    return Cut("read", errno);
  }
  ERR_clear_error();
  int result = 1;
  if (!handshaken_) {
    result = SSL_do_handshake(tls_);
    handshaken_ = result == 1;
  }
  std::size_t n = 0;
  if (handshaken_) result = SSL_read_ex(tls_, buffer, size, &n);
  if (result == 1) return std::optional(n);
  const int saved_errno = errno;
  const int error = SSL_get_error(tls_, result);
  // To write is wanted by nobody here: our side of a handshake fits into an empty socket.
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    return std::optional<std::size_t>();
  }
  bool closed = false;
  SLUICE_RETURN_IF_ERROR(TlsFailure(error, saved_errno, &closed));
  return std::optional<std::size_t>(0);
}

bool Connection::StillIdle() {
  pollfd fd{socket_.fd, POLLIN, 0};
  const bool read_ahead = tls_ != nullptr && SSL_has_pending(tls_) == 1;
  if (poll(&fd, 1, 0) == 0 && !read_ahead) return true;
  if (tls_ == nullptr || (fd.revents & (POLLERR | POLLHUP)) != 0) return false;
  // TLS 1.3 session tickets arrive after the handshake: read them, expect nothing else.
  char byte;
  ERR_clear_error();
  const int n = SSL_peek(tls_, &byte, 1);
  return n <= 0 && SSL_get_error(tls_, n) == SSL_ERROR_WANT_READ;
}

Connection::~Connection() {
  if (tls_ != nullptr) {
    ERR_clear_error();
    if (handshaken_) SSL_shutdown(tls_);  // says farewell, waits for none
    SSL_free(tls_);
    ERR_clear_error();
  }
  close(socket_.fd);
}

}  // namespace sluice::http
