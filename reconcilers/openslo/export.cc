#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "reconcilers/openslo/check.h"
#include "reconcilers/openslo/convert.h"

namespace sluice::openslo {

using nlohmann::json;

namespace {

struct Objective {
  std::string name;  // the object's
  json spec;
  json kept;  // of the annotation; an object when it was imported
  int index = 0;
};

json Source(const Objective& objective, const std::string& query) {
  json source = {{"type", "Prometheus"}, {"spec", {{"query", query}}}};
  const std::string reference = Text(objective.kept, "metricSourceRef");
  if (!reference.empty()) source["metricSourceRef"] = reference;
  return {{"metricSource", std::move(source)}};
}

// What all objectives of one SLO have in common; those that no longer have it go their own way.
json Shared(const Objective& objective) {
  json out = objective.spec;
  for (const char* own : {"target", "timeSliceTarget", "timeSliceWindow"}) out.erase(own);
  if (out.contains("indicator") && out["indicator"].contains("threshold")) {
    out["indicator"]["threshold"].erase("op");
    out["indicator"]["threshold"].erase("value");
  }
  return out;
}

json IndicatorOf(const Objective& objective) {
  const json& indicator = At(objective.spec, "indicator");
  json spec;
  if (const json& threshold = At(indicator, "threshold"); !threshold.is_null()) {
    spec["thresholdMetric"] = Source(objective, Text(threshold, "query"));
  } else if (const json& raw = At(indicator, "rawRatio"); !raw.is_null()) {
    spec["ratioMetric"] = {{"raw", Source(objective, Text(raw, "query"))},
                           {"rawType", Text(raw, "type")}};
  } else {
    json ratio = {{"counter", true}};
    for (const char* key : {"good", "bad", "total"}) {
      const std::string query = Text(At(indicator, "ratio"), key);
      if (!query.empty()) ratio[key] = Source(objective, query);
    }
    spec["ratioMetric"] = std::move(ratio);
  }
  json metadata = At(objective.kept, "indicator");
  if (metadata.is_null()) {
    const std::string name = Text(objective.kept, "indicatorRef");
    metadata = {{"name", name.empty() ? objective.name : name}};
  }
  return {{"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
}

json PolicyOf(const json& window, const std::string& name) {
  const json condition = {{"kind", "burnrate"},
                          {"op", "gt"},
                          {"threshold", Text(window, "factor")},
                          {"lookbackWindow", Text(window, "longWindow")},
                          {"alertAfter", Text(window, "shortWindow")}};
  return {{"kind", "AlertPolicy"},
          {"metadata", {{"name", name}}},
          {"spec",
           {{"alertWhenBreaching", true},
            {"alertWhenNoData", false},
            {"alertWhenResolved", false},
            {"conditions",
             json::array(
                 {{{"kind", "AlertCondition"},
                   {"metadata", {{"name", name}}},
                   {"spec", {{"severity", Text(window, "severity")}, {"condition", condition}}}}})},
            {"notificationTargets", json::array({{{"kind", "AlertNotificationTarget"},
                                                  {"metadata", {{"name", "alertmanager"}}},
                                                  {"spec", {{"target", "alertmanager"}}}}})}}}};
}

// The policies as they were imported, while the windows are still theirs.
json PoliciesOf(const Objective& objective) {
  const json& windows = At(objective.spec, "alertWindows");
  if (windows == At(objective.kept, "alertWindows")) return At(objective.kept, "alertPolicies");
  json out = json::array();
  for (std::size_t i = 0; windows.is_array() && i < windows.size(); ++i) {
    out.push_back(PolicyOf(windows[i], fmt::format("{}-burn-{}", objective.name, i + 1)));
  }
  return out;
}

json ObjectiveOf(const Objective& objective) {
  json out = {{"target", Text(objective.spec, "target")}};
  if (!At(objective.kept, "objectiveName").is_null()) {
    out["displayName"] = objective.kept["objectiveName"];
  }
  const json& threshold = At(At(objective.spec, "indicator"), "threshold");
  if (!threshold.is_null()) {
    out["op"] = Text(threshold, "op");
    out["value"] = Text(threshold, "value");
  } else if (!At(objective.kept, "objectiveOp").is_null()) {
    out["op"] = objective.kept["objectiveOp"];
  }
  for (const char* key : {"timeSliceTarget", "timeSliceWindow"}) {
    if (!Text(objective.spec, key).empty()) out[key] = Text(objective.spec, key);
  }
  if (!threshold.is_null() && Text(objective.spec, "budgetingMethod") == "Timeslices") {
    out["timeSliceTarget"] = "1";
  }
  return out;
}

json SloOf(const std::string& name, const std::vector<Objective>& objectives) {
  const Objective& first = objectives.front();
  const json& subject = At(first.spec, "subjectRef");
  json annotations = {{"sluice.dev/subject", Text(subject, "kind") + "/" + Text(subject, "name")}};
  if (const json& events = At(first.spec, "minEvents"); events.is_number_integer()) {
    annotations["sluice.dev/min-events"] = std::to_string(events.get<std::int64_t>());
  }
  const json& policy = At(first.spec, "budgetPolicy");
  const std::string caution = Text(policy, "cautionBelow");
  if (!caution.empty()) annotations["sluice.dev/caution-below"] = caution;
  const std::string freeze = Text(policy, "freezeBelow");
  if (!freeze.empty()) annotations["sluice.dev/freeze-below"] = freeze;
  // Both classes are the default and need no word.
  if (const json& names = At(policy, "exceptions"); names.is_array() && names.size() == 1) {
    annotations["sluice.dev/budget-exceptions"] = names[0];
  }
  if (const json& labels = At(first.spec, "labels"); labels.is_object() && !labels.empty()) {
    annotations["sluice.dev/alert-labels"] = labels.dump();
  }
  json metadata = {{"name", name}, {"annotations", std::move(annotations)}};
  for (const char* key : {"displayName", "labels"}) {
    if (!At(first.kept, key).is_null()) metadata[key] = first.kept[key];
  }
  json spec = {{"budgetingMethod", Text(first.spec, "budgetingMethod")},
               {"indicator", IndicatorOf(first)}};
  const json& calendar = At(first.spec, "calendar");
  json window = {{"duration", Text(first.spec, "window")}, {"isRolling", calendar.is_null()}};
  if (!calendar.is_null()) window["calendar"] = calendar;
  spec["timeWindow"] = json::array({std::move(window)});
  const std::string service = Text(first.kept, "service");
  spec["service"] = service.empty() ? Text(subject, "name") : service;
  if (!Text(first.spec, "description").empty()) spec["description"] = first.spec["description"];
  if (const json policies = PoliciesOf(first); policies.is_array() && !policies.empty()) {
    spec["alertPolicies"] = policies;
  }
  for (const Objective& objective : objectives) {
    spec["objectives"].push_back(ObjectiveOf(objective));
  }
  return {{"apiVersion", kApiVersion},
          {"kind", "SLO"},
          {"metadata", std::move(metadata)},
          {"spec", std::move(spec)}};
}

}  // namespace

Exported Export(const std::vector<std::string>& objects) {
  Exported out;
  std::map<std::string, std::vector<Objective>> slos;  // by the SLO's name
  for (const std::string& text : objects) {
    const json object = json::parse(text, nullptr, false);
    Objective objective;
    objective.name = Text(At(object, "metadata"), "name");
    objective.spec = At(object, "spec");
    if (!objective.spec.is_object() || objective.name.empty()) {
      out.problems.push_back({objective.name, "", "is not a ServiceLevelObjective"});
      continue;
    }
    objective.spec.emplace("budgetingMethod", "Occurrences");
    objective.kept = json::parse(
        Text(At(At(object, "metadata"), "annotations"), "sluice.dev/openslo"), nullptr, false);
    if (!objective.kept.is_object()) objective.kept = json::object();
    if (const json& index = At(objective.kept, "objective"); index.is_number_unsigned()) {
      objective.index = static_cast<int>(std::min<std::uint64_t>(index.get<std::uint64_t>(), 1000));
    }
    const std::string slo = Text(objective.kept, "slo");
    slos[slo.empty() ? objective.name : slo].push_back(std::move(objective));
  }
  std::vector<json> referred;
  std::vector<json> documents;
  for (auto& [name, objectives] : slos) {
    std::stable_sort(objectives.begin(), objectives.end(),
                     [](const Objective& a, const Objective& b) { return a.index < b.index; });
    const bool together = std::all_of(objectives.begin(), objectives.end(), [&](const auto& each) {
      return Shared(each) == Shared(objectives.front());
    });
    if (together) {
      documents.push_back(SloOf(name, objectives));
    } else {
      for (const Objective& each : objectives) documents.push_back(SloOf(each.name, {each}));
    }
    for (const Objective& each : objectives) {
      const json& kept = At(each.kept, "documents");
      for (std::size_t i = 0; kept.is_array() && i < kept.size(); ++i) {
        // Indicators are written inline: what was imported may have been edited since.
        if (Text(kept[i], "kind") == "SLI") continue;
        if (std::find(referred.begin(), referred.end(), kept[i]) == referred.end()) {
          referred.push_back(kept[i]);
        }
      }
    }
  }
  for (const auto* list : {&referred, &documents}) {
    for (const json& each : *list) {
      out.documents.push_back(each.dump(-1, ' ', false, json::error_handler_t::replace));
    }
  }
  return out;
}

}  // namespace sluice::openslo
