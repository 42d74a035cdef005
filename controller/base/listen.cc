#include "controller/base/listen.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>

namespace sluice::base {
namespace {

struct AddressFreer {
  void operator()(addrinfo* all) const { freeaddrinfo(all); }
};

}  // namespace

StatusOr<ListenAddress> ParseListenAddress(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  ListenAddress out{.host = colon == std::string::npos ? "" : text.substr(0, colon), .port = -1};
  if (out.host.starts_with('[') && out.host.ends_with(']')) {
    out.host = out.host.substr(1, out.host.size() - 2);
  }
  if (colon != std::string::npos) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, out.port);
    if (error != std::errc() || stop != end) out.port = -1;
  }
  if (out.port < 0 || out.port > 65535) {
    return InvalidArgument(fmt::format("\"{}\" is not host:port", text));
  }
  if (out.host.empty()) out.host = "0.0.0.0";
  return out;
}

StatusOr<int> Listen(ListenAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found) != 0) {
    return Unavailable(fmt::format("{} is no address to listen on", address.host));
  }
  const std::unique_ptr<addrinfo, AddressFreer> all(found);
  int error = 0;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int one = 1;
    const int zero = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));  // and not REUSEPORT: it is ours
    if (each->ai_family == AF_INET6) {
      setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof(bound);
    if (fd >= 0 && bind(fd, each->ai_addr, each->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0) {
      // The port stands at the same place in both families' addresses.
      address.port = ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
      return fd;
    }
    error = errno;
    if (fd >= 0) close(fd);
  }
  return Unavailable(
      FromErrno(error, fmt::format("listen on {}:{}", address.host, address.port)).message());
}

}  // namespace sluice::base
