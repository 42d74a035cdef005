// URLs as far as API servers, Prometheus and proxies need them. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/base/status.h"

namespace sluice::http {

struct Url {
  std::string scheme;    // "http" or "https"
  std::string userinfo;  // "user:password", not decoded; empty when absent
  std::string host;      // name, IPv4, or IPv6 without brackets
  std::uint16_t port = 0;
  std::string path;  // "" or starts with '/'; query included, fragment refused

  bool tls() const { return scheme == "https"; }
  // "host", "host:port" when the port is not the scheme's own, "[v6]:port".
  std::string Authority() const;
};

// Errors: InvalidArgument naming what was wrong (scheme, empty host, port, control characters).
base::StatusOr<Url> ParseUrl(std::string_view text);

// RFC 3986 percent-encoding of everything but unreserved characters.
std::string PercentEncode(std::string_view text);
// "a=1&b=2", each name and value encoded; empty for no parameters.
std::string EncodeQuery(const std::vector<std::pair<std::string, std::string>>& parameters);

}  // namespace sluice::http
