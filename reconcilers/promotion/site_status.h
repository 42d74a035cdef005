// The part of a Site's status that the promotion controller owns: the stage reached, the open
// Promotion, what holds it, and the condition StageReached. Everything else there is the site
// controller's; both write by server-side apply under field managers of their own. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/base/clock.h"
#include "reconcilers/promotion/plan.h"

namespace sluice::v1alpha1 {
class PromotionStatus;
class SiteStatus;
}  // namespace sluice::v1alpha1

namespace sluice::promotion {

// `before`: the Site's status now (for the condition's transition time). `open`: the status of the
// open Promotion named by `step`, or null. What is not in the result is given up.
nlohmann::json SitePart(const SiteView& site, const Step& step, const v1alpha1::SiteStatus& before,
                        const v1alpha1::PromotionStatus* open, base::WallTime now);

// The same after `stage` was reached at `now`; `how` tells it in the condition's message.
nlohmann::json SitePartAt(const SiteView& site, const std::string& stage, const std::string& reason,
                          const std::string& how, const v1alpha1::SiteStatus& before,
                          base::WallTime now);

}  // namespace sluice::promotion
