#include "reconcilers/site/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/events.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/node_prune.h"
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
      .Watches(common::kSecrets, own_secrets,
               [sites](const cache::Event&) { return AllSites(*sites); });
}

void WatchReleases(runtime::ControllerBuilder& controller, const cache::Store& sites) {
  const auto named = [all = &sites](const char* pointer) {
    return [all, pointer](const cache::Event& event) {
      return SitesWith(*all, pointer, Either(event).name());
    };
  };
  controller.Watches(common::kReleases, named("/spec/release/releaseRef/name"))
      .Watches(common::kRollouts, named("/spec/release/rolloutRef/name"));
}

// The Sites of this cluster, or those of all others. One that went is forgotten by both, each after
// its own last look: the other's would bring its series back.
class Half final : public reconcile::Reconciler {
 public:
  Half(bool elsewhere, const cache::Store& sites, std::shared_ptr<SiteReconciler> whole,
       SiteClusters* clusters)
      : elsewhere_(elsewhere), sites_(sites), whole_(std::move(whole)), clusters_(clusters) {}
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override {
    const meta::ObjectPtr site = sites_.Get(request.key);
    if (site == nullptr) return whole_->Reconcile(request, stop);
    const bool elsewhere = clusters_ != nullptr && IsElsewhere(*site);
    if (elsewhere != elsewhere_) return reconcile::Result::Done();
    const auto turn = elsewhere ? clusters_->Enter(*site) : nullptr;
    if (elsewhere && turn == nullptr) return reconcile::Result::Later(kBusyLook);
    return whole_->Reconcile(request, stop);
  }

 private:
  const bool elsewhere_;
  const cache::Store& sites_;
  const std::shared_ptr<SiteReconciler> whole_;
  SiteClusters* const clusters_;
};

// For Sites of this cluster, and those of others, when there are any.
runtime::Trigger WhereverItIs(const cache::Store& sites, runtime::Trigger here,
                              runtime::Trigger elsewhere) {
  return [&sites, here = std::move(here), elsewhere = std::move(elsewhere)](const Key& key) {
    const meta::ObjectPtr object = elsewhere ? sites.Get(key) : nullptr;
    (object != nullptr && IsElsewhere(*object) ? elsewhere : here)(key);
  };
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const runtime::StoreOptions managed{.ns = "", .label_selector = common::kManagedSelector};
  const runtime::StoreOptions own_secrets{.ns = deps.secrets.own_namespace()};
  manager.Prune(common::kNodes, PruneNode);
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
  const ReleaseStores release_stores{manager.StoreOf(common::kReleases),
                                     manager.StoreOf(common::kRollouts)};

  auto derived = std::make_shared<DerivedConfigs>();
  // The trigger exists once the controller does; until then nothing runs.
  auto trigger = std::make_shared<runtime::Trigger>();
  struct Configs final : reconcile::Reconciler {
    Configs(std::shared_ptr<DerivedConfigs> shared, const Stores& stores, const Deps& deps,
            std::shared_ptr<runtime::Trigger> changed)
        : derived(std::move(shared)),
          inner(
              stores, deps.secrets, deps.publisher, *derived,
              [changed](const Key& key) { (*changed)(key); }, deps.clusters) {}
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

  // One that waits for another cluster must not hold up the Sites of this one, nor they it.
  auto reconciler = std::make_shared<SiteReconciler>(
      stores, owned, release_stores, deps.secrets, deps.api, deps.publisher, deps.fleet, *derived,
      deps.options, manager.recorder(), manager.metrics(), deps.clock, deps.clusters);
  auto& site =
      manager.NewController("site", common::kSites,
                            std::make_shared<Half>(false, stores.sites, reconciler, deps.clusters));
  WatchWorld(site, stores, own_secrets);
  site.Owns(common::kNamespaces, managed)
      .Owns(common::kServiceAccounts, managed)
      .Owns(common::kConfigMaps, managed)
      .Owns(common::kDaemonSets, managed)
      .Owns(common::kServices, managed)
      .Owns(common::kObjectives)
      .Watches(common::kNodes,
               [all = &stores.sites](const cache::Event& event) {
                 return NodeMatters(event) ? AllSites(*all) : std::vector<Key>();
               })
      .Workers(2);
  WatchReleases(site, stores.sites);
  runtime::Trigger here = manager.TriggerOf("site"), elsewhere;
  runtime::Trigger agents_here = manager.GatheringTriggerOf("site", kAgentsGather);
  runtime::Trigger agents_elsewhere;
  if (deps.clusters != nullptr) {
    auto& other = manager.NewController(
        "site-elsewhere", common::kSites,
        std::make_shared<Half>(true, stores.sites, reconciler, deps.clusters));
    WatchWorld(other, stores, own_secrets);
    WatchReleases(other, stores.sites);
    other.Owns(common::kObjectives).Workers(kElsewhereWorkers).GrowsTo(kMostElsewhereWorkers);
    elsewhere = manager.TriggerOf("site-elsewhere");
    agents_elsewhere = manager.GatheringTriggerOf("site-elsewhere", kAgentsGather);
    deps.clusters->OnChange(elsewhere);
  }
  *trigger = WhereverItIs(stores.sites, std::move(here), std::move(elsewhere));
  deps.fleet.OnChange([told = WhereverItIs(stores.sites, std::move(agents_here),
                                           std::move(agents_elsewhere))](const std::string& name) {
    told({"", name});
  });
}

}  // namespace sluice::site
