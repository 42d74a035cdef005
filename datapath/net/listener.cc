#include "datapath/net/listener.h"

#include <netinet/in.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "datapath/net/limits.h"
#include "datapath/net/socket_options.h"

namespace sluice::net {
namespace {

base::StatusOr<Address> BoundAddress(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd, address, &length) != 0) return base::FromErrno(errno, "getsockname");
  return Address::FromSockaddr(address, length);
}

// Removes a socket file nobody listens on. One that answers is left, and bind() says so.
void RemoveDeadSocket(const Address& address) {
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return;
  if (::connect(probe.get(), address.get(), address.length()) != 0 && errno == ECONNREFUSED)
    ::unlink(address.unix_path().c_str());
}

}  // namespace

Listener::Listener(EventLoop& loop, UniqueFd fd, const Address& bound, bool owns_path,
                   OnAccept on_accept, OnError on_error)
    : loop_(loop),
      fd_(std::move(fd)),
      bound_(bound),
      owns_path_(owns_path),
      on_accept_(std::move(on_accept)),
      on_error_(std::move(on_error)),
      again_(loop, [this] { AcceptSome(); }) {}

Listener::~Listener() { Close(); }

base::StatusOr<std::unique_ptr<Listener>> Listener::Listen(EventLoop& loop, const Address& address,
                                                           const Options& options,
                                                           OnAccept on_accept, OnError on_error) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::FromErrno(errno, "socket");
  const int on = 1;
  if (address.is_unix()) {
    RemoveDeadSocket(address);
  } else {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  ApplyOptions(fd.get(), address.family(), options.socket);
  if (::bind(fd.get(), address.get(), address.length()) != 0) {
    const int error = errno;
    const std::string what = "listen on " + address.ToString();
    if (error == EADDRINUSE) return base::AlreadyExists(what + ": the address is in use");
    return base::FromErrno(error, what);
  }
  if (address.is_unix() && ::chmod(address.unix_path().c_str(), options.unix_mode) != 0)
    return base::FromErrno(errno, "chmod " + address.unix_path());
  if (::listen(fd.get(), kListenBacklog) != 0)
    return base::FromErrno(errno, "listen on " + address.ToString());
  SLUICE_ASSIGN_OR_RETURN(const Address bound, BoundAddress(fd.get()));
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(fd), bound, address.is_unix(),
                                                  std::move(on_accept), std::move(on_error)));
  SLUICE_RETURN_IF_ERROR(listener->Start());
  return listener;
}

base::StatusOr<std::unique_ptr<Listener>> Listener::Adopt(EventLoop& loop, UniqueFd socket,
                                                          OnAccept on_accept, OnError on_error) {
  SLUICE_RETURN_IF_ERROR(SetNonBlocking(socket.get()));
  SLUICE_ASSIGN_OR_RETURN(const Address bound, BoundAddress(socket.get()));
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(socket), bound, bound.is_unix(),
                                                  std::move(on_accept), std::move(on_error)));
  SLUICE_RETURN_IF_ERROR(listener->Start());
  return listener;
}

base::Status Listener::Start() {
  SLUICE_ASSIGN_OR_RETURN(token_, loop_.Watch(fd_.get(), this));
  watched_ = true;
  again_.Arm(base::Duration::zero());  // an adopted socket may have a backlog already
  return base::OkStatus();
}

void Listener::Close() {
  again_.Cancel();
  if (watched_) {
    loop_.Unwatch(fd_.get(), token_);
    watched_ = false;
  }
  if (fd_.valid() && owns_path_) ::unlink(bound_.unix_path().c_str());
  fd_.Reset();
}

void Listener::OnReady(const ring::Event& event) {
  if (event.readable) AcceptSome();
}

void Listener::AcceptSome() {
  for (int i = 0; i < kMaxAcceptsPerTurn; ++i) {
    if (!fd_.valid()) return;  // closed by on_accept_
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    UniqueFd accepted(::accept4(fd_.get(), address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted.valid()) {
      on_accept_(std::move(accepted), Address::FromSockaddr(address, length));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    // The peer may have gone before it was accepted: look at the next.
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
    const bool exhausted =
        errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    on_error_(base::FromErrno(errno, "accept on " + bound_.ToString()));
    again_.Arm(exhausted ? base::Duration(kAcceptRest) : base::Duration::zero());
    return;
  }
  again_.Arm(base::Duration::zero());
}

}  // namespace sluice::net
