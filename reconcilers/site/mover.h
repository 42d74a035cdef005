// Gives the new template to as many of a Site's nodes as its Rollout allows, by deleting pods
// (partition.h decides which). Reads the API server, not a cache: there is none of pods, which
// would cost memory and wake us for every agent of every site while nothing moves.
//
// Thread rule: any thread, one Site by one thread at a time. Blocks for three reads and the
// deletions.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "controller/base/status.h"
#include "controller/client/client.h"
#include "reconcilers/site/inputs.h"

namespace sluice::site {

// What one look found; counts are those of `image`.
struct Moved {
  std::string image;
  int wanted = 0;
  int updated = 0;
  int updated_ready = 0;
  int failed = 0;
  std::string failure;
};

// Needs in.partition.active. nullopt: the DaemonSet controller has not taken the newest template
// yet.
base::StatusOr<std::optional<Moved>> MoveNodes(client::Client& api, const Inputs& in,
                                               base::WallTime now);

// When to look again: listing a large site's pods is not free.
std::chrono::milliseconds MoveLook(int nodes);

}  // namespace sluice::site
