// Every bound of reconcilers/governance in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::governance {

// What a status lists at most, in entries and in bytes of each.
inline constexpr std::size_t kMaxListed = 32;
inline constexpr std::size_t kMaxVoices = 16;
inline constexpr std::size_t kMaxEntryBytes = 512;
inline constexpr std::size_t kMaxWhyBytes = 256;
// A status is looked at again at the next boundary it knows of, and at least this often.
inline constexpr std::chrono::seconds kLongestLook{3600};
inline constexpr std::chrono::seconds kShortestLook{1};

}  // namespace sluice::governance
