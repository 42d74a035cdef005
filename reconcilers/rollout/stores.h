// The caches a Rollout is judged by.
#pragma once

#include "controller/cache/store.h"
#include "reconcilers/gates/objects/people_stores.h"

namespace sluice::rollout {

struct Stores {
  cache::Store& rollouts;
  cache::Store& sites;
  const cache::Store& releases;
  const cache::Store& classes;
  const cache::Store& plans;
  const cache::Store& objectives;
  gates::PeopleStores people = {};
};

}  // namespace sluice::rollout
