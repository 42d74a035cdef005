// Bounds of the process around the reconcilers, in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::runtime {

inline constexpr std::size_t kMaxControllers = 64;
inline constexpr std::size_t kMaxReadyChecks = 64;
inline constexpr std::size_t kMaxDebugEntries = 1000;  // of each queue
// From the wish to stop until everything is joined; afterwards the process ends by force.
inline constexpr std::chrono::seconds kStopDeadline{25};
// How often a start that waits for caches says for which.
inline constexpr std::chrono::seconds kSyncReport{10};

}  // namespace sluice::runtime
