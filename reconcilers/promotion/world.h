// Internal to this folder: what one run of the reconciler read from the caches, and the step that
// follows from it. Include only from .cc files.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "reconcilers/promotion/reconciler.h"

namespace sluice::promotion {

struct PromotionReconciler::World {
  meta::ObjectPtr object;  // the Site
  std::shared_ptr<const v1alpha1::Site> site;
  SiteView view;
  std::shared_ptr<const v1alpha1::StagePlan> plan;
  base::StatusOr<PlanView> plan_view = base::NotFound("");
  std::map<std::string, std::shared_ptr<const v1alpha1::Promotion>> promotions;  // by name
  Step step;
};

// The reason of a status when the audit log refused an entry.
inline constexpr const char* kAuditUnavailable = "AuditUnavailable";

}  // namespace sluice::promotion
