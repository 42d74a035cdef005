// Cuts a watch's byte stream into lines, in any cutting of the input, with a bound. Pure; fuzzed by
// controller/cache/watch_decoder_fuzz.cc. A line that comes whole in one piece is not copied.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::client {

class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}

  // Calls `on_line(std::string_view)` for every line that is whole now, without its newline; empty
  // lines are skipped. Ends with Cancelled when `on_line` returns false. Errors: ResourceExhausted.
  template <typename OnLine>
  base::Status Feed(std::string_view bytes, OnLine&& on_line) {
    while (!bytes.empty()) {
      const std::size_t newline = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, newline);
      if (carry_.size() + piece.size() > max_line_bytes_) {
        return base::ResourceExhausted("a line of the watch is too long");
      }
      if (newline == std::string_view::npos) {
        carry_ += piece;
        return base::OkStatus();
      }
      bytes.remove_prefix(newline + 1);
      std::string_view line = piece;
      if (!carry_.empty()) {
        carry_ += piece;
        line = carry_;
      }
      const bool more = line.empty() || on_line(line);
      Forget();
      if (!more) return base::Cancelled("the watch was not wanted further");
    }
    return base::OkStatus();
  }

  // Bytes of a line whose end has not come.
  std::size_t pending_bytes() const { return carry_.size(); }

 private:
  void Forget() {
    constexpr std::size_t kKeptCapacity = 64 << 10;  // one large event must not stay for ever
    if (carry_.capacity() > kKeptCapacity) carry_ = {};
    carry_.clear();
  }

  const std::size_t max_line_bytes_;
  std::string carry_;
};

}  // namespace sluice::client
