// Who may be an agent of a Site at this moment, by what the caches say:
//
//  1. the Site exists,
//  2. the namespace (in the Site's cluster, as all that follows) its agents run in was made for
//  this very Site (the test that the reconciler
//     makes before it uses one): in anybody else's, a service account of the agents' name is
//     somebody else's,
//  3. the node exists and the Site selects it.
//
// Thread rule: any thread; answers at once.
#pragma once

#include <string>

#include "controller/base/status.h"
#include "controller/cache/store.h"
#include "controller/runtime/manager.h"
#include "reconcilers/site/clusters.h"

namespace sluice::site {

struct Roster {
  const cache::Store& sites;
  const cache::Store& namespaces;
  const cache::Store& nodes;
  const SiteClusters* clusters = nullptr;  // of Sites elsewhere: their namespaces and nodes

  // Errors: NotFound and PermissionDenied (no, and why); Unavailable (a cache is not filled yet).
  base::Status Has(const std::string& site, const std::string& node) const;
};

// Over the caches that Register made.
Roster RosterOf(runtime::Manager& manager, const SiteClusters* clusters = nullptr);

}  // namespace sluice::site
