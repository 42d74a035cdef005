#include "reconcilers/promotion/look.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/objects/convert.h"

namespace sluice::promotion {
namespace {

using base::Duration;
using base::WallTime;
using gates::GateResult;

void SetSucceeded(v1alpha1::PromotionStatus& status, std::string_view value,
                  std::string_view reason, const std::string& message, std::int64_t generation,
                  WallTime now) {
  types::SetCondition(status.mutable_conditions(),
                      {types::kSucceeded, value, reason, message, generation}, now);
}

}  // namespace

Look::Look() : status(std::make_unique<v1alpha1::PromotionStatus>()) {}
Look::Look(Look&&) noexcept = default;
Look& Look::operator=(Look&&) noexcept = default;
Look::~Look() = default;

StageGates GatesOf(const v1alpha1::Promotion& promotion, WallTime now) {
  for (const v1alpha1::Stage& stage : promotion.spec().plan().stages()) {
    if (stage.name() == promotion.spec().to()) return gates::GatesFrom(stage.entry_gates(), now);
  }
  return gates::GatesFrom({}, now);
}

std::vector<GateResult> ResultsOf(const v1alpha1::PromotionStatus& status) {
  std::vector<GateResult> out;
  for (const v1alpha1::GateStatus& gate : status.gates()) {
    auto result = gates::ResultFrom(gate);
    if (result.ok()) out.push_back(*std::move(result));
  }
  return out;
}

Look LookAt(const v1alpha1::Promotion& promotion, std::int64_t promotion_generation,
            const StageGates& stage, const std::vector<gates::Evidence>& evidence,
            const std::vector<GateResult>& inherited, const gates::Context& context,
            Duration scrape_interval, WallTime time) {
  Look look;
  const std::vector<GateResult> recorded = ResultsOf(promotion.status());
  gates::GatesLook judged = gates::LookAtGates(stage, evidence, recorded, inherited, context, time);
  const WallTime now = judged.now;
  const std::vector<gates::Evidence>& all = judged.evidence;
  look.result = std::move(judged.result);
  look.changed = std::move(judged.changed);
  look.again = gates::WhenToLookAgain(look.result, scrape_interval, now);
  v1alpha1::PromotionStatus& status = *look.status;
  *status.mutable_conditions() = promotion.status().conditions();
  status.set_observed_generation(promotion_generation);
  for (const GateResult& gate : look.result.gates) {
    const auto own =
        std::find_if(all.begin(), all.end(), [&](const auto& e) { return e.gate == gate.gate; });
    *status.add_gates() = gates::StatusOf(gate, own == all.end() ? gates::Evidence{} : *own);
  }
  const auto blockers = gates::Blockers(look.result);
  for (const GateResult* blocker : blockers) *status.add_blocked_by() = gates::BlockerOf(*blocker);
  status.set_next_evaluation_at(
      base::FormatRfc3339(now + std::chrono::duration_cast<WallTime::duration>(look.again)));
  if (look.result.passed) {
    SetSucceeded(status, types::kUnknown, "Promoting", "every gate passes", promotion_generation,
                 now);
  } else if (!blockers.empty()) {
    SetSucceeded(status, types::kUnknown, gates::CauseName(blockers.front()->cause()),
                 fmt::format("{}: {}", blockers.front()->gate, blockers.front()->message()),
                 promotion_generation, now);
  }
  look.write = look.result.passed || gates::WorthWriting(recorded, look.result.gates, now);
  return look;
}

std::unique_ptr<v1alpha1::PromotionStatus> Ended(const v1alpha1::PromotionStatus& before,
                                                 std::int64_t promotion_generation,
                                                 const std::string& outcome,
                                                 const std::string& message, WallTime now) {
  auto status = std::make_unique<v1alpha1::PromotionStatus>(before);
  status->set_observed_generation(promotion_generation);
  status->set_outcome(outcome);
  status->set_completed_at(base::FormatRfc3339(now));
  status->clear_next_evaluation_at();
  status->clear_blocked_by();
  SetSucceeded(*status, outcome == "Promoted" ? types::kTrue : types::kFalse, outcome, message,
               promotion_generation, now);
  return status;
}

}  // namespace sluice::promotion
