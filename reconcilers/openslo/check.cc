#include "reconcilers/openslo/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "reconcilers/gates/decimal.h"
#include "reconcilers/openslo/limits.h"

namespace sluice::openslo {

using gates::Decimal;
using nlohmann::json;

namespace {

constexpr std::size_t kMaxDescription = 1050;
constexpr std::array<std::string_view, 7> kKinds = {"SLO",
                                                    "SLI",
                                                    "Service",
                                                    "DataSource",
                                                    "AlertPolicy",
                                                    "AlertCondition",
                                                    "AlertNotificationTarget"};

bool Has(const json& value, std::string_view key) { return !At(value, key).is_null(); }

bool OneOf(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// A number in [low, high) or, with `closed`, (low, high].
void CheckNumber(const json& holder, const char* key, const std::string& at, int low, int high,
                 bool closed, Problems& problems) {
  const auto number = Decimal::Parse(Text(holder, key));
  const Decimal lowest = Decimal::FromInt(low), highest = Decimal::FromInt(high);
  const bool fits = number.ok() && (closed ? *number > lowest && *number <= highest
                                           : *number >= lowest && *number < highest);
  if (!fits) {
    problems.Add(at + "." + key, fmt::format("must be a number in {}{}, {}{}", closed ? "(" : "[",
                                             low, high, closed ? "]" : ")"));
  }
}

void CheckDescription(const json& spec, Problems& problems) {
  if (Text(spec, "description").size() > kMaxDescription) {
    problems.Add("spec.description", "has at most 1050 characters");
  }
}

void CheckSource(const json& metric, const std::string& at, Problems& problems) {
  const json& source = At(metric, "metricSource");
  if (!source.is_object()) return problems.Add(at + ".metricSource", "is required");
  if (Text(source, "type").empty() && Text(source, "metricSourceRef").empty()) {
    problems.Add(at + ".metricSource.type", "is required without a metricSourceRef");
  }
  if (!At(source, "spec").is_object()) problems.Add(at + ".metricSource.spec", "is required");
}

void CheckTimeWindow(const json& spec, Problems& problems) {
  const json& windows = At(spec, "timeWindow");
  if (windows.is_null()) return problems.Add("spec.timeWindow", "is required");
  if (!windows.is_array() || windows.size() != 1) {
    return problems.Add("spec.timeWindow", "must have exactly one item");
  }
  const json& window = windows[0];
  if (!IsDuration(Text(window, "duration"))) {
    problems.Add("spec.timeWindow[0].duration", "must be a duration, as 30d");
  }
  const json& calendar = At(window, "calendar");
  const bool rolling = At(window, "isRolling") == json(true);
  if (rolling && !calendar.is_null()) {
    problems.Add("spec.timeWindow[0].calendar", "cannot be given for a rolling window");
  } else if (!rolling && calendar.is_null()) {
    problems.Add("spec.timeWindow[0]", "must be rolling (isRolling: true) or have a calendar");
  } else if (!rolling) {
    for (const char* key : {"startTime", "timeZone"}) {
      if (Text(calendar, key).empty()) {
        problems.Add(fmt::format("spec.timeWindow[0].calendar.{}", key), "is required");
      }
    }
  }
}

void CheckObjective(const json& objective, const std::string& at, const std::string& method,
                    bool threshold, Problems& problems) {
  if (Has(objective, "target") == Has(objective, "targetPercent")) {
    problems.Add(at + ".target", "exactly one of target and targetPercent must be given");
  } else if (Has(objective, "target")) {
    CheckNumber(objective, "target", at, 0, 1, false, problems);
  } else {
    CheckNumber(objective, "targetPercent", at, 0, 100, false, problems);
  }
  if (threshold) {
    if (!OneOf(Text(objective, "op"), {"lte", "gte", "lt", "gt"})) {
      problems.Add(at + ".op", "must be lte, gte, lt or gt for a thresholdMetric");
    }
    if (!Decimal::Parse(Text(objective, "value")).ok()) {
      problems.Add(at + ".value", "must be a number for a thresholdMetric");
    }
  } else {
    // The specification's own examples give a ratio an operator; it can only say that more is
    // better.
    if (Has(objective, "op") && !OneOf(Text(objective, "op"), {"gt", "gte"})) {
      problems.Add(at + ".op", "is for a thresholdMetric only; a ratio's can be gt or gte");
    }
    if (Has(objective, "value")) problems.Add(at + ".value", "is for a thresholdMetric only");
  }
  const bool slices = method == "Timeslices" || method == "RatioTimeslices";
  if (method == "Timeslices") {
    CheckNumber(objective, "timeSliceTarget", at, 0, 1, true, problems);
  } else if (Has(objective, "timeSliceTarget")) {
    problems.Add(at + ".timeSliceTarget", "is for budgetingMethod Timeslices only");
  }
  const std::string window = Text(objective, "timeSliceWindow");
  const auto minutes = Decimal::Parse(window);
  const bool readable = IsDuration(window) || (minutes.ok() && *minutes > Decimal());
  if (slices && !readable) {
    problems.Add(at + ".timeSliceWindow", "must be a duration, or a number of minutes");
  } else if (!slices && !window.empty()) {
    problems.Add(at + ".timeSliceWindow", "is for time slices only");
  }
}

bool IsThreshold(const json& spec) {
  return Has(At(At(spec, "indicator"), "spec"), "thresholdMetric");
}

void CheckSlo(const json& spec, Problems& problems) {
  if (Text(spec, "service").empty()) problems.Add("spec.service", "is required");
  const bool inline_indicator = Has(spec, "indicator");
  if (inline_indicator == Has(spec, "indicatorRef")) {
    problems.Add("spec.indicator", "exactly one of indicator and indicatorRef must be given");
  } else if (inline_indicator) {
    CheckIndicator(At(At(spec, "indicator"), "spec"), "spec.indicator.spec", problems);
  }
  CheckTimeWindow(spec, problems);
  const std::string method = Text(spec, "budgetingMethod");
  if (!OneOf(method, {"Occurrences", "Timeslices", "RatioTimeslices"})) {
    problems.Add("spec.budgetingMethod", "must be Occurrences, Timeslices or RatioTimeslices");
  }
  const json& objectives = At(spec, "objectives");
  if (!objectives.is_array() || objectives.empty()) {
    return problems.Add("spec.objectives", "at least one is required");
  }
  if (objectives.size() > kMaxObjectives) problems.Add("spec.objectives", "too many");
  // What a referenced indicator measures is known when the documents are together (import.cc).
  if (inline_indicator) CheckObjectives(spec, IsThreshold(spec), problems);
}

void CheckPolicy(const json& spec, Problems& problems) {
  const json& conditions = At(spec, "conditions");
  if (!conditions.is_array() || conditions.size() != 1) {
    problems.Add("spec.conditions", "must have exactly one item");
  }
  const json& targets = At(spec, "notificationTargets");
  if (!targets.is_array() || targets.empty()) {
    problems.Add("spec.notificationTargets", "at least one is required");
  }
}

void CheckCondition(const json& spec, Problems& problems) {
  const json& condition = At(spec, "condition");
  if (Text(spec, "severity").empty()) problems.Add("spec.severity", "is required");
  if (!condition.is_object()) return problems.Add("spec.condition", "is required");
  if (Has(condition, "kind") && Text(condition, "kind") != "burnrate") {
    problems.Add("spec.condition.kind", "must be burnrate");
  }
  if (Has(condition, "op") && !OneOf(Text(condition, "op"), {"lte", "gte", "lt", "gt"})) {
    problems.Add("spec.condition.op", "must be lte, gte, lt or gt");
  }
  if (!Decimal::Parse(Text(condition, "threshold")).ok()) {
    problems.Add("spec.condition.threshold", "must be a number");
  }
  for (const char* key : {"lookbackWindow", "alertAfter"}) {
    if (!IsDuration(Text(condition, key))) {
      problems.Add(fmt::format("spec.condition.{}", key), "must be a duration, as 5m");
    }
  }
}

}  // namespace

void Problems::Add(std::string field, std::string rule) {
  if (all_.size() < kMaxProblems) all_.push_back({document_, std::move(field), std::move(rule)});
}

const json& At(const json& value, std::string_view key) {
  static const json kNull;
  if (!value.is_object()) return kNull;
  const auto found = value.find(std::string(key));
  return found == value.end() ? kNull : *found;
}

std::string Text(const json& value, std::string_view key) {
  const json& member = At(value, key);
  return member.is_string() ? member.get<std::string>() : std::string();
}

bool IsDuration(std::string_view text) {
  if (text.size() < 2 || text.size() > 10) return false;
  const std::string_view digits = text.substr(0, text.size() - 1);
  return digits.find_first_not_of("0123456789") == std::string_view::npos &&
         digits.find_first_not_of('0') != std::string_view::npos &&
         std::string_view("mhdwMQY").find(text.back()) != std::string_view::npos;
}

void CheckIndicator(const json& spec, const std::string& at, Problems& problems) {
  const json& threshold = At(spec, "thresholdMetric");
  const json& ratio = At(spec, "ratioMetric");
  if (threshold.is_null() == ratio.is_null()) {
    return problems.Add(at, "exactly one of thresholdMetric and ratioMetric must be given");
  }
  if (!threshold.is_null()) return CheckSource(threshold, at + ".thresholdMetric", problems);
  const std::string field = at + ".ratioMetric";
  if (Has(ratio, "raw")) {
    for (const char* key : {"good", "bad", "total"}) {
      if (Has(ratio, key)) problems.Add(field + "." + key, "cannot be given with raw");
    }
    if (!OneOf(Text(ratio, "rawType"), {"success", "failure"})) {
      problems.Add(field + ".rawType", "must be success or failure with raw");
    }
    return CheckSource(At(ratio, "raw"), field + ".raw", problems);
  }
  if (Has(ratio, "rawType")) problems.Add(field + ".rawType", "is for raw only");
  if (Has(ratio, "good") == Has(ratio, "bad")) {
    problems.Add(field + ".good", "exactly one of good and bad must be given with total");
  }
  for (const char* key : {"good", "bad", "total"}) {
    if (Has(ratio, key)) CheckSource(At(ratio, key), field + "." + key, problems);
  }
  if (!Has(ratio, "total")) problems.Add(field + ".total", "is required");
  if (Has(ratio, "counter") && !At(ratio, "counter").is_boolean()) {
    problems.Add(field + ".counter", "must be true or false");
  }
}

void CheckObjectives(const json& spec, bool threshold, Problems& problems) {
  const json& objectives = At(spec, "objectives");
  if (!objectives.is_array()) return;
  if (threshold && objectives.size() > 1) {
    problems.Add("spec.objectives", "only one objective can be given with a thresholdMetric");
  }
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    CheckObjective(objectives[i], fmt::format("spec.objectives[{}]", i),
                   Text(spec, "budgetingMethod"), threshold, problems);
  }
}

void CheckDocument(const json& document, Problems& problems) {
  if (!document.is_object()) return problems.Add("", "is not an object");
  if (Text(document, "apiVersion") != kApiVersion) {
    problems.Add("apiVersion", "must be openslo/v1");
  }
  const std::string kind = Text(document, "kind");
  if (std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end()) {
    return problems.Add("kind", fmt::format("\"{}\" is not a kind of OpenSLO v1", kind));
  }
  if (Text(At(document, "metadata"), "name").empty()) problems.Add("metadata.name", "is required");
  const json& spec = At(document, "spec");
  if (!spec.is_object()) return problems.Add("spec", "is required");
  CheckDescription(spec, problems);
  if (kind == "SLO") CheckSlo(spec, problems);
  if (kind == "SLI") CheckIndicator(spec, "spec", problems);
  if (kind == "DataSource" && Text(spec, "type").empty()) problems.Add("spec.type", "is required");
  if (kind == "AlertPolicy") CheckPolicy(spec, problems);
  if (kind == "AlertCondition") CheckCondition(spec, problems);
  if (kind == "AlertNotificationTarget" && Text(spec, "target").empty()) {
    problems.Add("spec.target", "is required");
  }
}

}  // namespace sluice::openslo
