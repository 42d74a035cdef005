// The Prometheus rules of one objective: recording rules for its windows and budget, and
// multi-window, multi-burn-rate alerts (Google's SRE Workbook, chapter 5). Rule files follow
// prometheus.io/docs/prometheus/latest/configuration/recording_rules. Pure; any thread.
//
// Alerts: SluiceSloBurnsFast (severity page) and SluiceSloBurnsSlowly (ticket) when the budget
// burns in the long and the short window of a pair; SluiceSloBudgetExhausted (ticket) when none is
// left; SluiceSloNoData (ticket) when the indicator gave nothing: absence is bad, not good.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/slo.h"

namespace sluice::gates {

struct Rule {
  std::string record;  // either record or alert is set
  std::string alert;
  std::string expr;
  base::Duration hold{0};  // "for"
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct RuleGroup {
  std::string name;
  base::Duration interval{0};
  std::vector<Rule> rules;
  friend bool operator==(const RuleGroup&, const RuleGroup&) = default;
};

// `labels` are put on every alert, for Alertmanager's routing; they cannot replace slo, severity,
// subject_kind, subject. `slo` must be valid (Validate). A calendar's rules are of the period at
// `now`: they change with it, and only then.
RuleGroup RulesFor(const Slo& slo, const std::map<std::string, std::string>& labels,
                   base::WallTime now);

// A rule file, and the "groups" value of a PrometheusRule's spec.
std::string RuleFileYaml(const std::vector<RuleGroup>& groups);
std::string RuleGroupsJson(const std::vector<RuleGroup>& groups);
// SHA-256 of the YAML, in hex.
std::string RulesHash(const RuleGroup& group);

}  // namespace sluice::gates
