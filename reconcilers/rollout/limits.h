// Every bound of reconcilers/rollout in one place. The numbers of waves, gates and sites are the
// schema's.
#pragma once

#include <chrono>
#include <cstddef>

#include "controller/base/clock.h"

namespace sluice::rollout {

// Sites of one Rollout, as the schema of its status has it.
inline constexpr int kMaxSites = 32;
// Verdicts and blockers kept in the status, likewise.
inline constexpr int kMaxGates = 128;
inline constexpr std::size_t kMaxBlockers = 36;
// Bytes of a verdict's message: a hundred of them fit into one object.
inline constexpr std::size_t kMaxMessageBytes = 256;
// How often an open Rollout is looked at when no event and no time of its own says so.
inline constexpr base::Duration kLook = std::chrono::seconds(15);
inline constexpr base::Duration kShortestWait = std::chrono::milliseconds(500);
// How long to wait for a cache that is behind, or after another writer was first.
inline constexpr std::chrono::milliseconds kCacheWait{50};

}  // namespace sluice::rollout
