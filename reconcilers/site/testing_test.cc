#include "reconcilers/site/testing.h"

#include <nlohmann/json.hpp>

namespace sluice::site {

void Caches::Fill(testing_kit::FakeApi& api) {
  for (cache::MemoryStore* store :
       {&sites, &classes, &plans, &tenants, &nodes, &secrets, &namespaces, &accounts, &config_maps,
        &daemon_sets, &services, &objectives, &releases, &rollouts}) {
    store->BeginState();
    for (const nlohmann::json& object : api.LookAll(store->resource())) {
      store->Put(*meta::Object::FromJson(object));
    }
    store->EndState("");
  }
}

}  // namespace sluice::site
