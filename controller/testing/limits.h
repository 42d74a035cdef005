// Bounds of the test kit, in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::testing_kit {

// Events the fake keeps for watches; an older resourceVersion gets 410, as on a real server.
inline constexpr std::size_t kMaxFakeHistory = 10'000;
// How long WaitUntil waits before it gives up.
inline constexpr std::chrono::seconds kDefaultWait{60};

}  // namespace sluice::testing_kit
