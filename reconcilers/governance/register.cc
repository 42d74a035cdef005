#include "reconcilers/governance/register.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "controller/base/metrics.h"
#include "controller/runtime/predicates.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/governance/limits.h"
#include "reconcilers/governance/status.h"

namespace sluice::governance {
namespace {

using base::WallTime;
using meta::Key;
using reconcile::Result;

// The caches a World is read from.
struct Stores {
  explicit Stores(runtime::Manager& manager)
      : reviews(manager.StoreOf(common::kReadinessReviews)),
        decisions(manager.StoreOf(common::kDecisions)),
        approvals(manager.StoreOf(common::kApprovals)),
        exemptions(manager.StoreOf(common::kExemptions)),
        freezes(manager.StoreOf(common::kFreezeWindows)),
        incidents(manager.StoreOf(common::kIncidents)),
        sites(manager.StoreOf(common::kSites)),
        classes(manager.StoreOf(common::kSiteClasses)),
        plans(manager.StoreOf(common::kStagePlans)),
        promotions(manager.StoreOf(common::kPromotions)),
        rollouts(manager.StoreOf(common::kRollouts)) {}
  World Read() const {
    return {{reviews.List(), decisions.List(), approvals.List(), exemptions.List(), freezes.List(),
             incidents.List()},
            sites.List(),
            classes.List(),
            plans.List(),
            promotions.List(),
            rollouts.List()};
  }
  cache::Store &reviews, &decisions, &approvals, &exemptions, &freezes, &incidents, &sites,
      &classes, &plans, &promotions, &rollouts;
};

// What one kind adds to the common loop.
struct Kind {
  const char* name;  // of the controller and its field manager
  const meta::Resource* resource;
  std::function<base::StatusOr<Answer>(const meta::Object&, WallTime)> status;
  // Sets the gauges of an object; null when it is gone.
  std::function<void(const std::string& name, const Answer*)> show;
};

class StatusReconciler final : public reconcile::Reconciler {
 public:
  StatusReconciler(const cache::Store& store, Kind kind, const Deps& deps)
      : store_(store),
        kind_(std::move(kind)),
        clock_(deps.clock),
        applier_(deps.api, std::string("sluice-") + kind_.name) {}

  Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const meta::ObjectPtr object = store_.Get(request.key);
    if (object == nullptr) {
      applier_.Forget(*kind_.resource, request.key);
      kind_.show(request.key.name, nullptr);
      return Result::Done();
    }
    const WallTime now = clock_.Wall();
    const auto answer = kind_.status(*object, now);
    if (!answer.ok()) return Result::Terminal(answer.status());
    kind_.show(request.key.name, &*answer);
    const auto written = applier_.ApplyStatus(*kind_.resource, *object, *answer->status);
    if (!written.ok()) return Result::Retry(written.status());
    if (!answer->changes_at) return Result::Done();
    const auto wait = std::chrono::ceil<std::chrono::seconds>(*answer->changes_at - now);
    return Result::After(std::clamp(wait, kShortestLook, kLongestLook));
  }

 private:
  const cache::Store& store_;
  const Kind kind_;
  base::Clock& clock_;
  common::Applier applier_;
};

// One gauge per object, taken away with it.
class Gauges {
 public:
  Gauges(base::metrics::Registry& registry, const char* name, const char* help)
      : registry_(registry), name_(name), help_(help) {}
  void Set(const std::string& object, double value) const {
    registry_.GetGauge(name_, help_, {{"name", object}}).Set(value);
  }
  void Remove(const std::string& object) const { registry_.RemoveSeries(name_, "name", object); }

 private:
  base::metrics::Registry& registry_;
  const char* name_;
  const char* help_;
};

double Seconds(WallTime time) {
  return static_cast<double>(
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
}

// `value` of each object while `shown` says so.
std::function<void(const std::string&, const Answer*)> Showing(
    std::vector<std::pair<Gauges, std::function<std::optional<double>(const Answer&)>>> gauges) {
  return [gauges = std::move(gauges)](const std::string& name, const Answer* answer) {
    for (const auto& [gauge, value] : gauges) {
      const std::optional<double> shown = answer == nullptr ? std::nullopt : value(*answer);
      if (shown) {
        gauge.Set(name, *shown);
      } else {
        gauge.Remove(name);
      }
    }
  };
}

std::optional<double> Listed(const Answer& answer) { return static_cast<double>(answer.listed); }
std::optional<double> Counts(const Answer& answer) { return answer.counts ? 1 : 0; }
std::optional<double> ChangesAt(const Answer& answer) {
  return answer.changes_at ? std::optional(Seconds(*answer.changes_at)) : std::nullopt;
}

// Every object of a store is looked at again when something it is judged by changes.
runtime::Mapper AllOf(const cache::Store& store, bool (*when)(const cache::Event&)) {
  const cache::Store* all = &store;
  return [all, when](const cache::Event& event) {
    return when(event) ? all->Keys() : std::vector<Key>();
  };
}

bool Always(const cache::Event&) { return true; }

// A Promotion or Rollout is made, planned, ended or deleted: only then is what is decided about
// another thing.
bool StepOpenedOrEnded(const cache::Event& event) {
  if (runtime::SpecChanged(event)) return true;
  const auto standing = [](const meta::Object& object) {
    const nlohmann::json json = object.ToJson();
    return std::pair(json.value(nlohmann::json::json_pointer("/status/planHash"), ""),
                     json.value(nlohmann::json::json_pointer("/status/outcome"), ""));
  };
  return standing(*event.before) != standing(*event.after);
}

// All that StandingOf reads but the Decisions themselves.
runtime::ControllerBuilder& WatchStandings(runtime::ControllerBuilder& controller,
                                           const cache::Store& store) {
  return controller.Watches(common::kApprovals, AllOf(store, runtime::SpecChanged))
      .Watches(common::kExemptions, AllOf(store, runtime::SpecChanged))
      .Watches(common::kPromotions, AllOf(store, StepOpenedOrEnded))
      .Watches(common::kRollouts, AllOf(store, StepOpenedOrEnded))
      .Watches(common::kSites, AllOf(store, runtime::SpecOrLabelsChanged))
      .Watches(common::kSiteClasses, AllOf(store, runtime::SpecChanged))
      .Watches(common::kStagePlans, AllOf(store, runtime::SpecChanged));
}

runtime::ControllerBuilder& Add(runtime::Manager& manager, const cache::Store& store, Kind kind,
                                const Deps& deps) {
  const meta::Resource& resource = *kind.resource;
  const std::string name = kind.name;
  return manager
      .NewController(name, resource,
                     std::make_shared<StatusReconciler>(store, std::move(kind), deps))
      .When(runtime::SpecChanged);
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const auto stores = std::make_shared<const Stores>(manager);
  base::metrics::Registry& registry = manager.metrics();
  const auto of_world = [stores](auto function) {
    return [stores, function](const meta::Object& object, WallTime now) {
      return function(object, stores->Read(), now);
    };
  };
  Add(manager, stores->reviews,
      {"readinessreview", &common::kReadinessReviews, ReviewStatus,
       Showing(
           {{{registry, "sluice_readiness_missing", "Items of a review that are missing."}, Listed},
            {{registry, "sluice_readiness_stale_timestamp_seconds",
              "When the next item of a review goes stale."},
             ChangesAt}})},
      deps);
  Add(manager, stores->freezes,
      {"freezewindow", &common::kFreezeWindows, FreezeStatus,
       Showing(
           {{{registry, "sluice_freeze_closed", "1 while a freeze window is closed."}, Counts}})},
      deps);
  Add(manager, stores->exemptions,
      {"exemption", &common::kExemptions, of_world(ExemptionStatus),
       Showing(
           {{{registry, "sluice_exemption_active", "1 while an exemption counts."}, Counts},
            {{registry, "sluice_exemption_hides", "Gates that an exemption lets pass."}, Listed},
            {{registry, "sluice_exemption_end_timestamp_seconds", "When an exemption ends."},
             ChangesAt}})},
      deps)
      .Watches(common::kDecisions, AllOf(stores->exemptions, runtime::SpecChanged))
      .Watches(common::kApprovals, AllOf(stores->exemptions, runtime::SpecChanged))
      .Watches(common::kSites, AllOf(stores->exemptions, runtime::SpecOrLabelsChanged))
      .Watches(common::kSiteClasses, AllOf(stores->exemptions, runtime::SpecChanged))
      .Watches(common::kStagePlans, AllOf(stores->exemptions, runtime::SpecChanged))
      .Watches(common::kPromotions, AllOf(stores->exemptions, Always));
  WatchStandings(
      Add(manager, stores->decisions,
          {"decision", &common::kDecisions, of_world(DecisionStatus),
           Showing(
               {{{registry, "sluice_decision_missing", "Voices that a decision lacks."}, Listed}})},
          deps),
      stores->decisions)
      .Watches(common::kDecisions, AllOf(stores->decisions, runtime::SpecChanged));
  // A Decision with its status: time alone changes how it stands, which its controller sees.
  WatchStandings(Add(manager, stores->approvals,
                     {"approval", &common::kApprovals, of_world(ApprovalStatus),
                      [](const std::string&, const Answer*) {}},
                     deps),
                 stores->approvals)
      .Watches(common::kDecisions, AllOf(stores->approvals, Always));
  Add(manager, stores->incidents,
      {"incident", &common::kIncidents, of_world(IncidentStatus),
       Showing(
           {{{registry, "sluice_incident_closed", "1 when an incident is over."}, Counts},
            {{registry, "sluice_incident_holds", "Promotions that an incident holds."}, Listed}})},
      deps)
      .Watches(common::kPromotions, AllOf(stores->incidents, Always));
}

}  // namespace sluice::governance
