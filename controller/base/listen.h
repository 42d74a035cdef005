// Addresses that servers listen on. Thread rule: any thread.
#pragma once

#include <string>

#include "controller/base/status.h"

namespace sluice::base {

struct ListenAddress {
  std::string host;  // a name or an address, IPv6 without brackets
  int port = 0;      // 0: a free one is picked
};

// Of "host:port", "[v6]:port" or ":port". Errors: InvalidArgument.
StatusOr<ListenAddress> ParseListenAddress(const std::string& text);

// A listening TCP socket that does not block, the caller's to close; `address.port` becomes the one
// it has. Never shared with another process (SO_REUSEPORT). Errors: Unavailable.
StatusOr<int> Listen(ListenAddress& address);

}  // namespace sluice::base
