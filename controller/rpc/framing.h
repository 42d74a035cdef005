// What gRPC adds to HTTP/2, as far as it is bytes: messages behind a prefix of five bytes, statuses
// in percent encoding, timeouts. Pure. Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md of the gRPC
// project).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::rpc {

inline constexpr std::size_t kPrefixBytes = 5;
using Prefix = std::array<char, kPrefixBytes>;

// Of an uncompressed message. `message_bytes` fits 32 bits.
Prefix PrefixOf(std::size_t message_bytes);

// Cuts the bytes of a call into messages. A message that comes in one piece is not copied; of one
// that comes in parts no more is kept than has come, and never more than its bound.
class MessageReader {
 public:
  using Take = std::function<void(std::string_view message)>;
  explicit MessageReader(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // Calls `take` for every message that is whole now. After an error the call is over. Errors:
  // ResourceExhausted (its prefix announces more than the bound); Unimplemented (compressed);
  // Internal (no such prefix).
  base::Status Feed(std::string_view bytes, const Take& take);
  // A message has begun and is not whole.
  bool midway() const { return !partial_.empty(); }
  std::size_t held_bytes() const { return midway() ? partial_.capacity() : 0; }

 private:
  base::StatusOr<std::size_t> SizeIn(std::string_view prefix) const;

  std::size_t most_bytes_;
  std::size_t size_ = 0;  // of the message in partial_, once its prefix is whole
  std::string partial_;   // prefix and all
};

// For the header field grpc-message. What is not printable ASCII, and '%', becomes %XX.
std::string PercentEncode(std::string_view text);

// Of the header field grpc-timeout ("100m"); nullopt: not of that form.
std::optional<std::chrono::nanoseconds> ParseTimeout(std::string_view text);

}  // namespace sluice::rpc
