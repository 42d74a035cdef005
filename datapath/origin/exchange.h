// One request to an origin and its answer: what a user of this folder sees.
//
// Thread rule: everything happens on the loop of the Client that started it. Callbacks come from
// the loop, never from inside a call. Inside any callback the user may destroy the Exchange, start
// others, or call its methods.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/http1/response.h"

namespace sluice::origin {

struct Request {
  http1::Method method = http1::Method::kGet;
  std::string bucket;  // the origin's own; empty for ListBuckets
  std::string key;     // decoded bytes; empty for bucket operations
  std::string query;   // from s3::QueryBuilder::Build(); empty: none
  // Lower-case names, without what signing adds (s3/sign.h). "range" and "if-match" for fills.
  std::vector<std::pair<std::string, std::string>> headers;
  // At most one of the two. `body` is kept and sent again on a retry. With `stream_bytes` the user
  // gives exactly that many bytes through Exchange::Send(); once it gave any, nothing is retried.
  std::string body;
  std::optional<std::uint64_t> stream_bytes;
  // Of the body: hex SHA-256, or empty for UNSIGNED-PAYLOAD (without any body: the empty hash).
  std::string payload_sha256;
  // Until the answer's head (of a streamed body: until its first byte is taken), queueing and
  // retries included; zero: the client's own.
  base::Duration head_deadline{0};
};

class ResponseHandler {
 public:
  virtual ~ResponseHandler() = default;
  // The final head, of any status; once at most. Views are good during the call only.
  virtual void OnHead(const http1::Response& response) = 0;
  // Where the next body bytes should go, at most `left` of them; asked only for bodies of known
  // length, and may be answered with an empty span: then OnData brings them in a buffer of the
  // client's. What is read into it is announced by OnData with a span at its front.
  virtual std::span<char> BodyBuffer(std::uint64_t left) {
    static_cast<void>(left);
    return {};
  }
  // Body bytes in order, good during the call only (unless they lie in the BodyBuffer).
  virtual void OnData(std::span<const char> bytes) = 0;
  // There is room for Exchange::Send(): at the start, and after it took less than was given.
  virtual void OnSendable() {}
  // The last callback. OK: the answer is complete, whatever its HTTP status. Otherwise:
  //  Unavailable        could not connect, reset, or the circuit is open (reason "CircuitOpen",
  //                     retry_after says for how long)
  //  DeadlineExceeded   connecting, first byte, or silence in the middle
  //  DataLoss           the body ended early or broke its framing, after OnHead
  //  ResourceExhausted  too many exchanges wait, or waited until the deadline
  //  Aborted            the user gave no bytes of a streamed body for too long
  //  InvalidArgument    the headers do not fit into a request
  virtual void OnDone(const base::Status& status) = 0;
};

// Destroying it cancels what is not done.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // After Pause() at most kScratchBytes, read already, are delivered; the socket then fills up and
  // the origin waits. No deadline runs while paused: whoever pauses watches the reason.
  virtual void Pause() = 0;
  virtual void Resume() = 0;
  // Gives bytes of a streamed body; returns how many were taken (zero: wait for OnSendable).
  virtual std::size_t Send(std::span<const char> bytes) = 0;
};

}  // namespace sluice::origin
