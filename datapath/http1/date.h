// HTTP dates (RFC 9110 §5.6.7) and the basic ISO 8601 form that SigV4 uses. Pure; any thread.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "controller/base/clock.h"

namespace sluice::http1 {

inline constexpr std::size_t kHttpDateBytes = 29;   // "Sun, 06 Nov 1994 08:49:37 GMT"
inline constexpr std::size_t kBasicDateBytes = 16;  // "19941106T084937Z"

std::string_view FormatHttpDate(base::WallTime time, std::span<char, kHttpDateBytes> out);
std::string_view FormatBasicDate(base::WallTime time, std::span<char, kBasicDateBytes> out);

// The preferred form, and the two obsolete ones a recipient must accept (RFC 850, asctime).
std::optional<base::WallTime> ParseHttpDate(std::string_view text);
std::optional<base::WallTime> ParseBasicDate(std::string_view text);

}  // namespace sluice::http1
