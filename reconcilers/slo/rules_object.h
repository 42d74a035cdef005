// An objective's rules as a Kubernetes object. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "controller/meta/object.h"
#include "controller/meta/resource.h"
#include "reconcilers/gates/slo_rules.h"

namespace sluice::slo {

// The kind of Prometheus Operator; used where it is installed.
const meta::Resource& PrometheusRules();

inline constexpr const char* kRulesLabel = "sluice.dev/rules";  // "true" on the ConfigMaps

struct RulesObject {
  meta::Resource resource;
  meta::Key key;
  std::string json;   // the whole object
  std::string shown;  // "ConfigMap sluice-system/sluice-rules-x"
};

// Of an objective's rules, whichever kind they are; `ns` is the controller's.
meta::Key RulesKey(std::string_view objective, const std::string& ns);

std::string ShownAs(const meta::Resource& resource, const meta::Key& key);

// In the controller's namespace, owned by the objective. `as_prometheus_rule`: the kind is there.
RulesObject MakeRulesObject(const meta::Object& objective, const gates::RuleGroup& group,
                            const std::string& ns, bool as_prometheus_rule);

}  // namespace sluice::slo
