#include "datapath/net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace sluice::net {
namespace {

base::Status Malformed(std::string_view text) {
  return base::InvalidArgument(
      fmt::format("\"{}\" is not an address: expected IP:PORT, [IPv6]:PORT or unix:/PATH", text));
}

}  // namespace

base::StatusOr<Address> Address::FromIp(std::string_view ip, std::uint16_t port) {
  const std::string text(ip);
  Address result;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage_.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage_.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    result.length_ = sizeof *v4;
    return result;
  }
  if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    result.length_ = sizeof *v6;
    return result;
  }
  return base::InvalidArgument(fmt::format("\"{}\" is not an IP address", ip));
}

base::StatusOr<Address> Address::Parse(std::string_view text) {
  if (text.starts_with("unix:")) {
    const std::string_view path = text.substr(5);
    Address result;
    if (path.empty() || path.front() != '/' || path.size() >= sizeof result.storage_.local.sun_path)
      return Malformed(text);
    result.storage_.local.sun_family = AF_UNIX;
    std::memcpy(result.storage_.local.sun_path, path.data(), path.size());
    result.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return result;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Malformed(text);
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (ip.starts_with('[') && ip.ends_with(']')) {
    ip = ip.substr(1, ip.size() - 2);
  } else if (ip.find(':') != std::string_view::npos) {
    return Malformed(text);
  }
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return Malformed(text);
  auto parsed = FromIp(ip, port);
  if (!parsed.ok()) return Malformed(text);
  return parsed;
}

Address Address::FromSockaddr(const sockaddr* address, socklen_t length) {
  Address result;
  SLUICE_CHECK(length <= sizeof result.storage_);
  std::memcpy(&result.storage_, address, length);
  result.length_ = length;
  return result;
}

bool Address::is_loopback() const {
  if (is_unix()) return true;
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage_.storage);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
  }
  if (family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage_.storage);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) return v6->sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
  }
  return false;
}

std::uint16_t Address::port() const {
  if (family() == AF_INET)
    return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_.storage)->sin_port);
  if (family() == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_.storage)->sin6_port);
  return 0;
}

std::string Address::unix_path() const {
  return is_unix() && length_ > offsetof(sockaddr_un, sun_path) ? storage_.local.sun_path : "";
}

std::string Address::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_unix()) return "unix:" + unix_path();
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage_.storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, port());
  }
  if (family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage_.storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, port());
  }
  return "none";
}

}  // namespace sluice::net
