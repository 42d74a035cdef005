#include "reconcilers/site/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "reconcilers/common/resources.h"
#include "reconcilers/site/reconciler.h"

namespace sluice::site {
namespace {

using meta::Key;

// Sites whose spec has `value` at `pointer`.
std::vector<Key> SitesWith(const cache::Store& sites, const char* pointer, std::string_view value) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& site : sites.List()) {
    if (site->ToJson().value(nlohmann::json::json_pointer(pointer), "") == value) {
      keys.push_back(site->key());
    }
  }
  return keys;
}

std::vector<Key> AllSites(const cache::Store& sites) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& site : sites.List()) keys.push_back(site->key());
  return keys;
}

const meta::Object& Either(const cache::Event& event) {
  return event.after != nullptr ? *event.after : *event.before;
}

// A node's heartbeat changes its conditions only; what sites look at is labels and capacity.
bool NodeMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  const nlohmann::json before = event.before->ToJson();
  const nlohmann::json after = event.after->ToJson();
  for (const char* pointer : {"/metadata/labels", "/status/capacity"}) {
    const nlohmann::json::json_pointer at(pointer);
    if (before.value(at, nlohmann::json()) != after.value(at, nlohmann::json())) return true;
  }
  return false;
}

// What a Site's configuration and counts depend on: its spec and deletion, and the stage it
// reached.
bool SiteMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  if (event.before->generation() != event.after->generation()) return true;
  if (event.before->deleting() != event.after->deleting()) return true;
  if (event.before->HasFinalizer(kFinalizer) != event.after->HasFinalizer(kFinalizer)) return true;
  const nlohmann::json::json_pointer stage("/status/stage");
  return event.before->ToJson().value(stage, "") != event.after->ToJson().value(stage, "");
}

void WatchWorld(runtime::ControllerBuilder& controller, const Stores& stores,
                const runtime::StoreOptions& own_secrets) {
  const cache::Store* sites = &stores.sites;
  const cache::Store* classes = &stores.classes;
  controller.When(SiteMatters)
      .Watches(common::kSiteClasses,
               [sites](const cache::Event& event) {
                 return SitesWith(*sites, "/spec/classRef/name", Either(event).name());
               })
      .Watches(common::kStagePlans,
               [sites, classes](const cache::Event& event) {
                 std::vector<Key> keys;
                 for (const Key& site_class :
                      SitesWith(*classes, "/spec/stagePlanRef/name", Either(event).name())) {
                   for (Key& key : SitesWith(*sites, "/spec/classRef/name", site_class.name)) {
                     keys.push_back(std::move(key));
                   }
                 }
                 return keys;
               })
      .Watches(common::kTenants,
               [](const cache::Event& event) {
                 std::vector<Key> keys;
                 for (const meta::ObjectPtr& tenant : {event.before, event.after}) {
                   if (tenant == nullptr) continue;
                   for (std::string& site : common::SitesOfTenant(*tenant))
                     keys.push_back({"", std::move(site)});
                 }
                 return keys;
               })
      .Watches(common::kNodes,
               [sites](const cache::Event& event) {
                 return NodeMatters(event) ? AllSites(*sites) : std::vector<Key>();
               })
      .Watches(common::kSecrets, own_secrets,
               [sites](const cache::Event&) { return AllSites(*sites); });
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const runtime::StoreOptions managed{.ns = "", .label_selector = common::kManagedSelector};
  const runtime::StoreOptions own_secrets{.ns = deps.secrets.own_namespace()};
  const Stores stores{manager.StoreOf(common::kSites), manager.StoreOf(common::kSiteClasses),
                      manager.StoreOf(common::kStagePlans), manager.StoreOf(common::kTenants),
                      manager.StoreOf(common::kNodes)};
  manager.AddIndex(common::kTenants, common::kTenantsBySite, common::SitesOfTenant);
  const OwnedStores owned{manager.StoreOf(common::kNamespaces, managed),
                          manager.StoreOf(common::kServiceAccounts, managed),
                          manager.StoreOf(common::kConfigMaps, managed),
                          manager.StoreOf(common::kDaemonSets, managed),
                          manager.StoreOf(common::kServices, managed),
                          manager.StoreOf(common::kObjectives)};

  auto derived = std::make_shared<DerivedConfigs>();
  // The trigger exists once the controller does; until then nothing runs.
  auto trigger = std::make_shared<runtime::Trigger>();
  struct Configs final : reconcile::Reconciler {
    Configs(std::shared_ptr<DerivedConfigs> shared, const Stores& stores, const Deps& deps,
            std::shared_ptr<runtime::Trigger> changed)
        : derived(std::move(shared)),
          inner(stores, deps.secrets, deps.publisher, *derived,
                [changed](const Key& key) { (*changed)(key); }) {}
    reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override {
      return inner.Reconcile(request, stop);
    }
    std::shared_ptr<DerivedConfigs> derived;
    ConfigReconciler inner;
  };
  auto& configs = manager.NewController("site-config", common::kSites,
                                        std::make_shared<Configs>(derived, stores, deps, trigger));
  configs.NeedsNoLeader();
  WatchWorld(configs, stores, own_secrets);

  auto reconciler = std::make_shared<SiteReconciler>(
      stores, owned, deps.secrets, deps.api, deps.publisher, deps.fleet, *derived, deps.options,
      manager.recorder(), manager.metrics(), deps.clock);
  auto& site = manager.NewController("site", common::kSites, reconciler);
  WatchWorld(site, stores, own_secrets);
  site.Owns(common::kNamespaces, managed)
      .Owns(common::kServiceAccounts, managed)
      .Owns(common::kConfigMaps, managed)
      .Owns(common::kDaemonSets, managed)
      .Owns(common::kServices, managed)
      .Owns(common::kObjectives)
      .Workers(2);
  *trigger = manager.TriggerOf("site");
  deps.fleet.OnChange([trigger](const std::string& name) { (*trigger)({"", name}); });
}

}  // namespace sluice::site
