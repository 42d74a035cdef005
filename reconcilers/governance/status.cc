#include "reconcilers/governance/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/approval.pb.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/decision.pb.h"
#include "api/v1alpha1/exemption.pb.h"
#include "api/v1alpha1/freeze_window.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/incident.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/readiness_review.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/readiness.h"
#include "reconcilers/governance/limits.h"

namespace sluice::governance {
namespace {

using base::FormatRfc3339;
using base::WallTime;
using nlohmann::json;

std::string At(const meta::Object& object, const char* pointer) {
  return object.ToJson().value(json::json_pointer(pointer), std::string());
}

meta::ObjectPtr Named(const std::vector<meta::ObjectPtr>& objects, std::string_view name) {
  const auto found = std::find_if(objects.begin(), objects.end(),
                                  [&](const meta::ObjectPtr& o) { return o->name() == name; });
  return found == objects.end() ? nullptr : *found;
}

template <typename Status>
Answer Finish(const Status& status, std::optional<WallTime> changes_at, bool counts,
              std::size_t listed) {
  return {std::make_shared<json>(types::ToJson(status)), changes_at, counts, listed};
}

template <typename Status>
void Condition(Status& status, std::string_view type, std::string_view value,
               std::string_view reason, const std::string& message, std::int64_t generation,
               WallTime now) {
  types::SetCondition(status.mutable_conditions(), {type, value, reason, message, generation}, now);
}

std::string_view Truth(bool value) { return value ? types::kTrue : types::kFalse; }

std::optional<WallTime> Earlier(std::optional<WallTime> a, std::optional<WallTime> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// The plan of a Site, through its class; null: missing.
meta::ObjectPtr PlanOf(const World& world, const meta::Object& site) {
  const auto site_class = Named(world.classes, At(site, "/spec/classRef/name"));
  return site_class == nullptr ? nullptr
                               : Named(world.plans, At(*site_class, "/spec/stagePlanRef/name"));
}

void AddRules(const gates::RoleRules& from, std::vector<gates::RoleRule>& out) {
  for (gates::RoleRule& rule : gates::RulesFrom(from)) {
    if (std::find(out.begin(), out.end(), rule) == out.end()) out.push_back(std::move(rule));
  }
}

// Whoever decides about exemptions in any plan of the sites that one selects.
base::StatusOr<std::vector<gates::RoleRule>> WaiverRules(const v1alpha1::SiteSelector& selector,
                                                         const World& world) {
  std::vector<gates::RoleRule> out;
  for (const meta::ObjectPtr& site : world.sites) {
    if (!gates::Selects(selector, *site)) continue;
    const meta::ObjectPtr plan = PlanOf(world, *site);
    if (plan == nullptr) continue;
    SLUICE_ASSIGN_OR_RETURN(const auto decoded, common::Decode<v1alpha1::StagePlan>(*plan));
    AddRules(decoded->spec().waiver_roles(), out);
  }
  return out;
}

// The open Promotion of that site to that stage; null: none.
base::StatusOr<std::shared_ptr<const v1alpha1::Promotion>> OpenPromotion(
    const World& world, const std::string& site_uid, const std::string& stage) {
  for (const meta::ObjectPtr& object : world.promotions) {
    SLUICE_ASSIGN_OR_RETURN(auto promotion, common::Decode<v1alpha1::Promotion>(*object));
    if (promotion->spec().site_ref().uid() == site_uid && promotion->spec().to() == stage &&
        promotion->status().outcome().empty()) {
      return promotion;
    }
  }
  return std::shared_ptr<const v1alpha1::Promotion>();
}

base::StatusOr<Standing> AboutSite(const v1alpha1::DecisionSpec& spec, const World& world,
                                   WallTime now) {
  const auto& subject = spec.subject();
  Standing out;
  SLUICE_ASSIGN_OR_RETURN(const auto open, OpenPromotion(world, subject.uid(), subject.stage()));
  if (open == nullptr) {
    out.outdated = true;
    return out;
  }
  std::vector<gates::RoleRule> rules;
  bool service_accounts = true;
  for (const v1alpha1::Stage& stage : open->spec().plan().stages()) {
    if (stage.name() != open->spec().to()) continue;
    for (const v1alpha1::Gate& gate : stage.entry_gates()) {
      if (!gate.has_approval()) continue;
      AddRules(gate.approval().roles(), rules);
      service_accounts = service_accounts && gate.approval().service_accounts() == "Allowed";
    }
  }
  if (spec.change_class() == "P0" || spec.change_class() == "Security") {
    AddRules(open->spec().plan().waiver_roles(), rules);
    service_accounts = false;
  }
  out.ballot = gates::BallotOf(world.people, "Site",
                               {open->spec().site_ref().uid(), open->spec().generation(),
                                open->spec().plan().hash(), open->spec().to()},
                               {open->spec().requested_by()});
  out.tally = gates::Count(out.ballot, rules, service_accounts, now);
  out.outdated = open->spec().generation() != subject.generation() ||
                 open->spec().plan().hash() != subject.plan_hash();
  return out;
}

base::StatusOr<Standing> AboutExemption(const v1alpha1::DecisionSpec& spec, const World& world,
                                        WallTime now) {
  Standing out;
  const meta::ObjectPtr object = Named(world.people.exemptions, spec.subject().name());
  if (object == nullptr || object->uid() != spec.subject().uid() ||
      object->generation() != spec.subject().generation()) {
    out.outdated = true;
    return out;
  }
  SLUICE_ASSIGN_OR_RETURN(const auto exemption, common::Decode<v1alpha1::Exemption>(*object));
  SLUICE_ASSIGN_OR_RETURN(const auto rules, WaiverRules(exemption->spec().sites(), world));
  out.ballot = gates::BallotOf(world.people, "Exemption",
                               {std::string(object->uid()), object->generation(), "", ""},
                               {exemption->spec().requested_by()});
  out.tally = gates::Count(out.ballot, rules, false, now);
  return out;
}

const char* OutcomeName(const Standing& standing, const std::string& before, bool expired) {
  if (expired) return "Expired";
  // What was decided about a step that was taken stays decided.
  if (standing.outdated) {
    return before == "Approved" ? "Approved" : before == "Refused" ? "Refused" : "Outdated";
  }
  switch (standing.tally.outcome) {
    case gates::Outcome::kApproved:
      return "Approved";
    case gates::Outcome::kRefused:
      return "Refused";
    case gates::Outcome::kOutdated:
      return "Outdated";
    case gates::Outcome::kExpired:
      return "Expired";
    case gates::Outcome::kNone:
    case gates::Outcome::kPending:
      break;
  }
  return "Pending";
}

std::optional<WallTime> Parsed(const std::string& text) {
  const auto time = base::ParseRfc3339(text);
  return time.ok() ? std::optional(*time) : std::nullopt;
}

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

base::StatusOr<Standing> StandingOf(const meta::Object& decision, const World& world,
                                    WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto message, common::Decode<v1alpha1::Decision>(decision));
  return message->spec().subject().kind() == "Exemption"
             ? AboutExemption(message->spec(), world, now)
             : AboutSite(message->spec(), world, now);
}

base::StatusOr<Answer> DecisionStatus(const meta::Object& object, const World& world,
                                      WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto decision, common::Decode<v1alpha1::Decision>(object));
  SLUICE_ASSIGN_OR_RETURN(const Standing standing, StandingOf(object, world, now));
  const auto expires = Parsed(decision->spec().expires_at());
  const bool expired = !expires || now >= *expires;
  v1alpha1::DecisionStatus status;
  *status.mutable_conditions() = decision->status().conditions();
  status.set_observed_generation(object.generation());
  status.set_outcome(OutcomeName(standing, decision->status().outcome(), expired));
  if (standing.outdated || expired) {
    *status.mutable_votes() = decision->status().votes();
  } else {
    for (const gates::CountedVote& vote : standing.tally.votes) {
      if (status.votes_size() == static_cast<int>(kMaxListed)) break;
      v1alpha1::Vote& out = *status.add_votes();
      out.set_approval(vote.approval);
      out.set_user(vote.user);
      out.set_role(vote.role);
      out.set_verdict(vote.agrees ? "Agree" : "Disagree");
      out.set_counted(vote.why_not.empty() ? "Counted"
                                           : gates::Bounded(vote.why_not, kMaxWhyBytes));
    }
    for (const std::string& voice : standing.tally.missing) {
      if (status.missing_size() == static_cast<int>(kMaxVoices)) break;
      *status.add_missing() = gates::Bounded(voice, kMaxEntryBytes);
    }
  }
  const std::string& outcome = status.outcome();
  std::string message = standing.tally.message;
  if (outcome == "Expired") message = "expired at " + decision->spec().expires_at();
  if (standing.outdated && !expired) {
    message = "no open step has this subject; it was decided before, or its subject changed";
  }
  Condition(status, "Decided",
            outcome == "Approved"  ? types::kTrue
            : outcome == "Pending" ? types::kUnknown
                                   : types::kFalse,
            outcome, message, object.generation(), now);
  std::optional<WallTime> next;
  if (!expired) next = Earlier(expires, standing.tally.holds_until);
  return Finish(status, next && *next > now ? next : std::nullopt, outcome == "Approved",
                static_cast<std::size_t>(status.missing_size()));
}

base::StatusOr<Answer> ApprovalStatus(const meta::Object& object, const World& world,
                                      WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto approval, common::Decode<v1alpha1::Approval>(object));
  v1alpha1::ApprovalStatus status;
  *status.mutable_conditions() = approval->status().conditions();
  status.set_observed_generation(object.generation());
  const meta::ObjectPtr decision =
      Named(world.people.decisions, approval->spec().decision_ref().name());
  std::string why_not = "there is no Decision " + approval->spec().decision_ref().name();
  if (decision != nullptr && decision->uid() != approval->spec().decision_ref().uid()) {
    why_not = fmt::format("Decision {} has another UID: it was made anew", decision->name());
  } else if (decision != nullptr) {
    SLUICE_ASSIGN_OR_RETURN(const Standing standing, StandingOf(*decision, world, now));
    why_not = standing.outdated ? "its Decision's subject changed, or the step was taken"
                                : "not among the votes";
    for (const gates::CountedVote& vote : standing.tally.votes) {
      if (vote.approval == object.name()) why_not = vote.why_not;
    }
  }
  const auto expires = Parsed(approval->spec().expires_at());
  const bool expired = !expires || now >= *expires;
  if (expired) why_not = "expired at " + approval->spec().expires_at();
  Condition(status, "Counted", Truth(why_not.empty()),
            why_not.empty() ? "Counted"
            : expired       ? "Expired"
                            : "NotCounted",
            why_not.empty() ? "the vote counts" : why_not, object.generation(), now);
  return Finish(status, expired ? std::nullopt : expires, why_not.empty(), 0);
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
