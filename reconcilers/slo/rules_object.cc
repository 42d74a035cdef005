#include "reconcilers/slo/rules_object.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/meta/owner.h"
#include "reconcilers/common/resources.h"

namespace sluice::slo {

using nlohmann::json;

const meta::Resource& PrometheusRules() {
  static const meta::Resource kResource{"monitoring.coreos.com", "v1", "PrometheusRule",
                                        "prometheusrules", true};
  return kResource;
}

meta::Key RulesKey(std::string_view objective, const std::string& ns) {
  return {ns, "sluice-rules-" + std::string(objective)};
}

std::string ShownAs(const meta::Resource& resource, const meta::Key& key) {
  return fmt::format("{} {}", resource.kind, key.ToString());
}

RulesObject MakeRulesObject(const meta::Object& objective, const gates::RuleGroup& group,
                            const std::string& ns, bool as_prometheus_rule) {
  RulesObject out;
  out.resource = as_prometheus_rule ? PrometheusRules() : common::kConfigMaps;
  out.key = RulesKey(objective.name(), ns);
  out.shown = ShownAs(out.resource, out.key);
  json object = {
      {"apiVersion", out.resource.ApiVersion()},
      {"kind", out.resource.kind},
      {"metadata",
       {{"name", out.key.name},
        {"namespace", ns},
        {"labels", {{common::kManagedByLabel, common::kManagedBy}, {kRulesLabel, "true"}}},
        {"ownerReferences",
         json::array({meta::MakeControllerReference(common::kObjectives, objective)})}}}};
  if (as_prometheus_rule) {
    object["spec"] = {{"groups", json::parse(gates::RuleGroupsJson({group}))}};
  } else {
    object["data"] = {{std::string(objective.name()) + ".yaml", gates::RuleFileYaml({group})}};
  }
  out.json = object.dump();
  return out;
}

}  // namespace sluice::slo
