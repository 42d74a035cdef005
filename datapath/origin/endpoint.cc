#include "datapath/origin/endpoint.h"

#include <charconv>

namespace sluice::origin {

base::StatusOr<Endpoint> Endpoint::Parse(std::string_view url) {
  const auto bad = [url](std::string_view why) {
    return base::InvalidArgument("endpoint \"" + std::string(url) + "\": " + std::string(why));
  };
  Endpoint endpoint;
  std::string_view rest = url;
  if (rest.substr(0, 8) == "https://") {
    rest.remove_prefix(8);
  } else if (rest.substr(0, 7) == "http://") {
    rest.remove_prefix(7);
    endpoint.tls = false;
    endpoint.port = 80;
  } else {
    return bad("must begin with https:// or http://");
  }
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ ") != std::string_view::npos)
    return bad("must be only a scheme, a host and a port");
  std::string_view host = rest;
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad("has an unclosed bracket");
    host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    host = rest.substr(0, colon);
    port = rest.substr(colon);
  }
  if (host.empty()) return bad("has no host");
  const std::uint16_t scheme_port = endpoint.port;
  if (!port.empty()) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), value);
    if (port.front() != ':' || error != std::errc() || end != port.data() + port.size() ||
        value == 0 || value > 65535)
      return bad("has a port that is not between 1 and 65535");
    endpoint.port = static_cast<std::uint16_t>(value);
  }
  endpoint.host = host;
  endpoint.authority =
      host.find(':') == std::string_view::npos ? endpoint.host : "[" + endpoint.host + "]";
  if (endpoint.port != scheme_port) endpoint.authority += ":" + std::to_string(endpoint.port);
  return endpoint;
}

}  // namespace sluice::origin
