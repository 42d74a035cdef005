// Incremental parser of HTTP/1.1 request heads (RFC 9112): bytes in, need-more / request / error
// out.
//
//   RequestParser parser;
//   for (;;) {
//     const ParseResult r = parser.Parse(unconsumed_bytes);   // always from the head's first byte
//     if (r.state == ParseState::kNeedMore) { read more; continue; }
//     if (r.state == ParseState::kError) { answer r.error.http_status and close; }
//     use parser.request(); body and pipelined requests start at r.consumed
//     parser.Reset();
//   }
//
// The buffer may move between calls that answered kNeedMore; once kDone, the request's views point
// into the buffer given to that call. A head given byte by byte costs time linear in its length.
//
// Refused, so that no neighbour can read the message differently (request smuggling): folded lines,
// blanks before the colon, bare CR or LF, NUL and other controls, repeated Host or Content-Length,
// Content-Length with Transfer-Encoding, any coding but chunked, a missing Host.
//
// Thread rule: owned by one thread. No allocation; about 4 KiB per parser.
#pragma once

#include "datapath/http1/headers.h"

namespace sluice::http1 {

enum class Method : std::uint8_t { kGet, kHead, kPut, kPost, kDelete, kOptions, kOther };

struct Request {
  Method method = Method::kOther;
  std::string_view method_text;  // as sent
  std::string_view target;       // origin-form: path and query, as sent (percent-encoded)
  std::string_view path;         // target before '?'
  std::string_view query;        // target behind '?', empty when there is none
  std::string_view host;         // Host's value; empty only in HTTP/1.0
  int minor_version = 1;
  bool keep_alive = true;        // the client lets the connection stay open
  bool expect_continue = false;  // answer 100 before reading the body (or the final status instead)
  BodyKind body = BodyKind::kNone;   // kNone, kLength or kChunked
  std::uint64_t content_length = 0;  // with kLength
  Headers headers;
};

enum class ParseState : std::uint8_t { kNeedMore, kDone, kError };

struct ParseResult {
  ParseState state = ParseState::kNeedMore;
  std::size_t consumed = 0;  // with kDone: bytes of the head, leading empty lines included
  HeadError error;           // with kError; the connection cannot go on
};

class RequestParser {
 public:
  ParseResult Parse(std::string_view buffered);
  const Request& request() const { return request_; }  // after kDone
  void Reset() { tried_ = false, scanned_ = 0; }

 private:
  ParseResult ParseHead(std::string_view buffered);
  HeadError ReadRequestLine(std::string_view line);
  HeadError ReadHeaders();

  bool tried_ = false;       // an attempt met an incomplete head: look for its end first
  std::size_t scanned_ = 0;  // bytes known not to end the head
  Request request_;
};

}  // namespace sluice::http1
