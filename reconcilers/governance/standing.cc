#include "reconcilers/governance/standing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/decision.pb.h"
#include "api/v1alpha1/exemption.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/meta/json_scanner.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/governance/answer.h"

namespace sluice::governance {
namespace {

using nlohmann::json;

std::string At(const meta::Object& object, const char* pointer) {
  return object.ToJson().value(json::json_pointer(pointer), std::string());
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

// A step that a Decision is about.
struct Step {
  std::shared_ptr<const v1alpha1::Promotion> promotion;  // null: none
  std::optional<WallTime> taken_at;                      // nothing: it is open
};

// The Promotion with this subject that was taken, or else the one of that site to that stage that
// is open, whatever its generation and plan are.
base::StatusOr<Step> StepAbout(const World& world, const v1alpha1::DecisionSubject& subject) {
  Step out;
  for (const meta::ObjectPtr& object : world.promotions) {
    SLUICE_ASSIGN_OR_RETURN(auto promotion, common::Decode<v1alpha1::Promotion>(*object));
    const v1alpha1::PromotionSpec& spec = promotion->spec();
    if (spec.site_ref().uid() != subject.uid() || spec.to() != subject.stage()) continue;
    const bool same =
        spec.generation() == subject.generation() && spec.plan().hash() == subject.plan_hash();
    const v1alpha1::PromotionStatus& status = promotion->status();
    if (same && status.outcome() == "Promoted") {
      if (const auto at = Parsed(status.completed_at())) return Step{std::move(promotion), at};
    } else if (status.outcome().empty() && out.promotion == nullptr) {
      out.promotion = std::move(promotion);
    }
  }
  return out;
}

// What there was of Decisions and votes at that time: whatever came later moved no step.
gates::PeopleObjects AsOf(const gates::PeopleObjects& people, WallTime time) {
  gates::PeopleObjects out = people;
  for (auto* objects : {&out.decisions, &out.approvals}) {
    std::erase_if(*objects, [&](const meta::ObjectPtr& object) {
      const auto created = Parsed(meta::StringMember(object->metadata_json(), "creationTimestamp"));
      return created && *created > time;
    });
  }
  return out;
}

// It was written while its step was open; nothing that comes later changes it.
bool IsDecided(const v1alpha1::Decision& decision) {
  const std::string& outcome = decision.status().outcome();
  return outcome == "Approved" || outcome == "Refused";
}

base::StatusOr<Standing> AboutSite(const v1alpha1::Decision& decision, const World& world,
                                   WallTime now) {
  const v1alpha1::DecisionSpec& spec = decision.spec();
  const auto& subject = spec.subject();
  Standing out;
  SLUICE_ASSIGN_OR_RETURN(const Step step, StepAbout(world, subject));
  const auto& promotion = step.promotion;
  if (promotion == nullptr || (step.taken_at && IsDecided(decision))) {
    out.outdated = true;
    return out;
  }
  std::vector<gates::RoleRule> rules;
  bool service_accounts = true;
  for (const v1alpha1::Stage& stage : promotion->spec().plan().stages()) {
    if (stage.name() != promotion->spec().to()) continue;
    for (const v1alpha1::Gate& gate : stage.entry_gates()) {
      if (!gate.has_approval()) continue;
      AddRules(gate.approval().roles(), rules);
      service_accounts = service_accounts && gate.approval().service_accounts() == "Allowed";
    }
  }
  if (spec.change_class() == "P0" || spec.change_class() == "Security") {
    AddRules(promotion->spec().plan().waiver_roles(), rules);
    service_accounts = false;
  }
  out.taken = step.taken_at.has_value();
  const WallTime when = step.taken_at.value_or(now);
  out.ballot = gates::BallotOf(out.taken ? AsOf(world.people, when) : world.people, "Site",
                               {promotion->spec().site_ref().uid(), promotion->spec().generation(),
                                promotion->spec().plan().hash(), promotion->spec().to()},
                               {promotion->spec().requested_by()});
  out.tally = gates::Count(out.ballot, rules, service_accounts, when);
  out.outdated = out.taken || promotion->spec().generation() != subject.generation() ||
                 promotion->spec().plan().hash() != subject.plan_hash();
  return out;
}

// A Rollout's release and waves never change: what was decided about them holds until it ends.
base::StatusOr<Standing> AboutRollout(const v1alpha1::Decision& decision, const World& world,
                                      WallTime now) {
  const v1alpha1::DecisionSpec& spec = decision.spec();
  Standing out;
  const meta::ObjectPtr object = Named(world.rollouts, spec.subject().name());
  out.outdated = true;
  if (object == nullptr || object->uid() != spec.subject().uid()) return out;
  SLUICE_ASSIGN_OR_RETURN(const auto rollout, common::Decode<v1alpha1::Rollout>(*object));
  const std::string& hash = rollout->status().plan_hash();
  if (hash != spec.subject().plan_hash() || spec.subject().generation() != 1) return out;
  const std::string& outcome = rollout->status().outcome();
  const auto completed = Parsed(rollout->status().completed_at());
  out.taken = completed && (outcome == "Completed" || outcome == "Reverted");
  out.outdated = !outcome.empty();
  if (out.outdated && (!out.taken || IsDecided(decision))) return out;
  std::vector<gates::RoleRule> rules;
  bool service_accounts = true;
  const auto add = [&](const v1alpha1::Gate& gate) {
    if (!gate.has_approval()) return;
    AddRules(gate.approval().roles(), rules);
    service_accounts = service_accounts && gate.approval().service_accounts() == "Allowed";
  };
  for (const v1alpha1::RolloutWave& wave : rollout->spec().waves()) {
    for (const v1alpha1::Gate& gate : wave.gates()) add(gate);
  }
  for (const v1alpha1::Gate& gate : rollout->spec().revert_gates()) add(gate);
  const WallTime when = out.taken ? *completed : now;
  out.ballot =
      gates::BallotOf(out.taken ? AsOf(world.people, when) : world.people, "Rollout",
                      {std::string(object->uid()), 1, hash, ""}, {rollout->spec().requested_by()});
  out.tally = gates::Count(out.ballot, rules, service_accounts, when);
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

}  // namespace

meta::ObjectPtr Named(const std::vector<meta::ObjectPtr>& objects, std::string_view name) {
  const auto found = std::find_if(objects.begin(), objects.end(),
                                  [&](const meta::ObjectPtr& o) { return o->name() == name; });
  return found == objects.end() ? nullptr : *found;
}

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

base::StatusOr<Standing> StandingOf(const meta::Object& decision, const World& world,
                                    WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto message, common::Decode<v1alpha1::Decision>(decision));
  const std::string& kind = message->spec().subject().kind();
  if (kind == "Exemption") return AboutExemption(message->spec(), world, now);
  SLUICE_ASSIGN_OR_RETURN(Standing out, kind == "Rollout" ? AboutRollout(*message, world, now)
                                                          : AboutSite(*message, world, now));
  // One that was made after the step let nothing through.
  out.taken = out.taken && std::any_of(out.ballot.decisions.begin(), out.ballot.decisions.end(),
                                       [&](const auto& d) { return d.uid == decision.uid(); });
  return out;
}

}  // namespace sluice::governance
