// For the tests of this folder: the caches of everything a Site looks at.
#pragma once

#include "controller/base/clock.h"
#include "controller/cache/memory_store.h"
#include "controller/meta/object.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/tenants.h"

namespace sluice::site {

// One store a kind, filled from the API by hand: a cache as stale as the test wants it.
struct Caches {
  explicit Caches(base::Clock& clock)
      : sites(common::kSites, clock),
        classes(common::kSiteClasses, clock),
        plans(common::kStagePlans, clock),
        tenants(common::kTenants, clock),
        nodes(common::kNodes, clock),
        secrets(common::kSecrets, clock),
        namespaces(common::kNamespaces, clock),
        accounts(common::kServiceAccounts, clock),
        config_maps(common::kConfigMaps, clock),
        daemon_sets(common::kDaemonSets, clock),
        services(common::kServices, clock),
        objectives(common::kObjectives, clock),
        releases(common::kReleases, clock),
        rollouts(common::kRollouts, clock) {
    tenants.AddIndex(common::kTenantsBySite, common::SitesOfTenant);
  }
  void Fill(testing_kit::FakeApi& api);  // testing_test.cc

  cache::MemoryStore sites, classes, plans, tenants, nodes, secrets, namespaces, accounts,
      config_maps, daemon_sets, services, objectives, releases, rollouts;
};

}  // namespace sluice::site
