// Every bound of reconcilers/promotion in one place.
#pragma once

#include <chrono>
#include <cstddef>

#include "controller/base/clock.h"

namespace sluice::promotion {

// Finished Promotions kept per site; the oldest go first.
inline constexpr std::size_t kMaxFinishedPerSite = 50;
// Two looks at one Promotion are at least and at most this far apart (five scrapes in between).
inline constexpr base::Duration kShortestLook = std::chrono::seconds(2);
inline constexpr base::Duration kLongestLook = std::chrono::seconds(15);
inline constexpr int kLookScrapes = 5;
// While nothing but time holds it, looks may be this far apart.
inline constexpr base::Duration kSoakLook = std::chrono::minutes(5);
// How long to wait for a cache that is behind, or after another writer was first.
inline constexpr std::chrono::milliseconds kCacheWait{50};
// Sites judged at the same time; each may wait for its own Prometheus.
inline constexpr int kWorkers = 4;

}  // namespace sluice::promotion
