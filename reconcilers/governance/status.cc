#include "reconcilers/governance/status.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/v1alpha1/exemption.pb.h"
#include "api/v1alpha1/freeze_window.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/incident.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/readiness_review.pb.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/readiness.h"
#include "reconcilers/governance/answer.h"
#include "reconcilers/governance/limits.h"
#include "reconcilers/governance/standing.h"

namespace sluice::governance {
namespace {

using base::FormatRfc3339;

// Promotions that are open, with the gates that `pick` names for each.
template <typename Pick>
std::vector<std::string> OfOpenPromotions(const World& world, const Pick& pick) {
  std::vector<std::string> out;
  for (const meta::ObjectPtr& object : world.promotions) {
    const auto promotion = common::Decode<v1alpha1::Promotion>(*object);
    if (!promotion.ok() || !(*promotion)->status().outcome().empty()) continue;
    for (const v1alpha1::GateStatus& gate : (*promotion)->status().gates()) {
      std::string text = pick(std::string(object->name()), **promotion, gate);
      if (!text.empty() && out.size() < kMaxListed) {
        out.push_back(gates::Bounded(std::move(text), kMaxEntryBytes));
      }
    }
  }
  return out;
}

}  // namespace

base::StatusOr<Answer> ReviewStatus(const meta::Object& object, WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto review, common::Decode<v1alpha1::ReadinessReview>(object));
  gates::PeopleObjects only;
  SLUICE_ASSIGN_OR_RETURN(meta::ObjectPtr self, meta::Object::Parse(object.json()));
  only.reviews = {self};
  const gates::ReadinessFacts facts =
      gates::ReadinessOf(only, review->spec().site_ref().name(), review->spec().stage());
  v1alpha1::ReadinessReviewStatus status;
  *status.mutable_conditions() = review->status().conditions();
  status.set_observed_generation(object.generation());
  std::optional<WallTime> next;
  std::string owners;
  for (const gates::ReadinessItem& item : facts.items) {
    const gates::ItemState state = gates::StateOf(facts, item.name, std::nullopt, now);
    if (state.why_missing.empty()) {
      status.set_fresh(status.fresh() + 1);
      next = Earlier(next, state.fresh_until);
      continue;
    }
    *status.add_missing() = gates::Bounded(
        fmt::format("{}: {}; owner {}", item.name, state.why_missing, state.owner), kMaxEntryBytes);
    // A verification that lies ahead counts later by itself.
    if (item.verified_at && *item.verified_at > now) next = Earlier(next, item.verified_at);
  }
  if (next) status.set_next_stale_at(FormatRfc3339(*next));
  const bool complete = status.missing_size() == 0 && !facts.items.empty();
  Condition(status, "Complete", Truth(complete), complete ? "Fresh" : "ReadinessMissing",
            complete ? fmt::format("{} items verified", facts.items.size())
                     : fmt::format(
                           "{} of {} missing, first {}", status.missing_size(), facts.items.size(),
                           status.missing_size() > 0 ? status.missing(0) : std::string("all")),
            object.generation(), now);
  return Finish(status, next, complete, static_cast<std::size_t>(status.missing_size()));
}

base::StatusOr<Answer> FreezeStatus(const meta::Object& object, WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto freeze, common::Decode<v1alpha1::FreezeWindow>(object));
  v1alpha1::FreezeWindowStatus status;
  *status.mutable_conditions() = freeze->status().conditions();
  status.set_observed_generation(object.generation());
  const auto schedule = gates::ScheduleFrom(freeze->spec());
  if (!schedule.ok()) {
    Condition(status, "Closed", types::kUnknown, "Misconfigured",
              schedule.status().message() + "; it holds every site it selects until corrected",
              object.generation(), now);
    return Finish(status, std::nullopt, false, 0);
  }
  const gates::Schedule::State state = schedule->At(now);
  if (state.closed) {
    status.set_reopens_at(FormatRfc3339(state.reopens_at));
    Condition(
        status, "Closed", types::kTrue, "Frozen",
        fmt::format("{}; reopens at {}", freeze->spec().reason(), FormatRfc3339(state.reopens_at)),
        object.generation(), now);
    return Finish(status, state.reopens_at, true, 0);
  }
  if (state.closes_at) status.set_closes_at(FormatRfc3339(*state.closes_at));
  Condition(status, "Closed", types::kFalse, state.closes_at ? "Scheduled" : "Over",
            state.closes_at ? "closes at " + FormatRfc3339(*state.closes_at)
                            : std::string("does not close again"),
            object.generation(), now);
  return Finish(status, state.closes_at, false, 0);
}

base::StatusOr<Answer> ExemptionStatus(const meta::Object& object, const World& world,
                                       WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto exemption, common::Decode<v1alpha1::Exemption>(object));
  SLUICE_ASSIGN_OR_RETURN(const auto rules, WaiverRules(exemption->spec().sites(), world));
  const gates::ExemptionState state = gates::StateOf(object, world.people, rules, now);
  v1alpha1::ExemptionStatus status;
  *status.mutable_conditions() = exemption->status().conditions();
  status.set_observed_generation(object.generation());
  const auto hides =
      OfOpenPromotions(world,
                       [&](const std::string& name, const v1alpha1::Promotion&,
                           const v1alpha1::GateStatus& gate) -> std::string {
                         if (gate.exempted_by() != object.name()) return "";
                         return fmt::format("{}/{}: {}", name, gate.name(),
                                            gate.causes_size() > 1 ? gate.causes(1) : gate.cause());
                       });
  for (const std::string& text : hides) *status.add_hides() = text;
  Condition(status, "Active", Truth(state.active), state.reason,
            state.active ? fmt::format("{}; until {}", state.message,
                                       FormatRfc3339(state.exemption.expires_at))
                         : state.message,
            object.generation(), now);
  const std::optional<WallTime> end = state.active ? std::optional(state.exemption.expires_at)
                                                   : Parsed(exemption->spec().expires_at());
  return Finish(status, end && *end > now ? end : std::nullopt, state.active, hides.size());
}

base::StatusOr<Answer> IncidentStatus(const meta::Object& object, const World& world,
                                      WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto incident, common::Decode<v1alpha1::Incident>(object));
  const v1alpha1::IncidentSpec& spec = incident->spec();
  v1alpha1::IncidentStatus status;
  *status.mutable_conditions() = incident->status().conditions();
  status.set_observed_generation(object.generation());
  const bool closed = spec.state() == "Closed";
  auto holds = OfOpenPromotions(
      world,
      [&](const std::string& name, const v1alpha1::Promotion& promotion,
          const v1alpha1::GateStatus& gate) -> std::string {
        const bool here = std::find(spec.sites().begin(), spec.sites().end(),
                                    promotion.spec().site_ref().name()) != spec.sites().end();
        return !closed && here && gate.cause() == "IncidentOpen" ? name : "";
      });
  holds.erase(std::unique(holds.begin(), holds.end()), holds.end());
  for (const std::string& name : holds) *status.add_holds() = name;
  Condition(
      status, "Closed", Truth(closed),
      closed                 ? "Closed"
      : spec.state().empty() ? "Open"
                             : spec.state(),
      closed ? "the incident is over" : fmt::format("{} leads: {}", spec.owner(), spec.summary()),
      object.generation(), now);
  return Finish(status, std::nullopt, closed, holds.size());
}

}  // namespace sluice::governance
