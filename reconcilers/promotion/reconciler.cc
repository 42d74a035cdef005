#include "reconcilers/promotion/reconciler.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/v1alpha1/common.pb.h"
#include "reconcilers/audit/limits.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/promotion/limits.h"
#include "reconcilers/promotion/records.h"
#include "reconcilers/promotion/world.h"

namespace sluice::promotion {

using reconcile::Result;

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
      metrics_(metrics, "Site") {}

PromotionReconciler::~PromotionReconciler() = default;

Result PromotionReconciler::Outcome(const base::Status& status, Result done) {
  if (status.ok()) return done;
  // Another controller wrote the object between our reading and our writing: read again.
  if (status.code() == base::Code::kAborted && status.reason() == "Conflict") {
    return Result::Later(kCacheWait);
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
  if (IsBehind(request.key)) return Result::Later(kCacheWait);
  const auto world = Read(site);
  if (!world.ok()) return Result::Terminal(world.status());
  if (base::Status status = TidyUp(*world); !status.ok()) return Refused(*world, status);
  const Step& step = world->step;
  if (step.kind == StepKind::kStuck) {
    const auto cause = gates::CauseFromName(step.reason);
    metrics_.SetStuck(request.key.name, step.reason == "Aborted" ? gates::Cause::kGateFailed
                                        : cause                  ? *cause
                                                                 : gates::Cause::kMisconfigured);
  } else if (step.kind != StepKind::kEvaluate) {
    metrics_.Set(request.key.name, {});
  }
  switch (step.kind) {
    case StepKind::kEvaluate:
      return Evaluate(*world, stop);
    case StepKind::kFinish: {
      const meta::ObjectPtr open = stores_.promotions.Get({"", step.promotion});
      if (open == nullptr) return Result::Later(kCacheWait);
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
  if (stores_.promotions.IsStale(key)) return Result::Later(kCacheWait);
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
    return stores_.promotions.IsStale(key) ? Result::Later(kCacheWait)
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

}  // namespace sluice::promotion
