#include "reconcilers/promotion/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/objects/convert.h"

namespace sluice::promotion {
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

// A site whose release reached its end of life climbs no stage; the Site's own controller says so.
// The open Promotion stays as it is, and goes on when a Rollout has moved the site on.
void HoldAtEndOfLife(const v1alpha1::Site& site, Step& step) {
  if (step.kind != StepKind::kCreate && step.kind != StepKind::kEvaluate) return;
  const v1alpha1::Condition* life =
      types::FindCondition(site.status().conditions(), "ReleaseSupported");
  if (life == nullptr || life->reason() != gates::CauseName(gates::Cause::kEndOfLife)) return;
  step.kind = StepKind::kStuck;
  step.reason = life->reason();
  step.message = life->message();
  step.unblocked_by = "whoever rolls out releases: a Rollout to a supported one";
}

}  // namespace

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
  HoldAtEndOfLife(*world.site, world.step);
  return world;
}

bool PromotionReconciler::IsBehind(const meta::Key& site) const {
  if (stores_.sites.IsStale(site)) return true;
  const auto promotions = stores_.promotions.ByIndex(kPromotionsBySite, site.name);
  return std::any_of(promotions.begin(), promotions.end(), [&](const meta::ObjectPtr& p) {
    return stores_.promotions.IsStale(p->key());
  });
}

}  // namespace sluice::promotion
