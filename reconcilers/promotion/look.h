// One look at an open Promotion: the evaluator's results as its new status, whether that is worth a
// write, and when to look again. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/objects/look.h"
#include "reconcilers/gates/stage_record.h"

namespace sluice::v1alpha1 {
class Promotion;
class PromotionStatus;
class Stage;
}  // namespace sluice::v1alpha1

namespace sluice::promotion {

// The gates of the stage that the Promotion is for.
using StageGates = gates::ReadGates;
StageGates GatesOf(const v1alpha1::Promotion& promotion, base::WallTime now);

struct Look {
  gates::StageResult result;
  std::unique_ptr<v1alpha1::PromotionStatus> status;
  bool write = false;    // the status differs in more than numbers that changed, or is getting old
  base::Duration again;  // from now
  // The gates whose answer is not the one the status recorded, with all it rests on: what has to be
  // in the audit log before the status is written.
  std::vector<gates::StageRecord> changed;
  Look();
  Look(Look&&) noexcept;
  Look& operator=(Look&&) noexcept;
  ~Look();
};

// `evidence` is in any order; times are taken in whole microseconds, as records keep them.
// `inherited` are results of the attempt before, for gates that have no result in the Promotion's
// own status (an attempt that was superseded keeps what held it).
Look LookAt(const v1alpha1::Promotion& promotion, std::int64_t promotion_generation,
            const StageGates& stage, const std::vector<gates::Evidence>& evidence,
            const std::vector<gates::GateResult>& inherited, const gates::Context& context,
            base::Duration scrape_interval, base::WallTime now);

// The results a status recorded; entries that do not read are left out.
std::vector<gates::GateResult> ResultsOf(const v1alpha1::PromotionStatus& status);

// The status of a Promotion that ends now. `outcome`: Promoted, Aborted or Superseded.
std::unique_ptr<v1alpha1::PromotionStatus> Ended(const v1alpha1::PromotionStatus& before,
                                                 std::int64_t promotion_generation,
                                                 const std::string& outcome,
                                                 const std::string& message, base::WallTime now);

}  // namespace sluice::promotion
