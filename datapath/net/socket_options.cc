#include "datapath/net/socket_options.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

namespace sluice::net {

SocketOptions OptionsTowards(const Address& peer) {
  SocketOptions options;
  if (!peer.is_loopback()) options.congestion = "";
  return options;
}

void ApplyOptions(int fd, int family, const SocketOptions& options) {
  const auto set = [fd](int level, int name, int value) {
    ::setsockopt(fd, level, name, &value, sizeof value);
  };
  if (options.send_buffer_bytes > 0) set(SOL_SOCKET, SO_SNDBUF, options.send_buffer_bytes);
  if (options.receive_buffer_bytes > 0) set(SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
  if (family != AF_INET && family != AF_INET6) return;
  if (options.no_delay) set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
  if (options.congestion[0] == '\0') return;
  for (const char* name : {options.congestion, "reno"}) {
    const auto length = static_cast<socklen_t>(std::strlen(name));
    if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, length) == 0) break;
  }
}

std::string CongestionOf(int fd) {
  char name[32] = {};
  socklen_t length = sizeof name - 1;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) != 0) return "";
  return name;
}

base::Status SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return base::FromErrno(errno, "fcntl O_NONBLOCK");
  return base::OkStatus();
}

}  // namespace sluice::net
