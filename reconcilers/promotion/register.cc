#include "reconcilers/promotion/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/runtime/predicates.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/promotion/limits.h"
#include "reconcilers/promotion/reconciler.h"

namespace sluice::promotion {
namespace {

using meta::Key;
using nlohmann::json;
using runtime::SpecChanged;

std::string At(const meta::Object& object, const char* pointer) {
  return object.ToJson().value(json::json_pointer(pointer), "");
}

std::string_view NameOf(const cache::Event& event) {
  return (event.after != nullptr ? event.after : event.before)->name();
}

// What the object said before and says now: made anew, it may be about another site.
std::vector<Key> SitesBeforeAndNow(const cache::Event& event, const char* pointer) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& object : {event.before, event.after}) {
    if (object != nullptr) keys.push_back({"", At(*object, pointer)});
  }
  return keys;
}

std::vector<Key> SitesOfClass(const cache::Store& sites, std::string_view name) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& site : sites.List()) {
    if (At(*site, "/spec/classRef/name") == name) keys.push_back(site->key());
  }
  return keys;
}

// What the Site's own controller says of its release's life.
std::string LifeOf(const json& site) {
  for (const json& condition : site.value("/status/conditions"_json_pointer, json::array())) {
    if (condition.value("type", "") == "ReleaseSupported") return condition.value("reason", "");
  }
  return {};
}

// Whether an open Promotion of the site has a capacity gate that one number of ready agents meets
// and the other does not.
bool RoomMatters(const cache::Store& promotions, std::string_view site, int before, int after) {
  if (before == after) return false;
  for (const meta::ObjectPtr& object : promotions.ByIndex(kPromotionsBySite, site)) {
    const auto promotion = common::Decode<v1alpha1::Promotion>(*object);
    if (!promotion.ok() || !(*promotion)->status().outcome().empty()) continue;
    for (const v1alpha1::Stage& stage : (*promotion)->spec().plan().stages()) {
      if (stage.name() != (*promotion)->spec().to()) continue;
      for (const v1alpha1::Gate& gate : stage.entry_gates()) {
        const int least = gate.capacity().min_ready_agents();
        if (gate.has_capacity() && (before < least) != (after < least)) return true;
      }
    }
  }
  return false;
}

// Spec, deletion, labels (freezes and exemptions select by them), the end of its release's life,
// the stage (reaching one is when the next step begins), and agents a gate counts.
bool SiteMatters(const cache::Store& promotions, const cache::Event& event) {
  if (runtime::SpecOrLabelsChanged(event)) return true;
  const json before = event.before->ToJson();
  const json after = event.after->ToJson();
  const auto stage = "/status/stage"_json_pointer;
  const auto ready = "/status/agents/ready"_json_pointer;
  return LifeOf(before) != LifeOf(after) || before.value(stage, "") != after.value(stage, "") ||
         RoomMatters(promotions, event.after->name(), before.value(ready, 0),
                     after.value(ready, 0));
}

// Our own verdicts must not call us again; a new, ended or deleted Promotion does.
bool PromotionMatters(const cache::Event& event) {
  return SpecChanged(event) ||
         At(*event.before, "/status/outcome") != At(*event.after, "/status/outcome");
}

// The site that a Decision is about; every site for one about an Exemption.
std::vector<Key> SitesOfDecision(const cache::Store& sites, const meta::Object& decision) {
  if (At(decision, "/spec/subject/kind") != "Site") return sites.Keys();
  return {{"", At(decision, "/spec/subject/name")}};
}

// Sites of the Decisions before and now that `decision_of` finds for the object; every site where
// it finds none.
template <typename DecisionOf>
std::vector<Key> SitesOfDecisions(const cache::Store& sites, const cache::Event& event,
                                  const DecisionOf& decision_of) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& object : {event.before, event.after}) {
    if (object == nullptr) continue;
    const meta::ObjectPtr decision = decision_of(object);
    for (Key& key : decision == nullptr ? sites.Keys() : SitesOfDecision(sites, *decision)) {
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

// An incident concerns the sites it names, and those it named before.
std::vector<Key> SitesOfIncident(const cache::Event& event) {
  std::vector<Key> keys;
  for (const meta::ObjectPtr& object : {event.before, event.after}) {
    if (object == nullptr) continue;
    const auto spec = object->ToJson().value("spec", json::object());
    for (const auto& site : spec.value("sites", json::array())) {
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
    return SpecChanged(event) ? all->Keys() : std::vector<Key>();
  };
  controller
      .Watches(common::kReadinessReviews,
               [](const cache::Event& event) {
                 return SpecChanged(event) ? SitesBeforeAndNow(event, "/spec/siteRef/name")
                                           : std::vector<Key>();
               })
      .Watches(common::kIncidents,
               [](const cache::Event& event) {
                 return SpecChanged(event) ? SitesOfIncident(event) : std::vector<Key>();
               })
      .Watches(common::kFreezeWindows, everywhere)
      .Watches(common::kExemptions, everywhere)
      .Watches(common::kDecisions,
               [all](const cache::Event& event) {
                 if (!SpecChanged(event)) return std::vector<Key>();
                 return SitesOfDecisions(*all, event,
                                         [](const meta::ObjectPtr& decision) { return decision; });
               })
      .Watches(common::kApprovals, [all, known](const cache::Event& event) {
        if (!SpecChanged(event)) return std::vector<Key>();
        return SitesOfDecisions(*all, event, [known](const meta::ObjectPtr& approval) {
          return known->Get({"", At(*approval, "/spec/decisionRef/name")});
        });
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
  const cache::Store* promotions = &stores.promotions;
  runtime::ControllerBuilder& controller =
      manager
          .NewController("promotion", common::kSites,
                         std::make_shared<PromotionReconciler>(
                             stores, deps.api, deps.secrets, deps.audit, manager.recorder(),
                             manager.metrics(), deps.clock, deps.external))
          .When([promotions](const cache::Event& event) { return SiteMatters(*promotions, event); })
          .Workers(kWorkers)
          .Watches(common::kPromotions,
                   [](const cache::Event& event) {
                     return PromotionMatters(event) ? SitesBeforeAndNow(event, "/spec/siteRef/name")
                                                    : std::vector<Key>();
                   })
          .Watches(common::kSiteClasses,
                   [sites](const cache::Event& event) {
                     return SpecChanged(event) ? SitesOfClass(*sites, NameOf(event))
                                               : std::vector<Key>();
                   })
          .Watches(common::kStagePlans,
                   [sites, classes](const cache::Event& event) {
                     std::vector<Key> keys;
                     if (!SpecChanged(event)) return keys;
                     for (const meta::ObjectPtr& site_class : classes->List()) {
                       if (At(*site_class, "/spec/stagePlanRef/name") != NameOf(event)) continue;
                       for (Key& key : SitesOfClass(*sites, site_class->name())) {
                         keys.push_back(std::move(key));
                       }
                     }
                     return keys;
                   })
          .Watches(common::kObjectives, [](const cache::Event& event) {
            std::vector<Key> keys;
            if (!SpecChanged(event)) return keys;
            for (const meta::ObjectPtr& objective : {event.before, event.after}) {
              if (objective == nullptr || At(*objective, "/spec/subjectRef/kind") != "Site")
                continue;
              keys.push_back({"", At(*objective, "/spec/subjectRef/name")});
            }
            return keys;
          });
  WatchPeople(controller, stores.sites, *stores.people.decisions);
}

}  // namespace sluice::promotion
