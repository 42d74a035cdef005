// The caches a Rollout is judged by.
#pragma once

#include "controller/cache/store.h"

namespace sluice::rollout {

struct Stores {
  cache::Store& rollouts;
  cache::Store& sites;
  const cache::Store& releases;
  const cache::Store& classes;
  const cache::Store& plans;
  const cache::Store& objectives;
  // Of people's kinds; null: there are none.
  const cache::Store* reviews = nullptr;
  const cache::Store* decisions = nullptr;
  const cache::Store* approvals = nullptr;
  const cache::Store* exemptions = nullptr;
  const cache::Store* freezes = nullptr;
  const cache::Store* incidents = nullptr;
};

}  // namespace sluice::rollout
