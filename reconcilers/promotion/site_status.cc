#include "reconcilers/promotion/site_status.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/cause.h"

namespace sluice::promotion {
namespace {

constexpr std::string_view kStageReached = "StageReached";

// The condition alone, with the transition time that the one before it gives.
void SetStageReached(const v1alpha1::SiteStatus& before, std::string_view status,
                     std::string_view reason, std::string_view message, std::int64_t generation,
                     base::WallTime now, v1alpha1::SiteStatus& out) {
  if (const auto* old = types::FindCondition(before.conditions(), kStageReached)) {
    *out.add_conditions() = *old;
  }
  types::SetCondition(out.mutable_conditions(),
                      {kStageReached, status, reason, message, generation}, now);
}

void Reached(const SiteView& site, v1alpha1::SiteStatus& out) {
  if (site.reached.empty()) return;
  out.set_stage(site.reached);
  if (site.reached_at) out.set_stage_reached_at(base::FormatRfc3339(*site.reached_at));
}

std::string At(const SiteView& site) { return site.reached.empty() ? "no stage" : site.reached; }

}  // namespace

nlohmann::json SitePart(const SiteView& site, const Step& step, const v1alpha1::SiteStatus& before,
                        const v1alpha1::PromotionStatus* open, base::WallTime now) {
  v1alpha1::SiteStatus out;
  Reached(site, out);
  if (step.kind == StepKind::kStuck) {
    v1alpha1::Blocker& blocker = *out.add_blocked_by();
    blocker.set_gate(std::string(kStageReached));
    blocker.set_cause(step.reason);
    blocker.set_message(step.message);
    const bool audit = step.reason == "AuditUnavailable";
    blocker.set_unblocked_by(!step.unblocked_by.empty() ? step.unblocked_by
                             : audit
                                 ? std::string(gates::UnblockedBy(gates::Cause::kAuditUnavailable))
                                 : "a change of the Site, its class or its plan");
    SetStageReached(before, types::kFalse, step.reason, step.message, site.generation, now, out);
    blocker.set_since(out.conditions(0).last_transition_time());
    return types::ToJson(out);
  }
  if (step.kind == StepKind::kNothing) {
    SetStageReached(before, types::kTrue, "Reached", fmt::format("at {} as wanted", At(site)),
                    site.generation, now, out);
    return types::ToJson(out);
  }
  out.set_promotion(step.promotion);
  std::string reason = "Pending";
  std::string message = fmt::format("at {}, wants {}, next {}", At(site), site.wanted, step.to);
  if (open != nullptr) {
    *out.mutable_blocked_by() = open->blocked_by();
    if (open->blocked_by_size() > 0) {
      reason = open->blocked_by(0).cause();
      message += fmt::format("; {}: {}", open->blocked_by(0).gate(), open->blocked_by(0).message());
    }
  }
  SetStageReached(before, types::kFalse, reason, message, site.generation, now, out);
  return types::ToJson(out);
}

nlohmann::json SitePartAt(const SiteView& site, const std::string& stage, const std::string& reason,
                          const std::string& how, const v1alpha1::SiteStatus& before,
                          base::WallTime now) {
  SiteView after = site;
  after.reached = stage;
  after.reached_at = now;
  v1alpha1::SiteStatus out;
  Reached(after, out);
  SetStageReached(before, stage == site.wanted ? types::kTrue : types::kFalse, reason, how,
                  site.generation, now, out);
  return types::ToJson(out);
}

}  // namespace sluice::promotion
