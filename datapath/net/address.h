// Where a stream or listener lives: an IP address with a port, or a unix socket's path. Pure; a
// value.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::net {

class Address {
 public:
  Address() = default;
  // "127.0.0.1:9000", "[::1]:9000", "unix:/run/sluice/s3.sock". Literals only; names go through
  // resolver.h. Errors: InvalidArgument saying what was expected.
  static base::StatusOr<Address> Parse(std::string_view text);
  // `ip` without brackets; used by the resolver and by tests.
  static base::StatusOr<Address> FromIp(std::string_view ip, std::uint16_t port);
  static Address FromSockaddr(const sockaddr* address, socklen_t length);

  int family() const { return storage_.any.sa_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  // True for 127.0.0.0/8, ::1 and unix sockets: the peer is on this host whatever the routes say.
  bool is_loopback() const;
  std::uint16_t port() const;     // 0 for unix sockets
  std::string unix_path() const;  // "" unless is_unix()
  const sockaddr* get() const { return &storage_.any; }
  socklen_t length() const { return length_; }
  std::string ToString() const;  // the form Parse() takes

 private:
  union {
    sockaddr any;
    sockaddr_storage storage;
    sockaddr_un local;
  } storage_{};
  socklen_t length_ = 0;
};

}  // namespace sluice::net
