// Incremental parser of HTTP/1.1 response heads, for the origin's side. Use like RequestParser.
//
// Interim answers (1xx) come out as any other, with BodyKind::kNone: the caller parses on for the
// final one. Thread rule: owned by one thread. No allocation.
#pragma once

#include "datapath/http1/request.h"

namespace sluice::http1 {

struct Response {
  int status = 0;  // 100 to 599
  std::string_view reason;
  int minor_version = 1;
  bool keep_alive = true;  // the connection may be used again once the body is read
  BodyKind body = BodyKind::kNone;
  std::uint64_t content_length = 0;  // with kLength; for HEAD what a GET would carry
  bool has_content_length = false;
  Headers headers;
};

class ResponseParser {
 public:
  // `method` is that of the request being answered: an answer to HEAD has no body.
  ParseResult Parse(std::string_view buffered, Method method);
  const Response& response() const { return response_; }
  void Reset() { tried_ = false, scanned_ = 0; }

 private:
  ParseResult ParseHead(std::string_view buffered, Method method);

  bool tried_ = false;
  std::size_t scanned_ = 0;
  Response response_;
};

}  // namespace sluice::http1
