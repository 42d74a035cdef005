// The body of the request in hand, decoded and verified (s3/payload.h), read through the
// connection's input buffer. Thread rule: the connection's loop.
#pragma once

#include <cstdint>
#include <string_view>

#include "datapath/s3/payload.h"

namespace sluice::serve {

class Connection;

class ClientBody {
 public:
  explicit ClientBody(Connection& connection) : connection_(connection) {}

  // `checksums_cover_body`: see PayloadReader::Start. A request without a body is done at once.
  s3::Error Start(bool checksums_cover_body);
  std::uint64_t length() const { return expects_ ? payload_.length() : 0; }

  // What came, or will come, behind the body (s3/payload.h).
  const s3::PayloadReader& payload() const { return payload_; }

  enum class State : std::uint8_t {
    kData,     // `data` is good until the next call
    kBlocked,  // the client's OnClientReadable follows
    kDone,
    kError,  // `error` is to be told
    kGone,   // the client has gone; the connection is closed
  };
  struct Step {
    State state = State::kDone;
    std::string_view data;
    s3::Error error;
  };
  Step Next();
  bool done() const { return done_; }
  // Tells a client that waits for it to send the body.
  void Welcome();
  // Where the next request begins in the input buffer, once done.
  std::size_t end() const { return begin_; }

 private:
  bool ReadMore(bool* gone);

  Connection& connection_;
  s3::PayloadReader payload_;
  bool expects_ = false;
  bool done_ = true;
  std::size_t begin_ = 0;  // of unread bytes in the input buffer
};

}  // namespace sluice::serve
