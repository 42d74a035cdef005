// Incremental parser of HTTP/1.1 answers (RFC 9112), as strict as a client can afford to be: takes
// bytes in any cutting, gives the head once and the body piece by piece. Does no I/O; fuzzed by
// response_parser_fuzz.cc.
//
// Refused (DataLoss): bare LF line ends in the head, Transfer-Encoding other than chunked, both
// Transfer-Encoding and Content-Length, Content-Lengths that differ, 101 answers, more than the
// bounds of limits.h (ResourceExhausted).
//
// Thread rule: one thread at a time; FindHeader is pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/base/status.h"

namespace sluice::http {

struct Header {
  std::string name;
  std::string value;
  friend bool operator==(const Header&, const Header&) = default;
};
using Headers = std::vector<Header>;

// The first value of `name` (case does not matter), empty when absent.
std::string_view FindHeader(const Headers& headers, std::string_view name);

// Takes the next piece of a body; an error ends the call with it. The first one, always empty, says
// that the head has come.
using BodySink = std::function<base::Status(std::string_view piece)>;

class ResponseParser {
 public:
  // `no_body`: the answer to HEAD or CONNECT.
  explicit ResponseParser(bool no_body) : no_body_(no_body) {}

  // Consumes bytes up to the end of the message and returns how many; body pieces go to `sink`.
  base::StatusOr<std::size_t> Feed(std::string_view bytes, const BodySink& sink);
  // The peer closed. OK when the message may end here; Unavailable when it was cut.
  base::Status FeedEnd();

  bool started() const { return started_; }  // any byte seen
  bool head_done() const { return state_ != State::kHead; }
  bool done() const { return state_ == State::kDone; }
  // Whether the connection may carry another request, once done().
  bool keep_alive() const { return done() && keep_alive_; }

  int status() const { return status_; }
  const Headers& headers() const { return headers_; }
  Headers TakeHeaders() { return std::move(headers_); }  // the parser's last act

 private:
  enum class State { kHead, kFixed, kChunkSize, kChunkData, kChunkEnd, kTrailer, kToClose, kDone };

  base::StatusOr<std::size_t> FeedHead(std::string_view bytes);
  base::Status TakeHead(std::string_view head);
  base::Status ParseHead(std::string_view head);
  base::Status ParseStatusLine(std::string_view line);
  base::Status ParseHeaderLine(std::string_view line);
  base::Status ChooseFraming();
  // Gathers one CRLF line of the chunked framing into line_; true when it is whole.
  base::StatusOr<bool> GatherLine(std::string_view& bytes);
  base::Status ChunkLine();

  const bool no_body_;
  bool started_ = false;
  bool keep_alive_ = true;
  State state_ = State::kHead;
  std::string head_;
  std::string line_;
  std::size_t trailer_bytes_ = 0;
  std::uint64_t left_ = 0;  // of the fixed body or the chunk
  int status_ = 0;
  Headers headers_;
};

}  // namespace sluice::http
