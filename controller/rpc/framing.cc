#include "controller/rpc/framing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace sluice::rpc {

using std::chrono::nanoseconds;

Prefix PrefixOf(std::size_t message_bytes) {
  SLUICE_CHECK(message_bytes <= UINT32_MAX);
  Prefix out{};  // the first byte: not compressed
  for (std::size_t i = 1; i < kPrefixBytes; ++i) {
    out[i] = static_cast<char>(message_bytes >> (8 * (kPrefixBytes - 1 - i)));
  }
  return out;
}

base::StatusOr<std::size_t> MessageReader::SizeIn(std::string_view prefix) const {
  if (prefix[0] == 1) return base::Unimplemented("compressed messages are not taken");
  if (prefix[0] != 0) return base::Internal("not a gRPC message");
  std::size_t size = 0;
  for (std::size_t i = 1; i < kPrefixBytes; ++i) {
    size = size << 8 | static_cast<unsigned char>(prefix[i]);
  }
  if (size > most_bytes_) {
    return base::ResourceExhausted(
        fmt::format("a message of {} bytes; at most {} are taken", size, most_bytes_));
  }
  return size;
}

base::Status MessageReader::Feed(std::string_view bytes, const Take& take) {
  while (!bytes.empty()) {
    if (!midway() && bytes.size() >= kPrefixBytes) {
      SLUICE_ASSIGN_OR_RETURN(const std::size_t size, SizeIn(bytes));
      if (bytes.size() - kPrefixBytes >= size) {
        take(bytes.substr(kPrefixBytes, size));
        bytes.remove_prefix(kPrefixBytes + size);
        continue;
      }
    }
    const bool headless = partial_.size() < kPrefixBytes;
    const std::size_t wanted = kPrefixBytes + (headless ? 0 : size_);
    const std::size_t some = std::min(wanted - partial_.size(), bytes.size());
    partial_.append(bytes.substr(0, some));
    bytes.remove_prefix(some);
    if (partial_.size() < wanted) continue;
    if (headless) {
      SLUICE_ASSIGN_OR_RETURN(size_, SizeIn(partial_));
      if (size_ > 0) continue;
    }
    const std::string whole = std::exchange(partial_, {});
    take(std::string_view(whole).substr(kPrefixBytes));
  }
  return base::OkStatus();
}

std::string PercentEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::optional<nanoseconds> ParseTimeout(std::string_view text) {
  constexpr std::size_t kMostDigits = 8;
  if (text.size() < 2 || text.size() > kMostDigits + 1) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  switch (text.back()) {
    case 'H':  // beyond what nanoseconds can say: as good as for ever
      return std::chrono::hours(std::min<std::int64_t>(value, 1'000'000));
    case 'M':
      return std::chrono::minutes(value);
    case 'S':
      return std::chrono::seconds(value);
    case 'm':
      return std::chrono::milliseconds(value);
    case 'u':
      return std::chrono::microseconds(value);
    case 'n':
      return nanoseconds(value);
    default:
      return std::nullopt;
  }
}

}  // namespace sluice::rpc
