// Every bound of this folder.
#pragma once

#include <chrono>

namespace sluice::site {

// How often a deletion under way is looked at.
inline constexpr std::chrono::milliseconds kTearDownLook{1000};
// How long the DaemonSet's deletion waits for its pods. A pod on a node that is gone never ends by
// itself, and would hold the Site for ever.
inline constexpr std::chrono::minutes kForegroundPatience{10};
// How often a namespace that is not ours, and so is not watched, is looked at.
inline constexpr std::chrono::seconds kTakenLook{15};

}  // namespace sluice::site
