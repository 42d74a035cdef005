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
#include "reconcilers/common/decode.h"

namespace sluice::governance {
namespace {

using base::WallTime;
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

// A Rollout's release and waves never change: what was decided about them holds until it ends.
base::StatusOr<Standing> AboutRollout(const v1alpha1::DecisionSpec& spec, const World& world,
                                      WallTime now) {
  Standing out;
  const meta::ObjectPtr object = Named(world.rollouts, spec.subject().name());
  out.outdated = true;
  if (object == nullptr || object->uid() != spec.subject().uid()) return out;
  SLUICE_ASSIGN_OR_RETURN(const auto rollout, common::Decode<v1alpha1::Rollout>(*object));
  const std::string& hash = rollout->status().plan_hash();
  if (!rollout->status().outcome().empty() || hash != spec.subject().plan_hash()) return out;
  out.outdated = spec.subject().generation() != 1;
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
  out.ballot = gates::BallotOf(world.people, "Rollout", {std::string(object->uid()), 1, hash, ""},
                               {rollout->spec().requested_by()});
  out.tally = gates::Count(out.ballot, rules, service_accounts, now);
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
  if (kind == "Rollout") return AboutRollout(message->spec(), world, now);
  return AboutSite(message->spec(), world, now);
}

}  // namespace sluice::governance
