// Every bound of reconcilers/promotion in one place.
#pragma once

#include <chrono>
#include <cstddef>

#include "reconcilers/gates/objects/limits.h"

namespace sluice::promotion {

// Finished Promotions kept per site; the oldest go first.
inline constexpr std::size_t kMaxFinishedPerSite = 50;
using gates::kLongestLook;
// How long to wait for a cache that is behind, or after another writer was first.
inline constexpr std::chrono::milliseconds kCacheWait{50};
// Sites judged at the same time; each may wait for its own Prometheus.
inline constexpr int kWorkers = 4;

}  // namespace sluice::promotion
