#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "reconcilers/gates/calendar.h"
#include "reconcilers/gates/decimal.h"
#include "reconcilers/openslo/annotations.h"
#include "reconcilers/openslo/check.h"
#include "reconcilers/openslo/convert.h"
#include "reconcilers/openslo/limits.h"
#include "reconcilers/openslo/query.h"

namespace sluice::openslo {

using gates::Decimal;
using nlohmann::json;

namespace {

using Key = std::pair<std::string, std::string>;  // kind and name

bool IsObjectName(const std::string& name) {
  return !name.empty() && name.size() <= 60 && name.front() != '-' && name.back() != '-' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

// One SLO with everything it refers to.
class SloImport {
 public:
  SloImport(const json& document, const std::map<Key, json>& all, const ImportOptions& options,
            Problems problems, Problems warnings, std::vector<std::string>& objects)
      : spec_(At(document, "spec")),
        metadata_(At(document, "metadata")),
        all_(all),
        options_(options),
        problems_(std::move(problems)),
        warnings_(std::move(warnings)),
        objects_(objects) {}

  void Run() {
    const json* indicator = Indicator();
    if (indicator == nullptr) return;
    json common = {{"subjectRef", Subject()}, {"budgetingMethod", Text(spec_, "budgetingMethod")}};
    Window(common);
    if (!Text(spec_, "description").empty()) common["description"] = Text(spec_, "description");
    ReadAnnotations(metadata_, common, problems_);
    Policies(common);
    Refer("Service", Text(spec_, "service"));
    const json& objectives = At(spec_, "objectives");
    const std::string name = Text(metadata_, "name");
    if (!IsObjectName(name)) {
      problems_.Add("metadata.name", "becomes an object's name: at most 60 of a-z, 0-9 and -");
    }
    for (std::size_t i = 0; i < objectives.size(); ++i) {
      json spec = common;
      Objective(objectives[i], *indicator, fmt::format("spec.objectives[{}]", i), spec);
      Put(objectives.size() == 1 ? name : fmt::format("{}-{}", name, i + 1), i, objectives[i],
          std::move(spec));
    }
  }

 private:
  const json* Find(const std::string& kind, const std::string& name) const {
    const auto found = all_.find({kind, name});
    return found == all_.end() ? nullptr : &found->second;
  }
  // Documents that come back on export.
  void Refer(const std::string& kind, const std::string& name) {
    const json* found = Find(kind, name);
    if (found != nullptr &&
        std::find(referred_.begin(), referred_.end(), *found) == referred_.end()) {
      referred_.push_back(*found);
    }
  }

  // The indicator's spec; its own field names in messages are those of where it stands.
  const json* Indicator() {
    const std::string name = Text(spec_, "indicatorRef");
    if (name.empty()) {
      at_ = "spec.indicator.spec";
      about_ = &At(At(spec_, "indicator"), "metadata");
      return &At(At(spec_, "indicator"), "spec");
    }
    const json* sli = Find("SLI", name);
    if (sli == nullptr) {
      problems_.Add("spec.indicatorRef", fmt::format("no SLI \"{}\" is among the documents", name));
      return nullptr;
    }
    at_ = fmt::format("spec.indicatorRef({})", name);
    about_ = &At(*sli, "metadata");
    CheckObjectives(spec_, !At(At(*sli, "spec"), "thresholdMetric").is_null(), problems_);
    return &At(*sli, "spec");
  }

  json Subject() {
    std::string subject = Text(At(metadata_, "annotations"), "sluice.dev/subject");
    if (subject.empty()) subject = options_.subject;
    const std::size_t slash = subject.find('/');
    const std::string kind = subject.substr(0, slash);
    if (slash == std::string::npos || (kind != "Site" && kind != "Tenant") ||
        !IsObjectName(subject.substr(slash + 1))) {
      problems_.Add("metadata.annotations[sluice.dev/subject]",
                    "must be Site/NAME or Tenant/NAME: what the objective is about");
      return nullptr;
    }
    return {{"kind", kind}, {"name", subject.substr(slash + 1)}};
  }

  std::string Length(const std::string& text, const std::string& field) {
    if (!text.empty() && std::string_view("MQY").find(text.back()) != std::string_view::npos) {
      problems_.Add(field,
                    "months, quarters and years have no fixed length: use days or weeks, or a "
                    "calendar window");
    }
    return text;
  }

  void Window(json& out) {
    const json& window = At(spec_, "timeWindow")[0];
    const std::string at = "spec.timeWindow[0].";
    out["window"] = Text(window, "duration");
    const json& calendar = At(window, "calendar");
    if (calendar.is_null()) {
      Length(Text(window, "duration"), at + "duration");
      return;
    }
    const std::string start = Text(calendar, "startTime"), zone = Text(calendar, "timeZone");
    out["calendar"] = {{"startTime", start}, {"timeZone", zone}};
    const auto read = gates::Calendar::Parse(Text(window, "duration"), start, zone);
    if (read.ok()) return;
    // "FIELD: what is wrong", with our name of the duration.
    std::string field = read.status().message().substr(0, read.status().message().find(':'));
    const std::string rule =
        read.status().message().substr(std::min(field.size() + 2, read.status().message().size()));
    problems_.Add(at + (field == "window" ? "duration" : field), rule);
  }

  void Policies(json& spec) {
    const json& policies = At(spec_, "alertPolicies");
    for (std::size_t i = 0; policies.is_array() && i < policies.size(); ++i) {
      const std::string at = fmt::format("spec.alertPolicies[{}]", i);
      const json* policy = Resolve(policies[i], "AlertPolicy", "alertPolicyRef", at);
      if (policy == nullptr) continue;
      const json& policy_spec = At(*policy, "spec");
      const json& targets = At(policy_spec, "notificationTargets");
      for (std::size_t t = 0; targets.is_array() && t < targets.size(); ++t) {
        Resolve(targets[t], "AlertNotificationTarget", "targetRef",
                fmt::format("{}.spec.notificationTargets[{}]", at, t));
      }
      const json& conditions = At(policy_spec, "conditions");
      if (!conditions.is_array() || conditions.empty()) continue;
      const json* condition =
          Resolve(conditions[0], "AlertCondition", "conditionRef", at + ".spec.conditions[0]");
      if (condition == nullptr || At(policy_spec, "alertWhenBreaching") == json(false)) continue;
      Alert(At(*condition, "spec"), at, spec["alertWindows"]);
    }
  }

  const json* Resolve(const json& item, const char* kind, const char* reference,
                      const std::string& at) {
    const std::string name = item.is_string() ? item.get<std::string>() : Text(item, reference);
    if (name.empty()) {
      std::vector<Problem> wrong;
      if (Text(item, "kind") != kind) {
        problems_.Add(at, fmt::format("must be a whole {}, or its name as {}", kind, reference));
        return nullptr;
      }
      Problems inside(wrong, "");
      json whole = item;
      whole["apiVersion"] = kApiVersion;
      CheckDocument(whole, inside);
      for (const Problem& p : wrong) problems_.Add(at + "." + p.field, p.rule);
      return wrong.empty() ? &item : nullptr;
    }
    const json* found = Find(kind, name);
    if (found == nullptr) {
      problems_.Add(fmt::format("{}.{}", at, reference),
                    fmt::format("no {} \"{}\" is among the documents", kind, name));
    }
    Refer(kind, name);
    return found;
  }

  void Alert(const json& spec, const std::string& at, json& windows) {
    const json& condition = At(spec, "condition");
    const std::string op = Text(condition, "op");
    // The specification's own example alerts when the rate "exceeds 2", and writes lte.
    if (op == "lt" || op == "lte") {
      warnings_.Add(at, fmt::format("op {} is read as what is still well: a burn rate alerts when "
                                    "it is above the threshold",
                                    op));
    }
    const std::string severity = Lower(Text(spec, "severity"));
    windows.push_back(
        {{"severity", severity == "page" || severity == "critical" ? "Page" : "Ticket"},
         {"factor", Text(condition, "threshold")},
         {"longWindow", Length(Text(condition, "lookbackWindow"), at)},
         {"shortWindow", Length(Text(condition, "alertAfter"), at)}});
  }

  // A metric source's query in our form.
  std::string Query(const json& metric, const std::string& at, bool windowed, bool counter) {
    const json& source = At(metric, "metricSource");
    std::string type = Text(source, "type");
    if (const std::string reference = Text(source, "metricSourceRef"); !reference.empty()) {
      const json* data_source = Find("DataSource", reference);
      Refer("DataSource", reference);
      source_ = reference;
      if (type.empty() && data_source == nullptr) {
        problems_.Add(at + ".metricSource.metricSourceRef",
                      fmt::format("no DataSource \"{}\" is among the documents", reference));
        return {};
      }
      if (type.empty()) type = Text(At(*data_source, "spec"), "type");
    }
    if (Lower(type) != "prometheus") {
      problems_.Add(at + ".metricSource.type",
                    fmt::format("\"{}\" is not measured: only Prometheus is", type));
      return {};
    }
    auto query = PrometheusQuery(Text(At(source, "spec"), "query"), windowed, counter);
    for (const std::string& rule : query.rules) {
      problems_.Add(at + ".metricSource.spec.query", rule);
    }
    return std::move(query.promql);
  }

  void Objective(const json& objective, const json& indicator, const std::string& at, json& spec) {
    const Decimal hundred = Decimal::FromInt(100);
    auto target = Decimal::Parse(Text(objective, "target"));
    if (!target.ok()) {
      target = Decimal::Parse(Text(objective, "targetPercent"));
      if (target.ok()) target = *target / hundred;
    }
    if (target.ok() && (*target <= Decimal() || target->ToString().size() > 12)) {
      problems_.Add(at + ".target",
                    "must be above 0, with at most ten digits: a target of 0 has "
                    "no budget that could be used up");
    }
    if (target.ok()) spec["target"] = target->ToString();
    const std::string slice = Text(objective, "timeSliceWindow");
    if (!slice.empty()) {
      const bool minutes = Decimal::Parse(slice).ok();
      spec["timeSliceWindow"] = Length(minutes ? slice + "m" : slice, at + ".timeSliceWindow");
      if (minutes && slice.find('.') != std::string::npos) {
        problems_.Add(at + ".timeSliceWindow", "must be whole minutes");
      }
    }
    const json& threshold = At(indicator, "thresholdMetric");
    const auto slice_target = Decimal::Parse(Text(objective, "timeSliceTarget"));
    if (!threshold.is_null()) {
      if (slice_target.ok() && *slice_target != Decimal::FromInt(1)) {
        problems_.Add(at + ".timeSliceTarget",
                      "must be 1 for a thresholdMetric: a slice is good or bad as a whole");
      }
      spec["indicator"]["threshold"] = {
          {"query", Query(threshold, at_ + ".thresholdMetric", false, false)},
          {"op", Text(objective, "op")},
          {"value", Text(objective, "value")}};
      return;
    }
    if (slice_target.ok()) spec["timeSliceTarget"] = slice_target->ToString();
    Ratio(At(indicator, "ratioMetric"), spec["indicator"]);
  }

  void Ratio(const json& ratio, json& out) {
    if (const json& raw = At(ratio, "raw"); !raw.is_null()) {
      out["rawRatio"] = {{"query", Query(raw, at_ + ".ratioMetric.raw", false, false)},
                         {"type", Text(ratio, "rawType")}};
      return;
    }
    const bool counter = At(ratio, "counter") == json(true);
    for (const char* key : {"good", "bad", "total"}) {
      const json& metric = At(ratio, key);
      if (!metric.is_null()) {
        out["ratio"][key] =
            Query(metric, fmt::format("{}.ratioMetric.{}", at_, key), true, counter);
      }
    }
  }

  void Put(const std::string& name, std::size_t index, const json& objective, json spec) {
    json kept = {{"slo", Text(metadata_, "name")}, {"objective", index}};
    for (const char* key : {"displayName", "labels"}) {
      if (!At(metadata_, key).is_null()) kept[key] = At(metadata_, key);
    }
    kept["service"] = At(spec_, "service");
    for (const char* key : {"alertPolicies", "indicatorRef"}) {
      if (!At(spec_, key).is_null()) kept[key] = At(spec_, key);
    }
    if (!about_->is_null()) kept["indicator"] = *about_;
    if (!At(objective, "displayName").is_null()) kept["objectiveName"] = objective["displayName"];
    if (!spec["indicator"].contains("threshold") && !At(objective, "op").is_null()) {
      kept["objectiveOp"] = objective["op"];
    }
    if (spec.contains("alertWindows")) kept["alertWindows"] = spec["alertWindows"];
    if (!source_.empty()) kept["metricSourceRef"] = source_;
    if (index == 0 && !referred_.empty()) kept["documents"] = referred_;
    const std::string text = kept.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.size() > kMaxAnnotationBytes) {
      problems_.Add("", "with what it refers to it is too large to be kept in an object");
    }
    const json object = {
        {"apiVersion", "sluice.dev/v1alpha1"},
        {"kind", "ServiceLevelObjective"},
        {"metadata", {{"name", name}, {"annotations", {{"sluice.dev/openslo", text}}}}},
        {"spec", std::move(spec)}};
    objects_.push_back(object.dump(-1, ' ', false, json::error_handler_t::replace));
  }

  const json& spec_;
  const json& metadata_;
  const std::map<Key, json>& all_;
  const ImportOptions& options_;
  Problems problems_;
  Problems warnings_;
  std::vector<std::string>& objects_;
  std::string at_;
  const json* about_ = nullptr;  // the indicator's metadata
  std::string source_;           // the metricSourceRef, to be given back
  std::vector<json> referred_;
};

}  // namespace

Imported Import(const std::vector<Document>& documents, const ImportOptions& options) {
  Imported out;
  std::map<Key, json> all;
  std::vector<std::pair<std::string, json>> slos;
  for (const Document& document : documents) {
    Problems problems(out.problems, document.name);
    const std::size_t before = out.problems.size();
    const json parsed = json::parse(document.json, nullptr, false);
    CheckDocument(parsed, problems);
    if (out.problems.size() != before) continue;
    const Key key{Text(parsed, "kind"), Text(At(parsed, "metadata"), "name")};
    Problems warnings(out.warnings, document.name);
    if (!all.emplace(key, WithoutSecrets(parsed, warnings)).second) {
      problems.Add("metadata.name", fmt::format("{} \"{}\" is given twice", key.first, key.second));
    }
    if (key.first == "SLO") slos.emplace_back(document.name, parsed);
  }
  // References to documents that are wrong themselves would only repeat it.
  if (!out.problems.empty()) return out;
  for (const auto& [name, slo] : slos) {
    SloImport(slo, all, options, Problems(out.problems, name), Problems(out.warnings, name),
              out.objects)
        .Run();
  }
  if (out.problems.empty() && slos.empty()) {
    out.problems.push_back({"", "", "there is no SLO among the documents"});
  }
  if (!out.problems.empty()) out.objects.clear();
  return out;
}

}  // namespace sluice::openslo
