// Every bound of reconcilers/slo in one place.
#pragma once

#include <chrono>

#include "controller/base/clock.h"

namespace sluice::slo {

// Two readings of one objective are this many scrapes apart, within these ends.
inline constexpr int kLookScrapes = 5;
inline constexpr base::Duration kShortestLook = std::chrono::seconds(5);
inline constexpr base::Duration kLongestLook = std::chrono::seconds(60);
// How often to ask whether the PrometheusRule kind is installed, and whether our object still is.
inline constexpr base::Duration kRecheckRules = std::chrono::minutes(2);
inline constexpr int kWorkers = 4;
// Pairs of windows a status keeps (as its schema says).
inline constexpr int kMaxPairs = 8;

}  // namespace sluice::slo
