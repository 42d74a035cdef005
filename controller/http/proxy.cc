#include "controller/http/proxy.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "controller/http/request_parser.h"

namespace sluice::http {
namespace {

// An address as 16 bytes, IPv4 mapped into IPv6.
using Address = std::array<unsigned char, 16>;
constexpr int kMappedBits = 96;
constexpr Address kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<Address> ParseAddress(std::string_view text) {
  const std::string copy(text);
  Address out{};
  if (inet_pton(AF_INET6, copy.c_str(), out.data()) == 1) return out;
  out = kMappedPrefix;
  if (inet_pton(AF_INET, copy.c_str(), out.data() + kMappedBits / 8) == 1) return out;
  return std::nullopt;
}

bool SamePrefix(const Address& a, const Address& b, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  return ((a.at(whole) ^ b.at(whole)) >> (8 - bits % 8)) == 0;
}

bool IsLoopback(const Address& address) {
  static const Address kV4 = *ParseAddress("127.0.0.0");
  static const Address kV6 = *ParseAddress("::1");
  return SamePrefix(address, kV4, kMappedBits + 8) || address == kV6;
}

std::string Lower(std::string_view text) {
  const std::size_t first = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(first);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// "10.0.0.0/8" or "fd00::/8"; nothing when it is none.
std::optional<bool> InBlock(std::string_view entry, const std::optional<Address>& address) {
  const std::size_t slash = entry.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto network = ParseAddress(entry.substr(0, slash));
  const std::string_view digits = entry.substr(slash + 1);
  int bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (!network || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  const bool v4 = entry.find(':') == std::string_view::npos;
  if (bits < 0 || bits > (v4 ? 32 : 128)) return std::nullopt;
  return address && SamePrefix(*address, *network, bits + (v4 ? kMappedBits : 0));
}

// One entry of NO_PROXY, trimmed and in lower case.
bool Matches(std::string_view entry, const std::string& host, const std::optional<Address>& address,
             std::uint16_t port) {
  if (entry == "*") return true;
  if (const auto in_block = InBlock(entry, address)) return *in_block;
  std::string_view name = entry;
  std::string_view wanted_port;
  const std::size_t colon = entry.rfind(':');
  if (colon != std::string_view::npos &&
      (entry.find(':') == colon || (entry.starts_with('[') && entry[colon - 1] == ']'))) {
    name = entry.substr(0, colon);
    wanted_port = entry.substr(colon + 1);
  }
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  if (name.empty() || (!wanted_port.empty() && wanted_port != std::to_string(port))) return false;
  if (const auto one = ParseAddress(name)) return address && *address == *one;
  if (name.starts_with("*.")) name.remove_prefix(1);
  if (name.starts_with('.')) return host.size() > name.size() && host.ends_with(name);
  return host == name || host.ends_with("." + std::string(name));
}

bool IsDirect(const Url& server, std::string_view no_proxy) {
  const std::string host = Lower(server.host);
  const std::optional<Address> address = ParseAddress(host);
  if (host == "localhost" || (address && IsLoopback(*address))) return true;
  while (!no_proxy.empty()) {
    const std::size_t comma = std::min(no_proxy.find(','), no_proxy.size());
    const std::string entry = Lower(no_proxy.substr(0, comma));
    if (!entry.empty() && Matches(entry, host, address, server.port)) return true;
    no_proxy.remove_prefix(std::min(comma + 1, no_proxy.size()));
  }
  return false;
}

}  // namespace

base::StatusOr<Url> ParseProxyUrl(std::string_view text) {
  static constexpr char kWanted[] = "the proxy must be http://[user:password@]host:port";
  auto url = ParseUrl(text);
  if (!url.ok() || url->tls()) return base::InvalidArgument(kWanted);
  auto decoded = PercentDecode(url->userinfo, false);
  if (!decoded.ok()) return base::InvalidArgument(kWanted);
  const bool user_alone = !decoded->empty() && url->userinfo.find(':') == std::string::npos;
  url->userinfo = std::move(decoded).value() + (user_alone ? ":" : "");  // RFC 7617, 2
  return url;
}

base::StatusOr<std::string> ProxyFor(const Url& server, const Environment& environment) {
  const auto either = [&](const char* upper, const char* lower) {
    std::string value = environment(upper);
    return value.empty() ? environment(lower) : value;
  };
  const char* name = server.tls() ? "HTTPS_PROXY" : "HTTP_PROXY";
  std::string proxy = either(name, server.tls() ? "https_proxy" : "http_proxy");
  if (proxy.empty() || IsDirect(server, either("NO_PROXY", "no_proxy"))) return std::string();
  if (proxy.find("://") == std::string::npos) proxy.insert(0, "http://");
  if (const auto url = ParseProxyUrl(proxy); !url.ok()) return url.status().Annotate(name);
  return proxy;
}

}  // namespace sluice::http
