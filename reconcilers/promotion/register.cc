#include "reconcilers/promotion/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "reconcilers/common/people_resources.h"
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

// What the Site's own controller says of its release's life.
std::string LifeOf(const meta::Object& site) {
  for (const auto& condition : site.ToJson().value(
           nlohmann::json::json_pointer("/status/conditions"), nlohmann::json::array())) {
    if (condition.value("type", "") == "ReleaseSupported") return condition.value("reason", "");
  }
  return {};
}

// Spec, deletion, the end of its release's life, and the stage: reaching one is when the next step
// begins.
bool SiteMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  return event.before->generation() != event.after->generation() ||
         event.before->deleting() != event.after->deleting() ||
         LifeOf(*event.before) != LifeOf(*event.after) ||
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

std::vector<Key> AllSites(const cache::Store& sites) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& site : sites.List()) keys.push_back(site->key());
  return keys;
}

// The site that a Decision is about; every site for one about an Exemption.
std::vector<Key> SitesOfDecision(const cache::Store& sites, const meta::Object& decision) {
  if (At(decision, "/spec/subject/kind") != "Site") return AllSites(sites);
  return {{"", At(decision, "/spec/subject/name")}};
}

// An incident concerns the sites it names, and those it named before.
std::vector<Key> SitesOfIncident(const cache::Event& event) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& object : {event.before, event.after}) {
    if (object == nullptr) continue;
    const auto spec = object->ToJson().value("spec", nlohmann::json::object());
    for (const auto& site : spec.value("sites", nlohmann::json::array())) {
      if (site.is_string()) keys.push_back({"", site.get<std::string>()});
    }
  }
  return keys;
}

// What people say matters at once to the sites it is about.
void WatchPeople(runtime::ControllerBuilder& controller, const cache::Store& sites,
                 const cache::Store& decisions) {
  const cache::Store* all = &sites;
  const cache::Store* known = &decisions;
  const auto everywhere = [all](const cache::Event& event) {
    return SpecChanged(event) ? AllSites(*all) : std::vector<Key>();
  };
  controller
      .Watches(common::kReadinessReviews,
               [](const cache::Event& event) {
                 std::vector<Key> keys;
                 if (SpecChanged(event)) {
                   keys.push_back({"", At(Either(event), "/spec/siteRef/name")});
                 }
                 return keys;
               })
      .Watches(common::kIncidents,
               [](const cache::Event& event) {
                 return SpecChanged(event) ? SitesOfIncident(event) : std::vector<Key>();
               })
      .Watches(common::kFreezeWindows, everywhere)
      .Watches(common::kExemptions, everywhere)
      .Watches(common::kDecisions,
               [all](const cache::Event& event) {
                 return SpecChanged(event) ? SitesOfDecision(*all, Either(event))
                                           : std::vector<Key>();
               })
      .Watches(common::kApprovals, [all, known](const cache::Event& event) {
        if (!SpecChanged(event)) return std::vector<Key>();
        const meta::ObjectPtr decision =
            known->Get({"", At(Either(event), "/spec/decisionRef/name")});
        return decision == nullptr ? AllSites(*all) : SitesOfDecision(*all, *decision);
      });
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const Stores stores{
      manager.StoreOf(common::kSites),
      manager.StoreOf(common::kSiteClasses),
      manager.StoreOf(common::kStagePlans),
      manager.StoreOf(common::kPromotions),
      manager.StoreOf(common::kObjectives),
      {&manager.StoreOf(common::kReadinessReviews), &manager.StoreOf(common::kDecisions),
       &manager.StoreOf(common::kApprovals), &manager.StoreOf(common::kExemptions),
       &manager.StoreOf(common::kFreezeWindows), &manager.StoreOf(common::kIncidents)}};
  manager.AddIndex(common::kPromotions, kPromotionsBySite, [](const meta::Object& promotion) {
    return std::vector<std::string>{At(promotion, "/spec/siteRef/name")};
  });
  const cache::Store* sites = &stores.sites;
  const cache::Store* classes = &stores.classes;
  runtime::ControllerBuilder& controller =
      manager
          .NewController("promotion", common::kSites,
                         std::make_shared<PromotionReconciler>(
                             stores, deps.api, deps.secrets, deps.audit, manager.recorder(),
                             manager.metrics(), deps.clock, deps.external))
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
                       if (At(*site_class, "/spec/stagePlanRef/name") != Either(event).name())
                         continue;
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
  WatchPeople(controller, stores.sites, *stores.people.decisions);
}

}  // namespace sluice::promotion
