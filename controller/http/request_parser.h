// The head of an HTTP/1.1 request (RFC 9112), as strict as a server for programs can be. Bytes in,
// values out; fuzzed by request_parser_fuzz.cc. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/http/response_parser.h"

namespace sluice::http {

struct RequestHead {
  std::string method;
  std::string path;  // decoded, without the query; starts with '/'
  Headers query;     // decoded parameters in order
  Headers headers;
  std::size_t content_length = 0;
  bool expects_continue = false;
};

// `head`: without the empty line at its end. Refused, besides what is no request: targets that are
// not a path, bare LF, folded lines, control characters (also when encoded), Content-Lengths that
// differ. Errors: InvalidArgument; FailedPrecondition (a transfer encoding: the length must be
// told); ResourceExhausted (too many headers).
base::StatusOr<RequestHead> ParseRequestHead(std::string_view head);

// Percent-encoding undone; '+' is a blank when `form`. Errors: InvalidArgument (what is no
// encoding, and encoded control characters).
base::StatusOr<std::string> PercentDecode(std::string_view text, bool form);

}  // namespace sluice::http
