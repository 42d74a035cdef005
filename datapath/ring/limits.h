// Bounds of this folder.
#pragma once

#include <cstddef>

namespace sluice::ring {

// Events taken from the kernel in one turn. More only makes a turn longer, not cheaper.
inline constexpr std::size_t kMaxEventsPerWait = 256;

}  // namespace sluice::ring
