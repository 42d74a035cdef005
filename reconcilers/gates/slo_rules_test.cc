// Generated rules: golden files, and what Prometheus' own promtool says to them. Budgets worked out
// by hand are in slo_budgets_test.cc.
#include "reconcilers/gates/slo_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "controller/base/file.h"
#include "reconcilers/gates/promtool_for_test.h"
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

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = kGolden + name;
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(base::WriteFileAtomic(path, text).ok());
  }
  const auto golden = base::ReadFile(path);
  ASSERT_TRUE(golden.ok()) << path;
  EXPECT_EQ(text, *golden) << path;
}

TEST(SloRules, AreWhatTheGoldenFilesSayAndPromtoolAcceptsThem) {
  const Folder folder;
  const std::map<std::string, std::string> labels = {{"team", "storage"}, {"severity", "mine"}};
  Slo monthly = InPeriodsOf(Availability(), "1M"), quarterly = InPeriodsOf(Satisfaction(), "1Q");
  monthly.name = "monthly";
  quarterly.name = "quarterly";
  for (const Slo& slo :
       {Availability(), Latency(), Short(), Sliced(BudgetingMethod::kTimeslices),
        Sliced(BudgetingMethod::kRatioTimeslices), Satisfaction(), monthly, quarterly}) {
    ASSERT_TRUE(Validate(slo).ok()) << slo.name << Validate(slo).message();
    const std::string yaml = RuleFileYaml({RulesFor(slo, labels, kNow)});
    ExpectGolden(slo.name + ".yaml", yaml);
    EXPECT_THAT(folder.Promtool("check rules " + folder.Write(slo.name + ".yaml", yaml)),
                HasSubstr("SUCCESS"));
  }
}

TEST(SloRules, ABudgetsPolicyAlertsAtEachOfItsLines) {
  Slo slo = Availability();
  const auto alerts = [&] {
    std::map<std::string, std::string> out;
    for (const Rule& rule : RulesFor(slo, {}, kNow).rules) {
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
  for (const Rule& rule :
       RulesFor(Availability(), {{"severity", "mine"}, {"team", "x"}}, kNow).rules) {
    if (rule.alert.empty()) continue;
    EXPECT_NE(rule.labels.at("severity"), "mine");
    EXPECT_EQ(rule.labels.at("team"), "x");
  }
}

TEST(SloRules, ACalendarsRulesChangeWithThePeriodAndOnlyThen) {
  const Slo slo = InPeriodsOf(Availability(), "1M");
  const auto hash = [&](seconds at) { return RulesHash(RulesFor(slo, {}, base::WallTime(at))); };
  // January 2027 ends at 1801440000.
  EXPECT_EQ(hash(seconds(1'798'761'600)), hash(seconds(1'801'439'999)));
  EXPECT_NE(hash(seconds(1'801'439'999)), hash(seconds(1'801'440'000)));
  EXPECT_EQ(RulesHash(RulesFor(Availability(), {}, base::WallTime())),
            RulesHash(RulesFor(Availability(), {}, kNow)));
}

TEST(SloRules, HashChangesWithTheRules) {
  Slo other = Availability();
  other.target = D("0.9991");
  EXPECT_EQ(RulesHash(RulesFor(Availability(), {}, kNow)),
            RulesHash(RulesFor(Availability(), {}, kNow)));
  EXPECT_NE(RulesHash(RulesFor(Availability(), {}, kNow)), RulesHash(RulesFor(other, {}, kNow)));
}

TEST(SloRules, TextOfUsersIsQuoted) {
  Slo slo = Availability();
  const std::string yaml =
      RuleFileYaml({RulesFor(slo, {{"note", "a: \"b\"\n- c # \xc3\xa9 \x01"}}, kNow)});
  const Folder folder;
  folder.Promtool("check rules " + folder.Write("quoted.yaml", yaml));
}

TEST(SloRules, AlertsFireInBothWindowsAndNotInOne) {
  const Folder folder;
  folder.Write("rules.yaml", RuleFileYaml({RulesFor(Short(), {}, kNow)}));
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
