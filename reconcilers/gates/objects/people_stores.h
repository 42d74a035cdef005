// Where people's objects are cached; both reconcilers that ask gates look at them so.
#pragma once

#include "reconcilers/gates/objects/people.h"

namespace sluice::cache {
class Store;
}  // namespace sluice::cache

namespace sluice::gates {

// A store that is null has none. They must outlive this; thread rule: cache::Store's.
struct PeopleStores {
  const cache::Store* reviews = nullptr;
  const cache::Store* decisions = nullptr;
  const cache::Store* approvals = nullptr;
  const cache::Store* exemptions = nullptr;
  const cache::Store* freezes = nullptr;
  const cache::Store* incidents = nullptr;

  PeopleObjects All() const;
};

}  // namespace sluice::gates
