#include "reconcilers/gates/objects/people_stores.h"

#include "controller/cache/store.h"

namespace sluice::gates {

PeopleObjects PeopleStores::All() const {
  const auto all = [](const cache::Store* store) {
    return store == nullptr ? std::vector<meta::ObjectPtr>() : store->List();
  };
  return {.reviews = all(reviews),
          .decisions = all(decisions),
          .approvals = all(approvals),
          .exemptions = all(exemptions),
          .freezes = all(freezes),
          .incidents = all(incidents)};
}

}  // namespace sluice::gates
