#include "reconcilers/rollout/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "controller/runtime/predicates.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"

namespace sluice::rollout {
namespace {

using meta::Key;
using runtime::SpecChanged;

// Rollouts judged at the same time; each may wait for its sites' Prometheus.
constexpr int kWorkers = 2;

// Those that have not ended: nothing elsewhere concerns the others.
std::vector<Key> OpenRollouts(const cache::Store& rollouts) {
  const nlohmann::json::json_pointer outcome("/status/outcome");
  std::vector<Key> keys;
  for (const meta::ObjectPtr& rollout : rollouts.List()) {
    if (rollout->ToJson().value(outcome, std::string()).empty()) keys.push_back(rollout->key());
  }
  return keys;
}

// What another Rollout makes of sites that both select. Our own writes but the last wake nobody.
bool OpenedOrEnded(const cache::Event& event) {
  const nlohmann::json::json_pointer outcome("/status/outcome");
  return SpecChanged(event) ||
         event.before->ToJson().value(outcome, "") != event.after->ToJson().value(outcome, "");
}

// Spec, labels, and what the status counts of agents; a condition's time does not matter.
bool SiteMatters(const cache::Event& event) {
  if (SpecChanged(event)) return true;
  const nlohmann::json before = event.before->ToJson();
  const nlohmann::json after = event.after->ToJson();
  for (const char* pointer :
       {"/metadata/labels", "/status/agents", "/status/observedGeneration", "/status/stage"}) {
    const nlohmann::json::json_pointer at(pointer);
    if (before.value(at, nlohmann::json()) != after.value(at, nlohmann::json())) return true;
  }
  return false;
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const Stores stores{
      manager.StoreOf(common::kRollouts),
      manager.StoreOf(common::kSites),
      manager.StoreOf(common::kReleases),
      manager.StoreOf(common::kSiteClasses),
      manager.StoreOf(common::kStagePlans),
      manager.StoreOf(common::kObjectives),
      {&manager.StoreOf(common::kReadinessReviews), &manager.StoreOf(common::kDecisions),
       &manager.StoreOf(common::kApprovals), &manager.StoreOf(common::kExemptions),
       &manager.StoreOf(common::kFreezeWindows), &manager.StoreOf(common::kIncidents)}};
  const cache::Store* rollouts = &stores.rollouts;
  const auto open = [rollouts](const cache::Event& event) {
    return SpecChanged(event) ? OpenRollouts(*rollouts) : std::vector<Key>();
  };
  auto& controller =
      manager
          .NewController("rollout", common::kRollouts,
                         std::make_shared<RolloutReconciler>(
                             stores, deps.api, deps.secrets, deps.audit, manager.recorder(),
                             manager.metrics(), deps.clock, deps.default_image, deps.external))
          .When(SpecChanged)
          .Workers(kWorkers)
          .Watches(common::kSites,
                   [rollouts](const cache::Event& event) {
                     return SiteMatters(event) ? OpenRollouts(*rollouts) : std::vector<Key>();
                   })
          .Watches(common::kRollouts, [rollouts](const cache::Event& event) {
            return OpenedOrEnded(event) ? OpenRollouts(*rollouts) : std::vector<Key>();
          });
  for (const meta::Resource& resource :
       {common::kReleases, common::kSiteClasses, common::kStagePlans, common::kObjectives,
        common::kReadinessReviews, common::kDecisions, common::kApprovals, common::kExemptions,
        common::kFreezeWindows, common::kIncidents}) {
    controller.Watches(resource, open);
  }
}

}  // namespace sluice::rollout
