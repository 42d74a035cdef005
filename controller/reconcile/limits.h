// Bounds of the reconcile loop, in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::reconcile {

inline constexpr int kMaxWorkers = 512;
// Last errors kept for /debug, one a key, newest kept.
inline constexpr std::size_t kMaxLastErrors = 256;
// How long a key waits before it is looked at again because the cache is older than our last write.
inline constexpr std::chrono::milliseconds kStaleWait{20};

}  // namespace sluice::reconcile
