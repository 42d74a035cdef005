// Budgets that the generated rules compute (promtool) from series for which they were worked out by
// hand.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "reconcilers/gates/promtool_for_test.h"
#include "reconcilers/gates/slo_cases.h"
#include "reconcilers/gates/slo_rules.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary

// "events", "sliced" and "mean": one objective by Occurrences, Timeslices and RatioTimeslices.
std::string RulesOfEachMethod() {
  Slo events = Sliced(BudgetingMethod::kTimeslices);
  events.name = "events";
  events.method = BudgetingMethod::kOccurrences;
  events.slice = {};
  return RuleFileYaml(std::vector<RuleGroup>{
      RulesFor(events, {}, kNow), RulesFor(Sliced(BudgetingMethod::kTimeslices), {}, kNow),
      RulesFor(Sliced(BudgetingMethod::kRatioTimeslices), {}, kNow)});
}

// Ten minutes of one sample every 15 s; series are per-sample increments. Worked out by hand:
//   minutes 0-8   600 good of 600 a minute        slices good
//   minute  9     540 of 600 (ratio 0.9)          slice bad at a target of 0.95
// The window of ten whole minutes ending at minute 10 holds 9 perfect slices and that one.
//   Occurrences       bad 60 of 6000 = 0.01       budget (target 0.9) 1 - 0.01/0.1 = 0.9
//   Timeslices        1 bad of 10 = 0.1           1 - 0.1/0.1 = 0
//   RatioTimeslices   mean(9 x 0, 0.1) = 0.01     0.9
TEST(SloRules, BudgetsAreWhatOneWorksOutByHandForEachMethod) {
  const Folder folder;
  folder.Write("rules.yaml", RulesOfEachMethod());
  // ok: 150 a sample up to minute 9, then 135; the counter is reset at minute 5.
  folder.Write("test.yaml", R"(
rule_files: [rules.yaml]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - series: all
        values: '0+150x60'
      - series: ok
        values: '0+150x19 150+150x15 2550+135x4 3240+150x19'
    promql_expr_test:
      - expr: 'round(slo:sluice_error_budget_remaining:ratio{slo="sliced"}, 0.0001)'
        eval_time: 10m
        exp_samples: [{labels: '{slo="sliced",subject_kind="Site",subject="phoenix"}', value: 0}]
      - expr: 'round(slo:sluice_error_budget_remaining:ratio{slo="mean"}, 0.001)'
        eval_time: 10m
        exp_samples: [{labels: '{slo="mean",subject_kind="Site",subject="phoenix"}', value: 0.9}]
      - expr: 'round(slo:sluice_error_budget_remaining:ratio{slo="events"}, 0.01)'
        eval_time: 10m
        exp_samples: [{labels: '{slo="events",subject_kind="Site",subject="phoenix"}', value: 0.9}]
)");
  folder.Promtool("test rules test.yaml");
}

// As above, and each worked out by hand:
//   the window's edges   at 19 min the bad minute is the first of the window, at 20 min it has left
//   it a gap                no sample in minutes 4 and 5, the counters went on: events as above; of
//   slices
//                        there are 8, 1 bad: 1 - 0.125/0.1 = -0.25; mean 0.1/8: 0.875
//   low traffic          9 minutes of 600 good ones, then 3 bad ones in the last: events 3 of 5403:
//                        1 - 0.000555/0.1 = 0.9944; a slice is a slice: 0; mean 1/10: 0
TEST(SloRules, BudgetsAreWhatOneWorksOutByHandAtEdgesInGapsAndWithFewRequests) {
  const Folder folder;
  folder.Write("rules.yaml", RulesOfEachMethod());
  struct Gaps {
    const char *all, *ok;
    std::vector<std::array<const char*, 4>> budgets;  // at, events, sliced, mean
  };
  const std::vector<Gaps> cases = {
      {"0+150x100",
       "0+150x36 5535+135x3 6090+150x60",
       {{"19m", "0.9", "0", "0.9"}, {"20m", "1", "1", "1"}}},
      {"0+150x12 _x8 3150+150x40",
       "0+150x12 _x8 3150+150x15 5535+135x3 6090+150x20",
       {{"10m", "0.9", "-0.25", "0.875"}}},
      {"0+150x36 5401 5402 5403 5403",
       "0+150x36 5400 5400 5400 5400",
       {{"10m", "0.9944", "0", "0"}}},
  };
  std::string text = "rule_files: [rules.yaml]\nevaluation_interval: 15s\ntests:\n";
  for (const Gaps& each : cases) {
    text += fmt::format(
        "- interval: 15s\n  input_series:\n  - {{series: all, values: '{}'}}\n"
        "  - {{series: ok, values: '{}'}}\n  promql_expr_test:\n",
        each.all, each.ok);
    for (const auto& [at, by_events, sliced, mean] : each.budgets) {
      const std::vector<std::pair<const char*, const char*>> values = {
          {"events", by_events}, {"sliced", sliced}, {"mean", mean}};
      for (const auto& [slo, value] : values) {
        text += fmt::format(
            "  - expr: 'round(slo:sluice_error_budget_remaining:ratio{{slo=\"{}\"}}, 0.0001)'\n"
            "    eval_time: {}\n    exp_samples: [{{labels: "
            "'{{slo=\"{}\",subject_kind=\"Site\",subject=\"phoenix\"}}', value: {}}}]\n",
            slo, at, slo, value);
      }
    }
  }
  folder.Write("test.yaml", text);
  folder.Promtool("test rules test.yaml");
}

// `budgets`: objective, at, what is left.
std::string BudgetTest(const std::vector<std::pair<const char*, const char*>>& series,
                       const std::vector<std::array<const char*, 3>>& budgets) {
  std::string text = "- interval: 15s\n  input_series:\n";
  for (const auto& [name, values] : series) {
    text += fmt::format("  - {{series: {}, values: '{}'}}\n", name, values);
  }
  text += "  promql_expr_test:\n";
  for (const auto& [slo, at, value] : budgets) {
    text += fmt::format(
        "  - expr: 'round(slo:sluice_error_budget_remaining:ratio{{slo=\"{}\"}}, 0.0001)'\n"
        "    eval_time: {}\n    exp_samples: [{{labels: "
        "'{{slo=\"{}\",subject_kind=\"Site\",subject=\"phoenix\"}}', value: {}}}]\n",
        slo, at, slo, value);
  }
  return text;
}

// Periods of ten minutes, the one from minute 10 to 20; a sample every 15 s, 600 requests a minute.
// Minute 9 and minute 12 have 60 bad ones each, worked out by hand at 15 min:
//   Occurrences       of 5 x 600 so far 60: 0.02      1 - 0.02/0.1 = 0.8; at 19 min 60/5400: 0.8889
//   Timeslices        1 of the period's 10 slices     1 - 0.1/0.1 = 0
//   RatioTimeslices   0.1 of 10                       1 - 0.01/0.1 = 0.9
// The bad minute before the period counts for nothing, and the slices' budget is full at its start.
TEST(SloRules, ACalendarsBudgetIsWhatOneWorksOutByHandForEachMethod) {
  Slo events = InPeriodsOf(Sliced(BudgetingMethod::kTimeslices), "10m");
  events.name = "events";
  events.method = BudgetingMethod::kOccurrences;
  const base::WallTime now{minutes(10)};
  const Folder folder;
  folder.Write(
      "rules.yaml",
      RuleFileYaml(
          {RulesFor(events, {}, now),
           RulesFor(InPeriodsOf(Sliced(BudgetingMethod::kTimeslices), "10m"), {}, now),
           RulesFor(InPeriodsOf(Sliced(BudgetingMethod::kRatioTimeslices), "10m"), {}, now)}));
  folder.Write(
      "test.yaml",
      "rule_files: [rules.yaml]\nevaluation_interval: 15s\ntests:\n" +
          BudgetTest({{"all", "0+150x100"},
                      {"ok", "0+150x36 5535+135x3 6090+150x7 7275+135x3 7830+150x40"}},
                     {{"sliced", "10m15s", "1"},
                      {"mean", "10m15s", "1"},
                      {"events", "11m", "1"},
                      {"sliced", "12m", "1"},
                      {"events", "15m", "0.8"},
                      {"sliced", "15m", "0"},
                      {"mean", "15m", "0.9"},
                      {"events", "19m", "0.8889"},
                      {"sliced", "19m", "0"},
                      {"mean", "19m", "0.9"}}) +
          // Samples missing in minutes 13 and 14, the counters went on: nobody knows of these
          // slices that they were bad, and the events are those of the minutes that were seen.
          BudgetTest(
              {{"all", "0+150x52 _x8 9150+150x40"}, {"ok", "0+150x48 7335+135x3 _x8 9090+150x40"}},
              {{"sliced", "19m", "0"}, {"mean", "19m", "0.9"}}));
  folder.Promtool("test rules test.yaml");
}

// Ten readings, one a minute: 50 is no share and one is missing, so that eight count; one is 0.5.
//   mean 0.5/8 = 0.0625: 1 - 0.0625/0.1 = 0.375
//   slices good from 0.95 on: 1 of 8 bad: 1 - 0.125/0.1 = -0.25
TEST(SloRules, ARawRatiosBudgetIsWhatOneWorksOutByHand) {
  Slo mean = Satisfaction();
  mean.indicator.raw = "satisfied";
  mean.target = D("0.9");
  mean.window = minutes(10);
  Slo sliced = mean;
  sliced.name = "raw-sliced";
  sliced.method = BudgetingMethod::kTimeslices;
  sliced.slice_target = D("0.95");
  Slo failures = mean;
  failures.name = "raw-failures";
  failures.indicator.raw = "1 - satisfied";
  failures.indicator.raw_is_failure = true;
  const Folder folder;
  folder.Write("rules.yaml", RuleFileYaml({RulesFor(mean, {}, kNow), RulesFor(sliced, {}, kNow),
                                           RulesFor(failures, {}, kNow)}));
  folder.Write("test.yaml", "rule_files: [rules.yaml]\nevaluation_interval: 15s\ntests:\n" +
                                BudgetTest({{"satisfied", "1+0x27 50 1+0x2 stale 1+0x2 0.5 1+0x3"}},
                                           {{"phoenix-satisfaction", "10m", "0.375"},
                                            {"raw-sliced", "10m", "-0.25"},
                                            {"raw-failures", "10m", "0.375"}}));
  folder.Promtool("test rules test.yaml");
}

}  // namespace
}  // namespace sluice::gates
