#include "controller/http/url.h"

#include <fmt/format.h>

#include <charconv>

namespace sluice::http {
namespace {

bool IsUnreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

base::Status ParseHostPort(std::string_view authority, Url* url) {
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return base::InvalidArgument("URL: unclosed '['");
    host = authority.substr(1, close - 1);
    const std::string_view rest = authority.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return base::InvalidArgument("URL: text after ']'");
    if (!rest.empty()) port = rest.substr(1);
  } else if (const std::size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) {
      return base::InvalidArgument("URL: an IPv6 address needs brackets");
    }
  }
  if (host.empty()) return base::InvalidArgument("URL: host is empty");
  url->host = host;
  url->port = url->tls() ? 443 : 80;
  if (!port.empty()) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
    if (error != std::errc() || end != port.data() + port.size() || value == 0 || value > 65535) {
      return base::InvalidArgument(fmt::format("URL: bad port \"{}\"", port));
    }
    url->port = static_cast<std::uint16_t>(value);
  }
  return base::OkStatus();
}

}  // namespace

std::string Url::Authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  const std::string name = v6 ? "[" + host + "]" : host;
  return port == (tls() ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

base::StatusOr<Url> ParseUrl(std::string_view text) {
  for (const unsigned char c : text) {
    if (c <= 0x20 || c == 0x7f || c == '\\') {
      return base::InvalidArgument("URL: holds a space, a backslash or a control character");
    }
  }
  Url url;
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return base::InvalidArgument("URL: no scheme");
  url.scheme = text.substr(0, colon);
  if (url.scheme != "http" && url.scheme != "https") {
    return base::InvalidArgument("URL: the scheme must be http or https");
  }
  std::string_view rest = text.substr(colon + 3);
  if (rest.find('#') != std::string_view::npos) {
    return base::InvalidArgument("URL: fragments are not sent to servers");
  }
  const std::size_t end = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, end);
  if (end != std::string_view::npos) {
    url.path = rest.substr(end);
    if (url.path[0] == '?') url.path.insert(0, "/");
  }
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.userinfo = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  SLUICE_RETURN_IF_ERROR(ParseHostPort(authority, &url));
  return url;
}

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsUnreserved(byte)) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string EncodeQuery(const std::vector<std::pair<std::string, std::string>>& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (!out.empty()) out += '&';
    out += PercentEncode(name) + "=" + PercentEncode(value);
  }
  return out;
}

}  // namespace sluice::http
