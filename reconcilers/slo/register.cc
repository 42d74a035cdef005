#include "reconcilers/slo/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "controller/runtime/predicates.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/tenants.h"
#include "reconcilers/slo/limits.h"
#include "reconcilers/slo/reconciler.h"

namespace sluice::slo {
namespace {

using nlohmann::json;

// Objectives about a site, and about tenants that are measured there: at their first site.
std::vector<meta::Key> OfSite(const Stores& stores, std::string_view site) {
  std::vector<meta::Key> keys;
  for (const meta::ObjectPtr& objective : stores.objectives.List()) {
    const json subject = objective->ToJson().value("/spec/subjectRef"_json_pointer, json::object());
    std::string name = subject.value("name", "");
    if (subject.value("kind", "") == "Tenant") {
      const meta::ObjectPtr tenant = stores.tenants.Get({"", name});
      const auto sites =
          tenant != nullptr ? common::SitesOfTenant(*tenant) : std::vector<std::string>();
      name = sites.empty() ? "" : sites.front();
    }
    if (name == site) keys.push_back(objective->key());
  }
  return keys;
}

std::vector<meta::Key> OfTenant(const Stores& stores, std::string_view tenant) {
  const json wanted = {{"kind", "Tenant"}, {"name", tenant}};
  std::vector<meta::Key> keys;
  for (const meta::ObjectPtr& objective : stores.objectives.List()) {
    if (objective->ToJson().value("/spec/subjectRef"_json_pointer, json()) == wanted) {
      keys.push_back(objective->key());
    }
  }
  return keys;
}

runtime::Mapper Objectives(const Stores& stores,
                           std::vector<meta::Key> (*of)(const Stores&, std::string_view)) {
  return [stores, of](const cache::Event& event) {
    if (!runtime::SpecChanged(event)) return std::vector<meta::Key>();
    return of(stores, (event.after != nullptr ? event.after : event.before)->name());
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
      .Watches(common::kSites, Objectives(stores, OfSite))
      .Watches(common::kTenants, Objectives(stores, OfTenant));
}

}  // namespace sluice::slo
