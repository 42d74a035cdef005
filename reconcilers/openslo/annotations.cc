#include "reconcilers/openslo/annotations.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "reconcilers/gates/decimal.h"

namespace sluice::openslo {

using gates::Decimal;
using nlohmann::json;

namespace {

void ReadOurs(const json& annotations, json& spec, Problems& problems) {
  if (const std::string events = Text(annotations, "sluice.dev/min-events"); !events.empty()) {
    const auto number = Decimal::Parse(events);
    if (!number.ok() || number->IsNegative() || Decimal::FromInt(number->Floor()) != *number) {
      problems.Add("metadata.annotations[sluice.dev/min-events]", "must be a whole number");
    } else {
      spec["minEvents"] = number->Floor();
    }
  }
  if (const std::string line = Text(annotations, "sluice.dev/caution-below"); !line.empty()) {
    spec["budgetPolicy"]["cautionBelow"] = line;
  }
  if (const std::string line = Text(annotations, "sluice.dev/freeze-below"); !line.empty()) {
    spec["budgetPolicy"]["freezeBelow"] = line;
  }
  if (const std::string names = Text(annotations, "sluice.dev/budget-exceptions"); !names.empty()) {
    json list = json::array();
    for (std::size_t at = 0; at <= names.size();) {
      const std::size_t end = std::min(names.find(',', at), names.size());
      list.push_back(names.substr(at, end - at));
      at = end + 1;
    }
    for (const json& name : list) {
      if (name != "P0" && name != "Security" && (name != "None" || list.size() != 1)) {
        problems.Add("metadata.annotations[sluice.dev/budget-exceptions]",
                     "must be P0 and Security, either of them, or None");
        return;
      }
    }
    spec["budgetPolicy"]["exceptions"] = std::move(list);
  }
}

void ReadAlertLabels(const json& annotations, json& spec, Problems& problems) {
  const std::string text = Text(annotations, "sluice.dev/alert-labels");
  if (text.empty()) return;
  const json labels = json::parse(text, nullptr, false);
  const bool good = labels.is_object() && std::all_of(labels.begin(), labels.end(),
                                                      [](const json& l) { return l.is_string(); });
  if (!good) {
    problems.Add("metadata.annotations[sluice.dev/alert-labels]",
                 "must be a JSON object of texts: labels of the generated alerts");
    return;
  }
  spec["labels"] = labels;
}

}  // namespace

void ReadAnnotations(const json& metadata, json& spec, Problems& problems) {
  const json& annotations = At(metadata, "annotations");
  ReadOurs(annotations, spec, problems);
  ReadAlertLabels(annotations, spec, problems);
}

}  // namespace sluice::openslo
