// Bounds of this folder: every queue, cache, buffer and retry has one, and it stands here.
#pragma once

#include <cstddef>

namespace sluice::http1 {

inline constexpr std::size_t kMaxHeadBytes = 16 << 10;    // start line, headers, blank line
inline constexpr std::size_t kMaxHeaders = 100;           // lines in one head
inline constexpr std::size_t kMaxLeadingCrlf = 4;         // bytes of empty lines before a request
inline constexpr std::size_t kMaxChunkLineBytes = 1024;   // chunk size with extensions
inline constexpr std::size_t kMaxTrailerBytes = 8 << 10;  // all trailer lines of one body

}  // namespace sluice::http1
