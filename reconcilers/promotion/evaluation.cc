// How the reconciler has an open Promotion judged: gathers, lets the evaluator decide, records the
// answers and writes them; and how a freeze holds a step down.
#include <fmt/format.h>

#include <algorithm>

#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/gates/gather.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/gates/provider/site_input.h"
#include "reconcilers/promotion/limits.h"
#include "reconcilers/promotion/look.h"
#include "reconcilers/promotion/records.h"
#include "reconcilers/promotion/world.h"

namespace sluice::promotion {

using reconcile::Result;

namespace {

// What held the attempt before this one, which was superseded: it is not forgotten by a new name.
std::vector<gates::GateResult> Inherited(
    const std::map<std::string, std::shared_ptr<const v1alpha1::Promotion>>& promotions,
    const v1alpha1::Promotion& open) {
  const v1alpha1::Promotion* last = nullptr;
  for (const auto& [name, p] : promotions) {
    if (p->status().outcome() != "Superseded" || p->spec().to() != open.spec().to() ||
        p->spec().site_ref().uid() != open.spec().site_ref().uid()) {
      continue;
    }
    if (last == nullptr || last->status().completed_at() < p->status().completed_at()) {
      last = p.get();
    }
  }
  return last == nullptr ? std::vector<gates::GateResult>() : ResultsOf(last->status());
}

}  // namespace

gates::Ballot PromotionReconciler::BallotAbout(const World& world,
                                               const gates::PeopleObjects& people,
                                               const std::string& stage,
                                               const std::string& plan_hash) const {
  return gates::BallotOf(people, "Site", {world.view.uid, world.view.generation, plan_hash, stage},
                         {world.view.requested_by});
}

// No gate holds a step down, but a freeze does.
Result PromotionReconciler::StepDown(const World& world) {
  const gates::PeopleObjects people = stores_.people.All();
  const gates::Ballot ballot = BallotAbout(world, people, world.step.to, world.plan_view->hash);
  const gates::Context context =
      gates::ContextOf(people, *world.object, gates::RulesFrom(world.plan->spec().waiver_roles()),
                       ballot, clock_.Wall());
  const gates::StageResult result = gates::Evaluate({}, {}, {}, context, clock_.Wall());
  const auto blockers = gates::Blockers(result);
  if (!blockers.empty()) {
    metrics_.SetStuck(world.view.name, blockers.front()->cause());
    World held = world;
    held.step.kind = StepKind::kStuck;
    held.step.reason = std::string(gates::CauseName(blockers.front()->cause()));
    held.step.message =
        fmt::format("the step down to {} waits: {}", world.step.to, blockers.front()->message());
    held.step.unblocked_by = blockers.front()->unblocked_by;
    return Outcome(
        WriteSitePart(held, nullptr),
        Result::After(std::chrono::duration_cast<std::chrono::milliseconds>(kLongestLook)));
  }
  const std::string how = fmt::format("stepped down from {} to {}, requested by {}",
                                      world.view.reached, world.step.to, world.view.requested_by);
  base::Status status = Record({MoveOf(world.view, world.step, "")}, audit::Anchor::kNow);
  if (status.ok()) status = SetStage(world, world.step.to, "SteppedDown", how);
  return Refused(world, status);
}

Result PromotionReconciler::Evaluate(const World& world, std::stop_token stop) {
  const std::string& name = world.step.promotion;
  const meta::ObjectPtr object = stores_.promotions.Get({"", name});
  const auto found = world.promotions.find(name);
  if (object == nullptr || found == world.promotions.end()) {
    return Result::Later(kCacheWait);
  }
  const v1alpha1::Promotion& promotion = *found->second;
  const gates::Source source = providers_.Find(world.view.name, world.site->spec());
  const StageGates stage = GatesOf(promotion, clock_.Wall());
  const gates::PeopleObjects people = stores_.people.All();
  const std::string& to = promotion.spec().to();
  gates::GatherInput input = gates::SiteInput(world.view.name, *world.site, to, stage.gates, source,
                                              people, stores_.objectives);
  input.soak = gates::SoakFacts{world.view.reached, world.view.reached_at};
  input.ballot = BallotAbout(world, people, to, promotion.spec().plan().hash());
  input.external = external_;
  auto evidence = gates::Gather(input, source.provider.get(), clock_, stop);
  if (stop.stop_requested()) return Result::Done();
  // Asking took a while: what people said meanwhile counts at once.
  const gates::PeopleObjects latest = stores_.people.All();
  const gates::Ballot ballot = BallotAbout(world, latest, to, promotion.spec().plan().hash());
  for (gates::Evidence& each : evidence) {
    if (each.ballot) each.ballot = ballot;
    if (each.incidents) each.incidents = gates::IncidentsOf(latest, world.view.name);
  }
  gates::Context context = gates::ContextOf(
      latest, *world.object, gates::RulesFrom(promotion.spec().plan().waiver_roles()), ballot,
      clock_.Wall());
  context.audit_writable = audit_.Ready().ok();
  const auto look_at = [&] {
    return LookAt(promotion, object->generation(), stage, evidence,
                  Inherited(world.promotions, promotion), context, source.scrape_interval,
                  clock_.Wall());
  };
  Look look = look_at();
  if (context.audit_writable && !RecordLook(world, look).ok()) {
    context.audit_writable = false;
    look = look_at();
  }
  look.status->set_audit_head(audit_.HeadHash());
  metrics_.Set(world.view.name, look.result.gates, stage.gates);
  if (look.write) {
    if (base::Status status = WriteStatus(*object, *look.status); !status.ok()) {
      return Outcome(status);
    }
  }
  if (look.result.abort) {
    const auto blockers = gates::Blockers(look.result);
    return Refused(world,
                   End(*object, "Aborted",
                       fmt::format("{}: {}", blockers.front()->gate, blockers.front()->message())));
  }
  if (look.result.passed) return Advance(world, name, promotion.spec().generation());
  return Outcome(WriteSitePart(world, look.write ? look.status.get() : &promotion.status()),
                 Result::After(std::chrono::duration_cast<std::chrono::milliseconds>(look.again)));
}

}  // namespace sluice::promotion
