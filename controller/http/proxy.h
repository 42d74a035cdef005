// Which proxy, if any, leads to a server: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY mean to
// programs written in Go, kubectl and client-go among them (golang.org/x/net/http/httpproxy).
//
//   https_proxy for https servers, http_proxy for http ones; upper case counts before lower case
//   no_proxy, separated by commas: "*" everything; an address or a CIDR block; a domain with all
//     below it; ".domain" or "*.domain" only what is below it; any but blocks with ":port"
//   localhost and loopback addresses are never asked for through a proxy
//
// Pure; any thread. Errors never quote a proxy's URL, which may hold a password.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/http/url.h"

namespace sluice::http {

// The value of the variable of this name; empty: not set.
using Environment = std::function<std::string(const char* name)>;

// http://[user:password@]host:port, user and password decoded. Errors: InvalidArgument.
base::StatusOr<Url> ParseProxyUrl(std::string_view text);

// A URL as ParseProxyUrl takes it, or nothing: direct. Errors: InvalidArgument naming the variable.
base::StatusOr<std::string> ProxyFor(const Url& server, const Environment& environment);

}  // namespace sluice::http
