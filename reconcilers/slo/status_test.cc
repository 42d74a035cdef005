// What is read becomes a status: golden files in testdata; SLUICE_UPDATE_GOLDEN=1 rewrites them.
#include "reconcilers/slo/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "controller/base/file.h"
#include "reconcilers/gates/slo_cases.h"
#include "reconcilers/slo/rules_object.h"

namespace sluice::slo {
namespace {

using namespace gates::cases;  // NOLINT: the builders are this file's vocabulary
using v1alpha1::ServiceLevelObjectiveStatus;

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = "reconcilers/slo/testdata/" + name + ".json";
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(base::WriteFileAtomic(path, text).ok());
  }
  const auto golden = base::ReadFile(path);
  ASSERT_TRUE(golden.ok()) << path;
  EXPECT_EQ(text, *golden);
}

std::string Text(const ServiceLevelObjectiveStatus& status) {
  return types::ToJson(status).dump(1) + "\n";
}

Read Measured(const std::string& budget_ratio, const std::string& burn_ratio) {
  Read read{.slo = Availability(), .evidence = {}};
  for (const gates::Gate& gate : ReadingGates(*read.slo)) {
    gates::Evidence evidence = Fresh(gate, gate.kind == gates::GateKind::kSlo
                                               ? std::vector<std::string>{budget_ratio}
                                               : std::vector<std::string>{burn_ratio, burn_ratio});
    evidence.windows[0].samples = Answer("123456.7");
    read.evidence.push_back(evidence);
  }
  read.rules_hash = std::string(64, 'a');
  read.rules_object = "ConfigMap sluice-system/sluice-rules-phoenix-availability";
  return read;
}

ServiceLevelObjectiveStatus Built(const Read& read, const ServiceLevelObjectiveStatus& before = {},
                                  base::WallTime now = kNow) {
  return *BuildStatus(read, before, 2, now);
}

std::string Reason(const ServiceLevelObjectiveStatus& status, const char* type) {
  const auto* condition = types::FindCondition(status.conditions(), type);
  return condition == nullptr ? "" : condition->status() + " " + condition->reason();
}

TEST(SloStatus, TellsBudgetBurnRatesAndRules) {
  ExpectGolden("measured", Text(Built(Measured("0.00018", "0.0003"))));
}

TEST(SloStatus, AnExhaustedBudgetIsMeasured) {
  const auto status = Built(Measured("0.002", "0.02"));
  EXPECT_EQ(status.budget_state(), "Exhausted");
  EXPECT_EQ(status.budget_remaining(), "-1");
  EXPECT_EQ(status.burn_rates(0).long_burn(), "20");
  EXPECT_EQ(Reason(status, "Ready"), "True Measured");
}

TEST(SloStatus, TellsWhenTheCalendarsPeriodBeganAndIsWrittenWhenTheNextOneDoes) {
  Read read = Measured("0.00018", "0.0003");
  EXPECT_EQ(Built(read).window_start(), "");
  read.evidence[0].windows[0].start = kNow - std::chrono::hours(1);
  const auto before = Built(read);
  EXPECT_EQ(before.window_start(), "2027-01-15T07:00:00Z");
  read.evidence[0].windows[0].start = kNow - minutes(1);
  EXPECT_TRUE(WorthWriting(before, Built(read, before)));
  read.evidence[0].windows[0].start = kNow - seconds(1);
  EXPECT_EQ(Reason(Built(read), "Measurable"), "False InsufficientSamples");
}

TEST(SloStatus, TellsWhereTheBudgetsPolicyStands) {
  const auto state = [](const char* ratio) {
    Read read = Measured(ratio, "0");
    read.slo->caution_below = D("0.25");
    read.slo->freeze_below = D("0.1");
    return Built(read).budget_state();
  };
  EXPECT_EQ(state("0.0005"), "Normal");
  EXPECT_EQ(state("0.0008"), "Caution");
  EXPECT_EQ(state("0.00095"), "Freeze");
  EXPECT_EQ(state("0.001"), "Exhausted");
}

TEST(SloStatus, WhatCannotBeMeasuredSaysWhyAndGivesNoNumbers) {
  Read read = Measured("NaN", "NaN");
  auto status = Built(read);
  EXPECT_EQ(Reason(status, "Measurable"), "False NoData");
  EXPECT_EQ(Reason(status, "Ready"), "False NoData");
  EXPECT_FALSE(status.has_budget_remaining());
  EXPECT_EQ(status.budget_state(), "");
  EXPECT_FALSE(status.burn_rates(0).has_long_burn());
  read = Measured("0", "0");
  read.evidence[0].windows[0].value = Broken("connection refused");
  EXPECT_EQ(Reason(Built(read), "Measurable"), "False ProviderError");
  read = Measured("0", "0");
  read.evidence[0].freshness = {Nothing()};
  EXPECT_EQ(Reason(Built(read), "Measurable"), "False StaleData");
  read = {.slo = base::InvalidArgument("indicator.ratio.good: $tenant"), .evidence = {}};
  status = Built(read);
  EXPECT_EQ(Reason(status, "Measurable"), "False Misconfigured");
  EXPECT_EQ(Reason(status, "RulesReady"), "False Misconfigured");
}

TEST(SloStatus, RulesThatCannotBeAppliedAreTold) {
  Read read = Measured("0", "0");
  read.rules_object.clear();
  read.rules_error = base::PermissionDenied("configmaps is forbidden");
  const auto status = Built(read);
  EXPECT_EQ(Reason(status, "RulesReady"), "False ApplyFailed");
  EXPECT_EQ(Reason(status, "Ready"), "False ApplyFailed");
}

TEST(SloStatus, NumbersThatMoveALittleAreNotWritten) {
  const auto before = Built(Measured("0.00018", "0.0003"));
  const auto later = kNow + seconds(30);
  EXPECT_FALSE(WorthWriting(before, Built(Measured("0.00018", "0.0003"), before, later)));
  EXPECT_FALSE(WorthWriting(before, Built(Measured("0.000185", "0.00031"), before, later)));
  EXPECT_TRUE(WorthWriting(before, Built(Measured("0.0002", "0.0003"), before, later)));
  EXPECT_TRUE(WorthWriting(before, Built(Measured("0.00018", "0.0005"), before, later)));
  EXPECT_TRUE(WorthWriting(before, Built(Measured("NaN", "0.0003"), before, later)));
  Read rules = Measured("0.00018", "0.0003");
  rules.rules_hash = std::string(64, 'b');
  EXPECT_TRUE(WorthWriting(before, Built(rules, before, later)));
  EXPECT_TRUE(WorthWriting({}, before));
}

// Whether the second is written where the status tells of the first.
bool ToldAnew(const Read& first, const Read& second) {
  const auto before = Built(first);
  EXPECT_FALSE(WorthWriting(before, Built(first, before)));
  return WorthWriting(before, Built(second, before));
}

TEST(SloStatus, WhatIsWrongIsToldAnewWhenItsWordsOrTheNumbersInThemChange) {
  const auto missing = [](const char* what) {
    return Read{.slo = base::NotFound(what), .evidence = {}};
  };
  EXPECT_TRUE(ToldAnew(missing("there is no Tenant falcon"), missing("there is no Site falcon")));
  EXPECT_TRUE(
      ToldAnew(missing("there is no Site phoenix-1"), missing("there is no Site phoenix-2")));
  const auto refused = [](const char* why) {
    Read read = Measured("0", "0");
    read.rules_object.clear();
    read.rules_error = base::PermissionDenied(why);
    return read;
  };
  EXPECT_TRUE(ToldAnew(refused("quota: 10 of 10"), refused("quota: 20 of 20")));
}

TEST(SloStatus, WhatAProviderSaysIsToldAnewButForTheNumbersInTheServersOwnWords) {
  const auto broken = [](const char* error) {
    Read read = Measured("0", "0");
    read.evidence[0].windows[0].value = Broken(error);
    return read;
  };
  EXPECT_TRUE(ToldAnew(broken("HTTP 401"), broken("HTTP 403")));
  EXPECT_TRUE(
      ToldAnew(broken("prom-1:9090: connect: refused"), broken("prom-2:9090: connect: refused")));
  EXPECT_FALSE(ToldAnew(broken("Prometheus answered execution (HTTP 422): after 31.5 s"),
                        broken("Prometheus answered execution (HTTP 422): after 7 s")));
  EXPECT_TRUE(ToldAnew(broken("Prometheus answered execution (HTTP 422): after 31.5 s"),
                       broken("Prometheus answered execution (HTTP 503): after 31.5 s")));
  EXPECT_FALSE(ToldAnew(broken("warning: 3 of 9 stores"), broken("warning: 4 of 9 stores")));
  EXPECT_TRUE(ToldAnew(broken("warning: 3 of 9 stores"), broken("the query timed out: 3 of 9 s")));
}

TEST(SloStatus, MeasurementsInWhatIsWrongMoveWithoutBeingTold) {
  const auto newest_at = [](const char* epoch_seconds) {
    Read read = Measured("0", "0");
    read.evidence[0].freshness = {Answer(epoch_seconds)};
    return read;
  };
  ASSERT_EQ(Reason(Built(newest_at("1700000000")), "Measurable"), "False StaleData");
  EXPECT_FALSE(ToldAnew(newest_at("1700000000"), newest_at("1690000000")));
  const auto counted = [](const char* events) {
    Read read = Measured("0", "0");
    read.evidence[0].slo->min_events = 1'000'000;
    read.evidence[0].windows[0].samples = Answer(events);
    return read;
  };
  ASSERT_EQ(Reason(Built(counted("123456")), "Measurable"), "False InsufficientSamples");
  EXPECT_FALSE(ToldAnew(counted("123456"), counted("123999")));
  const auto many = [](int series) {
    Read read = Measured("0", "0");
    read.evidence[0].windows[0].value.series = series;
    return read;
  };
  ASSERT_EQ(Reason(Built(many(12)), "Measurable"), "False Misconfigured");
  EXPECT_FALSE(ToldAnew(many(12), many(7)));
}

TEST(RulesObject, IsAPrometheusRuleWhereThatKindIsAndAConfigMapElsewhere) {
  const auto objective = meta::Object::FromJson(
      {{"metadata", {{"name", "phoenix-availability"}, {"uid", "u1"}, {"resourceVersion", "1"}}}});
  ASSERT_TRUE(objective.ok());
  const auto group = gates::RulesFor(Availability(), {{"team", "storage"}}, kNow);
  const RulesObject map = MakeRulesObject(**objective, group, "sluice-system", false);
  const auto written = nlohmann::json::parse(map.json);
  EXPECT_EQ(written["kind"], "ConfigMap");
  EXPECT_EQ(written["metadata"]["labels"]["sluice.dev/rules"], "true");
  EXPECT_EQ(written["metadata"]["ownerReferences"][0]["uid"], "u1");
  EXPECT_EQ(written["data"]["phoenix-availability.yaml"], gates::RuleFileYaml({group}));
  const RulesObject rule = MakeRulesObject(**objective, group, "sluice-system", true);
  ExpectGolden("prometheus-rule", nlohmann::json::parse(rule.json).dump(1) + "\n");
}

}  // namespace
}  // namespace sluice::slo
