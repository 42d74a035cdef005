// Every bound of reconcilers/gates/objects that is not the evaluator's own
// (reconcilers/gates/limits.h).
#pragma once

#include <chrono>

#include "controller/base/clock.h"

namespace sluice::gates {

// Two looks at one object's gates are at least and at most this far apart (five scrapes in
// between).
inline constexpr base::Duration kShortestLook = std::chrono::seconds(2);
inline constexpr base::Duration kLongestLook = std::chrono::seconds(15);
inline constexpr int kLookScrapes = 5;
// While nothing but time holds it, looks may be this far apart.
inline constexpr base::Duration kSoakLook = std::chrono::minutes(5);

}  // namespace sluice::gates
