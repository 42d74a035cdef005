#include "reconcilers/slo/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "reconcilers/common/resources.h"
#include "reconcilers/slo/limits.h"
#include "reconcilers/slo/reconciler.h"

namespace sluice::slo {
namespace {

// Objectives about the object that changed; a change of its status concerns none.
runtime::Mapper ObjectivesOf(const cache::Store& objectives, std::string kind) {
  return [&objectives, kind = std::move(kind)](const cache::Event& event) {
    std::vector<meta::Key> keys;
    if (event.before != nullptr && event.after != nullptr &&
        event.before->generation() == event.after->generation()) {
      return keys;
    }
    const meta::Object& subject = event.after != nullptr ? *event.after : *event.before;
    const nlohmann::json wanted = {{"kind", kind}, {"name", subject.name()}};
    const nlohmann::json::json_pointer at("/spec/subjectRef");
    for (const meta::ObjectPtr& objective : objectives.List()) {
      if (objective->ToJson().value(at, nlohmann::json()) == wanted) {
        keys.push_back(objective->key());
      }
    }
    return keys;
  };
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const runtime::StoreOptions managed{.ns = "", .label_selector = common::kManagedSelector};
  const Stores stores{manager.StoreOf(common::kObjectives), manager.StoreOf(common::kSites),
                      manager.StoreOf(common::kTenants),
                      manager.StoreOf(common::kConfigMaps, managed)};
  manager
      .NewController(
          "slo", common::kObjectives,
          std::make_shared<SloReconciler>(stores, deps.api, deps.secrets, manager.recorder(),
                                          manager.metrics(), deps.clock))
      .Workers(kWorkers)
      .Owns(common::kConfigMaps, managed)
      .Watches(common::kSites, ObjectivesOf(stores.objectives, "Site"))
      .Watches(common::kTenants, ObjectivesOf(stores.objectives, "Tenant"));
}

}  // namespace sluice::slo
