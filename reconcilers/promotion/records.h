// What the controller puts on record about a step: the Promotion it makes, and the audit log's
// entries. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/meta/object.h"
#include "reconcilers/audit/entry.h"
#include "reconcilers/promotion/plan.h"

namespace sluice::v1alpha1 {
class StagePlanSpec;
}  // namespace sluice::v1alpha1

namespace sluice::promotion {

// The object of a step's Promotion. A plan's messages stay in the plan; a Promotion keeps the stage
// it is judged by.
nlohmann::json PromotionObject(const SiteView& site, const meta::Object& owner, const Step& step,
                               const PlanView& plan, const v1alpha1::StagePlanSpec& spec);

// An entry about a site; without an actor it was the controller's own doing. `data`: an object.
audit::Entry EntryOf(const char* type, const SiteView& site, const std::string& actor,
                     const nlohmann::json& data);
// That a stage moves, up by `promotion` or down without one.
audit::Entry MoveOf(const SiteView& site, const Step& step, const std::string& promotion);

}  // namespace sluice::promotion
