// Bytes that must stand in no head: control characters but the tab (RFC 9110, 5.5). Pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice::http {

inline bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

// Eight bytes at a time: a token of a thousand bytes goes out with every request.
inline bool HasControl(std::string_view text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = 0x8080808080808080;
  while (text.size() >= sizeof(std::uint64_t)) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, text.data(), sizeof(bytes));
    const std::uint64_t del = bytes ^ (kOnes * 0x7f);
    // Not zero when a byte is below 0x20 (a tab, too), or is 0x7f.
    const std::uint64_t low = (bytes - kOnes * 0x20) & ~bytes & kHighs;
    if ((low | ((del - kOnes) & ~del & kHighs)) != 0) {
      for (std::size_t i = 0; i < sizeof(bytes); ++i) {
        if (IsControl(text[i])) return true;
      }
    }
    text.remove_prefix(sizeof(bytes));
  }
  for (const char c : text) {
    if (IsControl(c)) return true;
  }
  return false;
}

}  // namespace sluice::http
