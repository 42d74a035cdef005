#include "reconcilers/promotion/reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/log.h"
#include "controller/base/time_format.h"
#include "controller/meta/owner.h"
#include "controller/meta/semantic.h"
#include "reconcilers/audit/limits.h"
#include "reconcilers/audit/use_entry.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/status_write.h"
#include "reconcilers/gates/gather.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/promotion/limits.h"
#include "reconcilers/promotion/look.h"
#include "reconcilers/promotion/site_status.h"

namespace sluice::promotion {

using nlohmann::json;
using reconcile::Result;

struct PromotionReconciler::World {
  meta::ObjectPtr object;  // the Site
  std::shared_ptr<const v1alpha1::Site> site;
  SiteView view;
  std::shared_ptr<const v1alpha1::StagePlan> plan;
  base::StatusOr<PlanView> plan_view = base::NotFound("");
  std::map<std::string, std::shared_ptr<const v1alpha1::Promotion>> promotions;  // by name
  Step step;
};

namespace {

SiteView ViewOf(const meta::Object& object, const v1alpha1::Site& site) {
  SiteView view;
  view.name = object.name();
  view.uid = object.uid();
  view.generation = object.generation();
  view.deleting = object.deleting();
  view.wanted = site.spec().stage();
  view.requested_by = site.spec().requested_by();
  view.reached = site.status().stage();
  const auto at = base::ParseRfc3339(site.status().stage_reached_at());
  if (at.ok()) view.reached_at = *at;
  return view;
}

PromotionView ViewOf(const meta::Object& object, const v1alpha1::Promotion& promotion) {
  PromotionView view;
  view.name = object.name();
  view.site_uid = promotion.spec().site_ref().uid();
  view.generation = promotion.spec().generation();
  view.from = promotion.spec().from();
  view.to = promotion.spec().to();
  view.plan_hash = promotion.spec().plan().hash();
  view.outcome = promotion.status().outcome();
  view.created = object.ToJson()["metadata"].value("creationTimestamp", "");
  return view;
}

// A plan's messages stay in the object; a Promotion keeps the stage it is judged by.
json PromotionObject(const SiteView& site, const meta::Object& owner, const Step& step,
                     const PlanView& plan, const v1alpha1::StagePlanSpec& spec) {
  v1alpha1::PromotionSpec out;
  out.mutable_site_ref()->set_name(site.name);
  out.mutable_site_ref()->set_uid(site.uid);
  out.set_generation(site.generation);
  out.set_from(site.reached);
  out.set_to(step.to);
  out.set_requested_by(site.requested_by);
  out.mutable_plan()->set_name(plan.name);
  out.mutable_plan()->set_hash(plan.hash);
  for (const v1alpha1::Stage& stage : spec.stages()) {
    if (stage.name() == step.to) *out.mutable_plan()->add_stages() = stage;
  }
  *out.mutable_plan()->mutable_waiver_roles() = spec.waiver_roles();
  return {
      {"apiVersion", common::kPromotions.ApiVersion()},
      {"kind", common::kPromotions.kind},
      {"metadata",
       {{"name", step.promotion},
        {"labels", {{"sluice.dev/site", site.name}}},
        {"ownerReferences", json::array({meta::MakeControllerReference(common::kSites, owner)})}}},
      {"spec", types::ToJson(out)}};
}

constexpr const char* kAuditUnavailable = "AuditUnavailable";

audit::Entry EntryOf(const char* type, const SiteView& site, const std::string& actor,
                     const json& data) {
  return {type, "Site/" + site.name, actor.empty() ? "controller" : actor,
          data.dump(-1, ' ', false, json::error_handler_t::replace)};
}

audit::Entry MoveOf(const SiteView& site, const Step& step, const std::string& promotion) {
  return EntryOf(audit::kStageMoved, site, site.requested_by,
                 {{"from", site.reached},
                  {"to", step.to},
                  {"generation", site.generation},
                  {"uid", site.uid},
                  {"promotion", promotion}});
}

const json* Find(const json& list, const char* key, const json& wanted) {
  for (const json& item : list) {
    if (item.is_object() && item.value(key, json()) == wanted.value(key, json())) return &item;
  }
  return nullptr;
}

// Whether the Site's status already says our part; other controllers' entries may stand beside it.
bool Says(const json& status, const json& part) {
  for (const auto& [name, value] : part.items()) {
    const bool list = name == "blockedBy" || name == "conditions";
    if (!list && status.value(name, json()) != value) return false;
    if (!list) continue;
    const char* key = name == "blockedBy" ? "gate" : "type";
    const json entries = status.value(name, json::array());
    for (const json& item : value) {
      const json* live = Find(entries, key, item);
      if (live == nullptr || *live != item) return false;
    }
  }
  return true;
}

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

PromotionReconciler::PromotionReconciler(const Stores& stores, client::Client& api,
                                         common::SecretReader& secrets, audit::Appender& audit,
                                         recorder::Recorder& recorder,
                                         base::metrics::Registry& metrics, base::Clock& clock,
                                         gates::ExternalAsker* external)
    : stores_(stores),
      api_(api),
      audit_(audit),
      recorder_(recorder),
      clock_(clock),
      external_(external),
      providers_(secrets),
      metrics_(metrics) {}

PromotionReconciler::~PromotionReconciler() = default;

base::StatusOr<PromotionReconciler::World> PromotionReconciler::Read(
    const meta::ObjectPtr& site) const {
  World world;
  world.object = site;
  SLUICE_ASSIGN_OR_RETURN(world.site, common::Decode<v1alpha1::Site>(*site));
  world.view = ViewOf(*site, *world.site);
  const std::string& class_name = world.site->spec().class_ref().name();
  const meta::ObjectPtr site_class = stores_.classes.Get({"", class_name});
  if (site_class == nullptr) {
    world.plan_view = base::NotFound(fmt::format("there is no SiteClass {}", class_name));
  } else {
    SLUICE_ASSIGN_OR_RETURN(const auto decoded, common::Decode<v1alpha1::SiteClass>(*site_class));
    const std::string& plan_name = decoded->spec().stage_plan_ref().name();
    const meta::ObjectPtr plan = stores_.plans.Get({"", plan_name});
    if (plan == nullptr) {
      world.plan_view = base::NotFound(fmt::format("there is no StagePlan {}", plan_name));
    } else {
      SLUICE_ASSIGN_OR_RETURN(world.plan, common::Decode<v1alpha1::StagePlan>(*plan));
      PlanView view{plan_name, gates::PlanHash(world.plan->spec()), {}};
      for (const auto& stage : world.plan->spec().stages()) view.stages.push_back(stage.name());
      world.plan_view = std::move(view);
    }
  }
  std::vector<PromotionView> views;
  for (const meta::ObjectPtr& p : stores_.promotions.ByIndex(kPromotionsBySite, site->name())) {
    SLUICE_ASSIGN_OR_RETURN(auto decoded, common::Decode<v1alpha1::Promotion>(*p));
    views.push_back(ViewOf(*p, *decoded));
    world.promotions.emplace(p->name(), std::move(decoded));
  }
  world.step = PlanStep(world.view, world.plan_view, views);
  return world;
}

bool PromotionReconciler::IsBehind(const meta::Key& site) const {
  if (stores_.sites.IsStale(site)) return true;
  const auto promotions = stores_.promotions.ByIndex(kPromotionsBySite, site.name);
  return std::any_of(promotions.begin(), promotions.end(), [&](const meta::ObjectPtr& p) {
    return stores_.promotions.IsStale(p->key());
  });
}

Result PromotionReconciler::Outcome(const base::Status& status, Result done) {
  if (status.ok()) return done;
  // Another controller wrote the object between our reading and our writing: read again.
  if (status.code() == base::Code::kAborted && status.reason() == "Conflict") {
    return Result::After(kCacheWait);
  }
  return Result::Retry(status);
}

Result PromotionReconciler::Reconcile(const reconcile::Request& request, std::stop_token stop) {
  const meta::ObjectPtr site = stores_.sites.Get(request.key);
  if (site == nullptr) {
    metrics_.Remove(request.key.name);
    providers_.Forget(request.key.name);
    const std::lock_guard lock(mutex_);
    applied_.erase(request.key.name);
    return Result::Done();
  }
  if (IsBehind(request.key)) return Result::After(kCacheWait);
  const auto world = Read(site);
  if (!world.ok()) return Result::Terminal(world.status());
  if (base::Status status = TidyUp(*world); !status.ok()) return Refused(*world, status);
  const Step& step = world->step;
  if (step.kind == StepKind::kStuck) {
    metrics_.SetStuck(request.key.name, step.reason == "Aborted" ? gates::Cause::kGateFailed
                                                                 : gates::Cause::kMisconfigured);
  } else if (step.kind != StepKind::kEvaluate) {
    metrics_.Set(request.key.name, {});
  }
  switch (step.kind) {
    case StepKind::kEvaluate:
      return Evaluate(*world, stop);
    case StepKind::kFinish: {
      const meta::ObjectPtr open = stores_.promotions.Get({"", step.promotion});
      if (open == nullptr) return Result::After(kCacheWait);
      return Refused(*world, End(*open, "Promoted", "reached " + step.to));
    }
    case StepKind::kStepDown:
      return StepDown(*world);
    case StepKind::kCreate:
      return Create(*world);
    case StepKind::kNothing:
    case StepKind::kStuck:
      break;
  }
  if (world->view.deleting) return Result::Done();
  return Outcome(WriteSitePart(*world, nullptr));
}

base::Status PromotionReconciler::TidyUp(const World& world) {
  for (const std::string& name : world.step.supersede) {
    const meta::ObjectPtr object = stores_.promotions.Get({"", name});
    if (object == nullptr) continue;
    SLUICE_RETURN_IF_ERROR(
        End(*object, "Superseded", "the site's spec or its plan changed, or a stage was set"));
  }
  for (const std::string& name : world.step.forget) {
    const meta::ObjectPtr object = stores_.promotions.Get({"", name});
    if (object == nullptr) continue;
    client::DeleteOptions options;
    options.preconditions.uid = object->uid();
    const base::Status status = api_.Delete(common::kPromotions, object->key(), options);
    if (!status.ok() && status.code() != base::Code::kNotFound) return status;
  }
  return base::OkStatus();
}

base::Status PromotionReconciler::Record(const std::vector<audit::Entry>& entries,
                                         audit::Anchor anchor) {
  const base::Status status = audit_.Append(entries, anchor);
  if (status.ok()) return status;
  base::log::Error("audit log refused an entry, nothing moves", {{"error", status}});
  return base::Unavailable("the audit log cannot be written: " + status.message())
      .WithReason(kAuditUnavailable);
}

base::Status PromotionReconciler::RecordLook(const World& world, const Look& look) {
  std::vector<audit::Entry> entries;
  bool waives = false;
  const std::string site = "Site/" + world.view.name;
  const std::string object = "Promotion/" + world.step.promotion;
  for (const gates::StageRecord& record : look.changed) {
    entries.push_back(audit::VerdictEntry(site, "controller", object, record));
    for (audit::Entry& use : audit::UseEntries(site, "controller", object, record)) {
      waives = waives || use.type == audit::kExemptionUsed;
      entries.push_back(std::move(use));
    }
  }
  if (look.result.passed) entries.push_back(MoveOf(world.view, world.step, world.step.promotion));
  // What moves a stage or waives a gate is in a checkpoint before it is done.
  return Record(entries,
                look.result.passed || waives ? audit::Anchor::kNow : audit::Anchor::kLater);
}

Result PromotionReconciler::Refused(const World& world, const base::Status& status) {
  if (status.reason() != kAuditUnavailable) return Outcome(status);
  World held = world;
  held.step.kind = StepKind::kStuck;
  held.step.reason = kAuditUnavailable;
  held.step.message = status.message();
  metrics_.SetStuck(world.view.name, gates::Cause::kAuditUnavailable);
  const base::Status written = WriteSitePart(held, nullptr);
  if (!written.ok()) return Outcome(written);
  return Result::After(std::chrono::duration_cast<std::chrono::milliseconds>(audit::kReopenEvery));
}

Result PromotionReconciler::Create(const World& world) {
  const meta::Key key{"", world.step.promotion};
  if (stores_.promotions.IsStale(key)) return Result::After(kCacheWait);
  const base::Status recorded =
      Record({EntryOf(audit::kPromotionStarted, world.view, world.view.requested_by,
                      {{"promotion", world.step.promotion},
                       {"from", world.view.reached},
                       {"to", world.step.to},
                       {"generation", world.view.generation},
                       {"plan", world.plan_view->name},
                       {"planHash", world.plan_view->hash}})},
             audit::Anchor::kLater);
  if (!recorded.ok()) return Refused(world, recorded);
  const auto created = api_.Create(
      common::kPromotions,
      PromotionObject(world.view, *world.object, world.step, *world.plan_view, world.plan->spec()));
  if (!created.ok()) {
    if (created.status().code() != base::Code::kAlreadyExists) {
      return Result::Retry(created.status());
    }
    // The cache lags behind an earlier life, or was given an older list: wait until it shows it.
    const auto live = api_.Get(common::kPromotions, key);
    if (!live.ok()) return Result::Retry(live.status());
    stores_.promotions.ExpectAtLeast(**live);
    return stores_.promotions.IsStale(key) ? Result::After(kCacheWait)
                                           : Result::Retry(created.status());
  }
  stores_.promotions.ExpectAtLeast(**created);
  Tell(*world.object, common::kSites, recorder::Type::kNormal, "PromotionStarted",
       fmt::format("{} to climb to {}, requested by {}", world.step.promotion, world.step.to,
                   world.view.requested_by));
  // The watch brings the new Promotion and with it the next run; the wait is for a lost event.
  return Outcome(
      WriteSitePart(world, nullptr),
      Result::After(std::chrono::duration_cast<std::chrono::milliseconds>(kLongestLook)));
}

gates::PeopleObjects PromotionReconciler::People() const {
  const auto all = [](const cache::Store* store) {
    return store == nullptr ? std::vector<meta::ObjectPtr>() : store->List();
  };
  return {.reviews = all(stores_.reviews),
          .decisions = all(stores_.decisions),
          .approvals = all(stores_.approvals),
          .exemptions = all(stores_.exemptions),
          .freezes = all(stores_.freezes),
          .incidents = all(stores_.incidents)};
}

gates::Ballot PromotionReconciler::BallotAbout(const World& world,
                                               const gates::PeopleObjects& people,
                                               const std::string& stage,
                                               const std::string& plan_hash) const {
  return gates::BallotOf(people, "Site", {world.view.uid, world.view.generation, plan_hash, stage},
                         {world.view.requested_by});
}

// No gate holds a step down, but a freeze does.
Result PromotionReconciler::StepDown(const World& world) {
  const gates::PeopleObjects people = People();
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
    return Result::After(kCacheWait);
  }
  const v1alpha1::Promotion& promotion = *found->second;
  const gates::Source source = providers_.Find(world.view.name, world.site->spec());
  gates::GatherInput input;
  const StageGates stage = GatesOf(promotion, clock_.Wall());
  input.gates = stage.gates;
  input.site = world.view.name;
  input.scrape_interval = source.scrape_interval;
  input.misconfigured = source.misconfigured;
  input.provider_error = source.error;
  input.soak = gates::SoakFacts{world.view.reached, world.view.reached_at};
  const gates::PeopleObjects people = People();
  const std::string& to = promotion.spec().to();
  input.stage = to;
  input.readiness = gates::ReadinessOf(people, world.view.name, to);
  input.ballot = BallotAbout(world, people, to, promotion.spec().plan().hash());
  input.incidents = gates::IncidentsOf(people, world.view.name);
  input.capacity.ready_agents = world.site->status().agents().ready();
  input.external = external_;
  for (const gates::Gate& gate : stage.gates) {
    if (gate.slo_template.empty() || input.slos.count(gate.slo_template) != 0) continue;
    const std::string objective = world.view.name + "-" + gate.slo_template;
    const meta::ObjectPtr slo = stores_.objectives.Get({"", objective});
    if (slo == nullptr) continue;
    const auto decoded = common::Decode<v1alpha1::ServiceLevelObjective>(*slo);
    input.slos.emplace(gate.slo_template,
                       decoded.ok()
                           ? gates::SloFrom(objective, (*decoded)->spec(), source.scrape_interval)
                           : base::StatusOr<gates::Slo>(decoded.status()));
  }
  auto evidence = gates::Gather(input, source.provider.get(), clock_, stop);
  if (stop.stop_requested()) return Result::Done();
  // Asking took a while: what people said meanwhile counts at once.
  const gates::PeopleObjects latest = People();
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

Result PromotionReconciler::Advance(const World& world, const std::string& promotion,
                                    std::int64_t generation) {
  SLUICE_CHECK(generation == world.view.generation);  // PlanStep's invariant 1
  base::Status status = SetStage(world, world.step.to, "Promoted",
                                 fmt::format("reached {} by {}", world.step.to, promotion));
  if (status.ok()) {
    const meta::ObjectPtr object = stores_.promotions.Get({"", promotion});
    if (object != nullptr) status = End(*object, "Promoted", "reached " + world.step.to);
  }
  return Refused(world, status);
}

base::Status PromotionReconciler::WriteStatus(const meta::Object& promotion,
                                              const v1alpha1::PromotionStatus& status) {
  const auto answer = common::WriteStatus(api_, common::kPromotions, promotion,
                                          types::ToJson(status).dump(), kFieldManager);
  if (!answer.ok()) return answer.status();
  stores_.promotions.ExpectAtLeast(**answer);
  return base::OkStatus();
}

base::Status PromotionReconciler::End(const meta::Object& promotion, const std::string& outcome,
                                      const std::string& message) {
  // From the API server: our own last write of verdicts may not have come back by the watch.
  auto live = api_.Get(common::kPromotions, promotion.key());
  if (!live.ok()) {
    return live.status().code() == base::Code::kNotFound ? base::OkStatus() : live.status();
  }
  SLUICE_ASSIGN_OR_RETURN(const auto decoded, common::Decode<v1alpha1::Promotion>(**live));
  if (!decoded->status().outcome().empty()) return base::OkStatus();
  SiteView about;
  about.name = decoded->spec().site_ref().name();
  SLUICE_RETURN_IF_ERROR(Record({EntryOf(audit::kPromotionEnded, about, "controller",
                                         {{"promotion", promotion.name()},
                                          {"to", decoded->spec().to()},
                                          {"outcome", outcome},
                                          {"message", message}})},
                                audit::Anchor::kLater));
  const auto status =
      Ended(decoded->status(), (*live)->generation(), outcome, message, clock_.Wall());
  status->set_audit_head(audit_.HeadHash());
  SLUICE_RETURN_IF_ERROR(WriteStatus(**live, *status));
  Tell(**live, common::kPromotions,
       outcome == "Promoted" ? recorder::Type::kNormal : recorder::Type::kWarning,
       outcome == "Promoted"  ? "Promoted"
       : outcome == "Aborted" ? "Aborted"
                              : "Superseded",
       message);
  return base::OkStatus();
}

base::Status PromotionReconciler::SetStage(const World& world, const std::string& stage,
                                           const std::string& reason, const std::string& how) {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr live,
                          api_.Get(common::kSites, world.object->key()));
  if (live->uid() != world.object->uid() || live->generation() != world.view.generation) {
    return base::Aborted("the site changed while it was judged").WithReason("Conflict");
  }
  SLUICE_ASSIGN_OR_RETURN(const auto site, common::Decode<v1alpha1::Site>(*live));
  if (site->status().stage() != world.view.reached) {
    return base::Aborted("the site's stage moved meanwhile").WithReason("Conflict");
  }
  const json part = SitePartAt(world.view, stage, reason, how, site->status(), clock_.Wall());
  SLUICE_RETURN_IF_ERROR(ApplySitePart(*live, part));
  base::log::Info("stage set", {{"site", world.view.name}, {"stage", stage}, {"reason", reason}});
  Tell(*world.object, common::kSites, recorder::Type::kNormal, "StageReached", how);
  return base::OkStatus();
}

base::Status PromotionReconciler::WriteSitePart(const World& world,
                                                const v1alpha1::PromotionStatus* open) {
  const json part = SitePart(world.view, world.step, world.site->status(), open, clock_.Wall());
  const std::string text = part.dump();
  {
    const std::lock_guard lock(mutex_);
    const auto found = applied_.find(world.view.name);
    const json status = world.object->ToJson().value("status", json::object());
    if (found != applied_.end() && found->second == text && Says(status, part)) return {};
  }
  return ApplySitePart(*world.object, part);
}

// The resourceVersion that was read is a precondition: a part worked out from an older state of the
// Site is never written over a newer stage.
base::Status PromotionReconciler::ApplySitePart(const meta::Object& site, const json& part) {
  std::string text = part.dump();
  const auto answer = common::WriteStatus(api_, common::kSites, site, text, kFieldManager,
                                          common::StatusPrecondition::kSameVersion);
  if (!answer.ok()) return answer.status();
  stores_.sites.ExpectAtLeast(**answer);
  const std::lock_guard lock(mutex_);
  applied_[std::string(site.name())] = std::move(text);
  return base::OkStatus();
}

void PromotionReconciler::Tell(const meta::Object& about, const meta::Resource& resource,
                               recorder::Type type, const char* reason, const std::string& note) {
  recorder_.Record(recorder::ReferenceTo(resource, about), type, reason, note);
}

}  // namespace sluice::promotion
