#include "reconcilers/promotion/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "reconcilers/common/resources.h"
#include "reconcilers/promotion/limits.h"
#include "reconcilers/promotion/reconciler.h"

namespace sluice::promotion {
namespace {

using meta::Key;

std::string At(const meta::Object& object, const char* pointer) {
  return object.ToJson().value(nlohmann::json::json_pointer(pointer), "");
}

const meta::Object& Either(const cache::Event& event) {
  return event.after != nullptr ? *event.after : *event.before;
}

std::vector<Key> SitesOfClass(const cache::Store& sites, std::string_view name) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& site : sites.List()) {
    if (At(*site, "/spec/classRef/name") == name) keys.push_back(site->key());
  }
  return keys;
}

// Spec, deletion, and the stage: reaching one is when the next step begins.
bool SiteMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  return event.before->generation() != event.after->generation() ||
         event.before->deleting() != event.after->deleting() ||
         At(*event.before, "/status/stage") != At(*event.after, "/status/stage");
}

// Our own verdicts must not call us again; a new, ended or deleted Promotion does.
bool PromotionMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  return At(*event.before, "/status/outcome") != At(*event.after, "/status/outcome");
}

bool SpecChanged(const cache::Event& event) {
  return event.before == nullptr || event.after == nullptr ||
         event.before->generation() != event.after->generation();
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const Stores stores{manager.StoreOf(common::kSites), manager.StoreOf(common::kSiteClasses),
                      manager.StoreOf(common::kStagePlans), manager.StoreOf(common::kPromotions),
                      manager.StoreOf(common::kObjectives)};
  manager.AddIndex(common::kPromotions, kPromotionsBySite, [](const meta::Object& promotion) {
    return std::vector<std::string>{At(promotion, "/spec/siteRef/name")};
  });
  const cache::Store* sites = &stores.sites;
  const cache::Store* classes = &stores.classes;
  manager
      .NewController(
          "promotion", common::kSites,
          std::make_shared<PromotionReconciler>(stores, deps.api, deps.secrets, deps.audit,
                                                manager.recorder(), manager.metrics(), deps.clock))
      .When(SiteMatters)
      .Workers(kWorkers)
      .Watches(common::kPromotions,
               [](const cache::Event& event) {
                 std::vector<Key> keys;
                 if (PromotionMatters(event)) {
                   keys.push_back({"", At(Either(event), "/spec/siteRef/name")});
                 }
                 return keys;
               })
      .Watches(common::kSiteClasses,
               [sites](const cache::Event& event) {
                 return SpecChanged(event) ? SitesOfClass(*sites, Either(event).name())
                                           : std::vector<Key>();
               })
      .Watches(common::kStagePlans,
               [sites, classes](const cache::Event& event) {
                 std::vector<Key> keys;
                 if (!SpecChanged(event)) return keys;
                 for (const meta::ObjectPtr& site_class : classes->List()) {
                   if (At(*site_class, "/spec/stagePlanRef/name") != Either(event).name()) continue;
                   for (Key& key : SitesOfClass(*sites, site_class->name())) {
                     keys.push_back(std::move(key));
                   }
                 }
                 return keys;
               })
      .Watches(common::kObjectives, [](const cache::Event& event) {
        std::vector<Key> keys;
        if (SpecChanged(event) && At(Either(event), "/spec/subjectRef/kind") == "Site") {
          keys.push_back({"", At(Either(event), "/spec/subjectRef/name")});
        }
        return keys;
      });
}

}  // namespace sluice::promotion
