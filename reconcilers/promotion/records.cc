#include "reconcilers/promotion/records.h"

#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/meta/owner.h"
#include "reconcilers/common/resources.h"

namespace sluice::promotion {

using nlohmann::json;

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

}  // namespace sluice::promotion
