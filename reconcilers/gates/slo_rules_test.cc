// Generated rules: golden files, and Prometheus' own judgement of them (promtool) on series whose
// budgets were worked out by hand.
#include "reconcilers/gates/slo_rules.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "controller/base/file.h"
#include "reconcilers/gates/slo_cases.h"
#include "reconcilers/gates/slo_series.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::HasSubstr;

const char kGolden[] = "reconcilers/gates/testdata/rules/";

// The demo's kind of objective: minutes long, scraped every second, windows of its own.
Slo Short() {
  Slo slo = Availability();
  slo.name = "demo-availability";
  slo.window = seconds(90);
  slo.scrape_interval = seconds(1);
  slo.alert_windows = {{Severity::kPage, seconds(30), seconds(5), D("2")},
                       {Severity::kTicket, seconds(60), seconds(10), D("1")}};
  return slo;
}

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / fmt::format("rules-{}", getpid())) {
    std::filesystem::create_directory(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = path_ / name;
    EXPECT_TRUE(base::WriteFileAtomic(path, text).ok());
    return path;
  }
  // Runs promtool and returns its output; fails the test unless it exits with `wanted`.
  std::string Promtool(const std::string& arguments, int wanted = 0) const {
    const std::string log = path_ / "log";
    const int code = std::system(
        fmt::format("cd '{}' && timeout 60 promtool {} >log 2>&1", path_.string(), arguments)
            .c_str());
    auto text = base::ReadFile(log);
    EXPECT_EQ(WEXITSTATUS(code), wanted) << (text.ok() ? *text : "");
    return text.ok() ? *text : "";
  }

 private:
  std::filesystem::path path_;
};

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = kGolden + name;
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(base::WriteFileAtomic(path, text).ok());
  }
  const auto golden = base::ReadFile(path);
  ASSERT_TRUE(golden.ok()) << path;
  EXPECT_EQ(text, *golden) << path;
}

Slo Sliced(BudgetingMethod method) {
  Slo slo = Availability();
  slo.name = method == BudgetingMethod::kTimeslices ? "sliced" : "mean";
  slo.method = method;
  slo.slice = minutes(1);
  if (method == BudgetingMethod::kTimeslices) slo.slice_target = D("0.95");
  slo.target = D("0.9");
  slo.window = minutes(10);
  slo.scrape_interval = seconds(15);
  slo.indicator.good = "sum(rate(ok[$window]))";
  slo.indicator.total = "sum(rate(all[$window]))";
  return slo;
}

TEST(SloRules, AreWhatTheGoldenFilesSayAndPromtoolAcceptsThem) {
  const Folder folder;
  const std::map<std::string, std::string> labels = {{"team", "storage"}, {"severity", "mine"}};
  for (const Slo& slo : {Availability(), Latency(), Short(), Sliced(BudgetingMethod::kTimeslices),
                         Sliced(BudgetingMethod::kRatioTimeslices)}) {
    ASSERT_TRUE(Validate(slo).ok()) << slo.name << Validate(slo).message();
    const std::string yaml = RuleFileYaml({RulesFor(slo, labels)});
    ExpectGolden(slo.name + ".yaml", yaml);
    EXPECT_THAT(folder.Promtool("check rules " + folder.Write(slo.name + ".yaml", yaml)),
                HasSubstr("SUCCESS"));
  }
}

TEST(SloRules, ABudgetsPolicyAlertsAtEachOfItsLines) {
  Slo slo = Availability();
  const auto alerts = [&] {
    std::map<std::string, std::string> out;
    for (const Rule& rule : RulesFor(slo, {}).rules) {
      if (!rule.alert.empty()) out[rule.alert] = rule.expr;
    }
    return out;
  };
  EXPECT_EQ(alerts().count("SluiceSloBudgetCaution"), 0U);
  slo.caution_below = D("0.25");
  slo.freeze_below = D("0.1");
  auto found = alerts();
  EXPECT_EQ(found["SluiceSloBudgetCaution"], RecordedSeries(kBudgetSeries, slo) + " < 0.25");
  EXPECT_EQ(found["SluiceSloBudgetFrozen"], RecordedSeries(kBudgetSeries, slo) + " < 0.1");
}

TEST(SloRules, LabelsCannotReplaceOurs) {
  for (const Rule& rule : RulesFor(Availability(), {{"severity", "mine"}, {"team", "x"}}).rules) {
    if (rule.alert.empty()) continue;
    EXPECT_NE(rule.labels.at("severity"), "mine");
    EXPECT_EQ(rule.labels.at("team"), "x");
  }
}

TEST(SloRules, HashChangesWithTheRules) {
  Slo other = Availability();
  other.target = D("0.9991");
  EXPECT_EQ(RulesHash(RulesFor(Availability(), {})), RulesHash(RulesFor(Availability(), {})));
  EXPECT_NE(RulesHash(RulesFor(Availability(), {})), RulesHash(RulesFor(other, {})));
}

TEST(SloRules, TextOfUsersIsQuoted) {
  Slo slo = Availability();
  const std::string yaml =
      RuleFileYaml({RulesFor(slo, {{"note", "a: \"b\"\n- c # \xc3\xa9 \x01"}})});
  const Folder folder;
  folder.Promtool("check rules " + folder.Write("quoted.yaml", yaml));
}

// Ten minutes of one sample every 15 s; series are per-sample increments. Worked out by hand:
//   minutes 0-8   600 good of 600 a minute        slices good
//   minute  9     540 of 600 (ratio 0.9)          slice bad at a target of 0.95
// The window of ten whole minutes ending at minute 10 holds 9 perfect slices and that one.
//   Occurrences       bad 60 of 6000 = 0.01       budget (target 0.9) 1 - 0.01/0.1 = 0.9
//   Timeslices        1 bad of 10 = 0.1           1 - 0.1/0.1 = 0
//   RatioTimeslices   mean(9 x 0, 0.1) = 0.01     0.9
TEST(SloRules, BudgetsAreWhatOneWorksOutByHandForEachMethod) {
  Slo events = Sliced(BudgetingMethod::kTimeslices);
  events.name = "events";
  events.method = BudgetingMethod::kOccurrences;
  events.slice = {};
  const Folder folder;
  std::vector<RuleGroup> groups = {RulesFor(events, {}),
                                   RulesFor(Sliced(BudgetingMethod::kTimeslices), {}),
                                   RulesFor(Sliced(BudgetingMethod::kRatioTimeslices), {})};
  folder.Write("rules.yaml", RuleFileYaml(groups));
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
  Slo events = Sliced(BudgetingMethod::kTimeslices);
  events.name = "events";
  events.method = BudgetingMethod::kOccurrences;
  events.slice = {};
  const Folder folder;
  std::vector<RuleGroup> groups = {RulesFor(events, {}),
                                   RulesFor(Sliced(BudgetingMethod::kTimeslices), {}),
                                   RulesFor(Sliced(BudgetingMethod::kRatioTimeslices), {})};
  folder.Write("rules.yaml", RuleFileYaml(groups));
  struct Case {
    const char *all, *ok;
    std::vector<std::array<const char*, 4>> budgets;  // at, events, sliced, mean
  };
  const std::vector<Case> cases = {
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
  for (const Case& each : cases) {
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

TEST(SloRules, AlertsFireInBothWindowsAndNotInOne) {
  const Folder folder;
  folder.Write("rules.yaml", RuleFileYaml({RulesFor(Short(), {})}));
  // Target 0.999: 10 % errors from second 60 on, healed at second 120.
  folder.Write("test.yaml", R"(
rule_files: [rules.yaml]
evaluation_interval: 1s
tests:
  - interval: 1s
    input_series:
      - series: all{site="phoenix"}
        values: '0+100x200'
      - series: ok{site="phoenix"}
        values: '0+100x60 6090+90x59 11500+100x80'
    alert_rule_test:
      - {alertname: SluiceSloBurnsFast, eval_time: 50s}
      - alertname: SluiceSloBurnsFast
        eval_time: 80s
        exp_alerts:
          - exp_labels: {slo: demo-availability, severity: page, subject_kind: Site, subject: phoenix}
            exp_annotations: {summary: Site phoenix burns the error budget of demo-availability fast}
      - {alertname: SluiceSloBurnsFast, eval_time: 130s}
      - alertname: SluiceSloBudgetExhausted
        eval_time: 130s
        exp_alerts:
          - exp_labels: {slo: demo-availability, severity: ticket, subject_kind: Site, subject: phoenix}
            exp_annotations: {summary: Site phoenix has used up the error budget of demo-availability}
  - interval: 1s
    input_series: []
    alert_rule_test:
      - alertname: SluiceSloNoData
        eval_time: 10s
        exp_alerts:
          - exp_labels: {slo: demo-availability, severity: ticket, subject_kind: Site, subject: phoenix, window: 5s}
            exp_annotations: {summary: Site phoenix gives no data for demo-availability}
)");
  folder.Promtool("test rules test.yaml");
}

}  // namespace
}  // namespace sluice::gates
