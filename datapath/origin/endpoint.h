// An origin's address as configured: "https://host[:port]" or "http://host[:port]". Pure; a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::origin {

struct Endpoint {
  bool tls = true;
  std::string host;  // a name, or an IP address without brackets
  std::uint16_t port = 443;
  std::string authority;  // for Host: with the port when it is not the scheme's own

  // Errors: InvalidArgument saying what was expected (a path, a query or user info is refused).
  static base::StatusOr<Endpoint> Parse(std::string_view url);
};

}  // namespace sluice::origin
