#include "reconcilers/siteclass/status.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/site_class.pb.h"

namespace sluice::siteclass {

nlohmann::json BuildStatus(const meta::Object& object, const Facts& facts, base::WallTime now) {
  const nlohmann::json json = object.ToJson();
  v1alpha1::SiteClassStatus status;
  // Keeps the times of conditions that do not change.
  if (json.contains("status") && !types::FromJson(json["status"], &status).ok()) status.Clear();
  status.set_observed_generation(object.generation());
  status.set_sites(facts.sites);
  const std::string plan = json.value("/spec/stagePlanRef/name"_json_pointer, "");
  const std::string message =
      facts.plan_found
          ? fmt::format("sites climb by plan {}", plan)
          : fmt::format(
                "StagePlan \"{}\", named by spec.stagePlanRef, does not exist; apply it or "
                "name another",
                plan);
  types::SetCondition(status.mutable_conditions(),
                      {types::kReady, facts.plan_found ? types::kTrue : types::kFalse,
                       facts.plan_found ? "Ready" : "PlanMissing", message, object.generation()},
                      now);
  return types::ToJson(status);
}

}  // namespace sluice::siteclass
