#include "reconcilers/gates/slo_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "controller/base/digest.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/slo_series.h"

namespace sluice::gates {
namespace {

using base::Duration;
using base::FormatDuration;

std::string RatioOf(const Slo& slo, const std::string& window) {
  return fmt::format("{}{{slo=\"{}\",window=\"{}\"}}", kErrorRatioSeries, slo.name, window);
}
std::string RatioOf(const Slo& slo, Duration window) {
  return RatioOf(slo, FormatDuration(window));
}

Rule Recording(std::string_view series, const Slo& slo, std::string expr) {
  return {
      .record = std::string(series),
      .alert = {},
      .expr = std::move(expr),
      .labels = {{"slo", slo.name}, {"subject_kind", slo.subject_kind}, {"subject", slo.subject}},
      .annotations = {}};
}

std::string Dropped(std::string expr) {
  // The indicator's own labels would multiply the recorded series.
  return fmt::format("sum({})", expr);
}

void AddBase(const Slo& slo, RuleGroup& group) {
  if (slo.method != BudgetingMethod::kOccurrences) {
    group.rules.push_back(Recording(kSliceErrorSeries, slo, Dropped(SliceErrorQuery(slo))));
    return;
  }
  const WindowQueries queries = BaseEventQueries(slo);
  group.rules.push_back(Recording(kBadEventsSeries, slo, Dropped(queries.error_ratio)));
  group.rules.push_back(Recording(kTotalEventsSeries, slo, Dropped(queries.events)));
}

Rule Alert(const char* name, const char* severity, const Slo& slo,
           const std::map<std::string, std::string>& labels, std::string expr, Duration hold,
           std::string summary) {
  Rule rule{.record = {}, .alert = name, .expr = std::move(expr), .hold = hold, .labels = labels};
  rule.labels["slo"] = slo.name;
  rule.labels["severity"] = severity;
  rule.labels["subject_kind"] = slo.subject_kind;
  rule.labels["subject"] = slo.subject;
  rule.annotations["summary"] = std::move(summary);
  return rule;
}

void AddBurnAlert(const Slo& slo, Severity severity, const std::vector<WindowPair>& pairs,
                  const std::map<std::string, std::string>& labels, RuleGroup& group) {
  std::string expr;
  for (const WindowPair& pair : pairs) {
    if (pair.severity != severity) continue;
    const std::string limit = (pair.factor * (Decimal::FromInt(1) - slo.target)).ToString();
    expr +=
        fmt::format("{}({} > {} and ignoring(window) {} > {})", expr.empty() ? "" : "\nor\n",
                    RatioOf(slo, pair.long_window), limit, RatioOf(slo, pair.short_window), limit);
  }
  if (expr.empty()) return;
  // One alert a severity, whichever pair is above its limit.
  expr = fmt::format("max without (window) (\n{}\n)", expr);
  const bool page = severity == Severity::kPage;
  group.rules.push_back(Alert(page ? "SluiceSloBurnsFast" : "SluiceSloBurnsSlowly",
                              page ? "page" : "ticket", slo, labels, std::move(expr), Duration(0),
                              fmt::format("{} {} burns the error budget of {} {}", slo.subject_kind,
                                          slo.subject, slo.name, page ? "fast" : "slowly")));
}

// Double quotes with YAML's escapes: any text is safe in them.
std::string Quoted(std::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

void Map(const char* name, const std::map<std::string, std::string>& values, std::string& out) {
  if (values.empty()) return;
  out += fmt::format("        {}:\n", name);
  for (const auto& [key, value] : values) {
    out += fmt::format("          {}: {}\n", key, Quoted(value));
  }
}

}  // namespace

RuleGroup RulesFor(const Slo& slo, const std::map<std::string, std::string>& labels,
                   base::WallTime now) {
  RuleGroup group;
  group.name = "sluice-" + slo.name;
  group.interval = std::min<Duration>(slo.scrape_interval, std::chrono::minutes(1));
  const std::vector<WindowPair> pairs = WindowsOf(slo);
  std::set<Duration> windows;
  if (!slo.calendar) windows.insert(slo.window);
  for (const WindowPair& pair : pairs) windows.insert({pair.long_window, pair.short_window});
  if (slo.calendar || NeedsRecording(*windows.rbegin())) AddBase(slo, group);
  const auto add_ratio = [&](const std::string& window, const std::string& query) {
    group.rules.push_back(Recording(kErrorRatioSeries, slo, Dropped(query)));
    group.rules.back().labels["window"] = window;
  };
  for (const Duration window : windows) {
    add_ratio(FormatDuration(window), QueriesFor(slo, window).error_ratio);
  }
  const std::string budget = slo.calendar ? "period" : FormatDuration(slo.window);
  if (slo.calendar) add_ratio(budget, BudgetAt(slo, now).queries.error_ratio);
  const Decimal allowed = Decimal::FromInt(1) - slo.target;
  group.rules.push_back(Recording(
      kBudgetSeries, slo,
      fmt::format("1 - max without (window) ({}) / {}", RatioOf(slo, budget), allowed.ToString())));
  group.rules.push_back(
      Recording(kObjectiveSeries, slo, fmt::format("vector({})", slo.target.ToString())));
  AddBurnAlert(slo, Severity::kPage, pairs, labels, group);
  AddBurnAlert(slo, Severity::kTicket, pairs, labels, group);
  group.rules.push_back(Alert("SluiceSloBudgetExhausted", "ticket", slo, labels,
                              RecordedSeries(kBudgetSeries, slo) + " <= 0", Duration(0),
                              fmt::format("{} {} has used up the error budget of {}",
                                          slo.subject_kind, slo.subject, slo.name)));
  const auto add_line = [&](const char* alert, const Decimal& line, const char* name,
                            const char* effect) {
    if (line <= Decimal()) return;
    group.rules.push_back(Alert(
        alert, "ticket", slo, labels,
        fmt::format("{} < {}", RecordedSeries(kBudgetSeries, slo), line.ToString()), Duration(0),
        fmt::format("{} {} is below the {} line of {}: {}", slo.subject_kind, slo.subject, name,
                    slo.name, effect)));
  };
  add_line("SluiceSloBudgetCaution", slo.caution_below, "caution", "ordinary changes hold");
  add_line("SluiceSloBudgetFrozen", slo.freeze_below, "freeze", "changes are frozen");
  group.rules.push_back(
      Alert("SluiceSloNoData", "ticket", slo, labels,
            fmt::format("absent({})", RatioOf(slo, *windows.begin())),
            kStaleScrapes * slo.scrape_interval,
            fmt::format("{} {} gives no data for {}", slo.subject_kind, slo.subject, slo.name)));
  return group;
}

std::string RuleFileYaml(const std::vector<RuleGroup>& groups) {
  std::string out = "groups:\n";
  for (const RuleGroup& group : groups) {
    out += fmt::format("  - name: {}\n    interval: {}\n    rules:\n", Quoted(group.name),
                       FormatDuration(group.interval));
    for (const Rule& rule : group.rules) {
      out += rule.alert.empty() ? fmt::format("      - record: {}\n", Quoted(rule.record))
                                : fmt::format("      - alert: {}\n", Quoted(rule.alert));
      out += fmt::format("        expr: {}\n", Quoted(rule.expr));
      if (rule.hold.count() != 0)
        out += fmt::format("        for: {}\n", FormatDuration(rule.hold));
      Map("labels", rule.labels, out);
      Map("annotations", rule.annotations, out);
    }
  }
  return out;
}

std::string RuleGroupsJson(const std::vector<RuleGroup>& groups) {
  nlohmann::json out = nlohmann::json::array();
  for (const RuleGroup& group : groups) {
    nlohmann::json rules = nlohmann::json::array();
    for (const Rule& rule : group.rules) {
      nlohmann::json item = {{"expr", rule.expr}};
      if (rule.alert.empty()) {
        item["record"] = rule.record;
      } else {
        item["alert"] = rule.alert;
      }
      if (rule.hold.count() != 0) item["for"] = FormatDuration(rule.hold);
      if (!rule.labels.empty()) item["labels"] = rule.labels;
      if (!rule.annotations.empty()) item["annotations"] = rule.annotations;
      rules.push_back(std::move(item));
    }
    out.push_back({{"name", group.name},
                   {"interval", FormatDuration(group.interval)},
                   {"rules", std::move(rules)}});
  }
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string RulesHash(const RuleGroup& group) { return base::Sha256Hex(RuleFileYaml({group})); }

}  // namespace sluice::gates
