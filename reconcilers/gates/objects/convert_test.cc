#include "reconcilers/gates/objects/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/gate_cases.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::HasSubstr;

template <typename T>
T Read(std::string_view text) {
  T message;
  const auto status = types::FromJson(nlohmann::json::parse(text), &message);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return message;
}

TEST(Convert, ReadsEachKindOfGate) {
  auto gate = GateFrom(Read<v1alpha1::Gate>(R"({"name": "a", "onFail": "Abort",
      "validForSeconds": 30, "waivable": "ByExemption", "minSamples": 7,
      "slo": {"template": "read-availability", "minBudgetRemaining": "0.5"}})"));
  ASSERT_TRUE(gate.ok());
  EXPECT_EQ(gate->kind, GateKind::kSlo);
  EXPECT_EQ(gate->min_budget_remaining, D("0.5"));
  EXPECT_EQ(gate->valid_for, seconds(30));
  EXPECT_EQ(gate->on_fail, Reaction::kAbort);
  EXPECT_EQ(gate->on_error, Reaction::kHold);
  EXPECT_TRUE(gate->waivable);
  EXPECT_EQ(gate->min_samples, 7);
  gate = GateFrom(Read<v1alpha1::Gate>(R"({"name": "b", "burnRate": {"template": "x",
      "below": "1", "longWindow": "1h", "shortWindow": "5m"}})"));
  EXPECT_EQ(gate->kind, GateKind::kBurnRate);
  EXPECT_EQ(gate->short_window, minutes(5));
  EXPECT_EQ(gate->valid_for, minutes(5)) << "the default";
  gate = GateFrom(Read<v1alpha1::Gate>(R"({"name": "c", "metric": {"query": "x", "op": "gte",
      "threshold": "-1.5", "freshnessSelector": "x", "learningWindow": "1d"}})"));
  EXPECT_EQ(gate->op, Comparison::kGte);
  EXPECT_EQ(gate->threshold, D("-1.5"));
  EXPECT_EQ(gate->learning_window, std::chrono::hours(24));
  gate = GateFrom(Read<v1alpha1::Gate>(R"({"name": "d", "soak": {"seconds": 30}})"));
  EXPECT_EQ(gate->soak, seconds(30));
  gate = GateFrom(Read<v1alpha1::Gate>(R"({"name": "e"})"));
  EXPECT_EQ(gate->kind, GateKind::kUnknown);
}

TEST(Convert, NamesTheFieldOfAGateItCannotRead) {
  EXPECT_THAT(GateFrom(Read<v1alpha1::Gate>(R"({"name": "b", "burnRate": {"template": "x",
      "below": "one"}})"))
                  .status()
                  .message(),
              HasSubstr("burnRate.below"));
  EXPECT_THAT(GateFrom(Read<v1alpha1::Gate>(R"({"name": "b", "burnRate": {"template": "x",
      "below": "1", "longWindow": "5m", "shortWindow": "5m"}})"))
                  .status()
                  .message(),
              HasSubstr("burnRate.shortWindow"));
  EXPECT_THAT(GateFrom(Read<v1alpha1::Gate>(R"({"name": "c", "metric": {"query": "x", "op": "eq",
      "threshold": "1", "freshnessSelector": "x"}})"))
                  .status()
                  .message(),
              HasSubstr("metric.op"));
}

constexpr char kObjective[] = R"json({"subjectRef": {"kind": "Site", "name": "phoenix"},
    "indicator": {"ratio": {"good": "sum(rate(ok{site=\"$site\"}[$window]))",
                            "total": "sum(rate(all{site=\"$site\"}[$window]))"}},
    "window": "90s", "target": "0.95", "minEvents": 100, "budgetPolicy": {"cautionBelow": "0.1", "freezeBelow": "0.05", "exceptions": ["Security"]},
    "alertWindows": [{"severity": "Page", "longWindow": "20s", "shortWindow": "5s", "factor": "2"}]
    })json";

TEST(Convert, ReadsAnObjective) {
  const auto slo = SloFrom("phoenix-availability",
                           Read<v1alpha1::ServiceLevelObjectiveSpec>(kObjective), seconds(1));
  ASSERT_TRUE(slo.ok()) << slo.status().ToString();
  EXPECT_EQ(slo->indicator.good, "sum(rate(ok{site=\"phoenix\"}[$window]))");
  EXPECT_EQ(slo->window, seconds(90));
  EXPECT_EQ(slo->target, D("0.95"));
  EXPECT_EQ(slo->min_events, 100);
  EXPECT_EQ(slo->caution_below, D("0.1"));
  EXPECT_EQ(slo->freeze_below, D("0.05"));
  EXPECT_THAT(slo->exceptions, ::testing::ElementsAre(ChangeClass::kSecurity));
  EXPECT_EQ(FactsOf(*slo).exceptions, slo->exceptions);
  EXPECT_EQ(slo->method, BudgetingMethod::kOccurrences);
  ASSERT_EQ(slo->alert_windows.size(), 1U);
  EXPECT_EQ(slo->alert_windows[0].long_window, seconds(20));
}

TEST(Convert, ReadsACalendarAndNamesWhatIsWrongWithIt) {
  auto json = nlohmann::json::parse(kObjective);
  json["window"] = "1Q";
  json["calendar"] = {{"startTime", "2026-01-01 00:00:00"}, {"timeZone", "Europe/Zurich"}};
  const auto read = [&] {
    return SloFrom("x", Read<v1alpha1::ServiceLevelObjectiveSpec>(json.dump()), seconds(1));
  };
  const auto slo = read();
  ASSERT_TRUE(slo.ok()) << slo.status().ToString();
  EXPECT_EQ(slo->window, std::chrono::hours(24 * 90));
  EXPECT_EQ(base::FormatRfc3339(slo->calendar.value().At(kNow).start), "2026-12-31T23:00:00Z");
  json["calendar"]["startTime"] = "2026-02-30 00:00:00";
  EXPECT_THAT(read().status().message(), HasSubstr("calendar.startTime"));
  json.erase("calendar");
  EXPECT_THAT(read().status().message(), HasSubstr("window"));
}

TEST(Convert, WhatHasNoEventsToCountIsReadOnceAMinute) {
  auto json = nlohmann::json::parse(kObjective);
  json["indicator"] = {{"rawRatio", {{"query", "avg(x{site=\"$site\"})"}, {"type", "failure"}}}};
  const auto read = [&](seconds scrape) {
    auto slo = SloFrom("x", Read<v1alpha1::ServiceLevelObjectiveSpec>(json.dump()), scrape);
    EXPECT_TRUE(slo.ok()) << slo.status().ToString();
    return *slo;
  };
  Slo slo = read(seconds(1));
  EXPECT_EQ(slo.indicator.raw, "avg(x{site=\"phoenix\"})");
  EXPECT_TRUE(slo.indicator.raw_is_failure);
  EXPECT_EQ(slo.method, BudgetingMethod::kRatioTimeslices);
  EXPECT_EQ(slo.slice, std::chrono::minutes(1));
  json["indicator"]["rawRatio"]["type"] = "success";
  json["window"] = "30m";
  json.erase("alertWindows");
  slo = read(seconds(30));
  EXPECT_FALSE(slo.indicator.raw_is_failure);
  EXPECT_EQ(slo.slice, std::chrono::minutes(2)) << "four scrapes";
  json["window"] = "40s";
  EXPECT_EQ(read(seconds(1)).slice, seconds(40)) << "no longer than the window";
  json["indicator"] = {{"threshold", {{"query", "x"}, {"op", "lt"}, {"value", "500"}}}};
  EXPECT_EQ(read(seconds(1)).method, BudgetingMethod::kTimeslices);
  json["budgetingMethod"] = "RatioTimeslices";
  json["timeSliceWindow"] = "20s";
  EXPECT_EQ(read(seconds(1)).slice, seconds(20));
}

TEST(Convert, AnObjectiveThatCannotBeMeasuredNamesItsField) {
  auto json = nlohmann::json::parse(kObjective);
  json["indicator"]["ratio"]["good"] = "rate(x{tenant=\"$tenant\"}[$window])";
  EXPECT_THAT(SloFrom("x", Read<v1alpha1::ServiceLevelObjectiveSpec>(json.dump()), seconds(1))
                  .status()
                  .message(),
              HasSubstr("$tenant"));
  EXPECT_THAT(SloFrom("x", Read<v1alpha1::ServiceLevelObjectiveSpec>(kObjective), seconds(30))
                  .status()
                  .message(),
              HasSubstr("window"));
  EXPECT_FALSE(SloFrom("x", v1alpha1::ServiceLevelObjectiveSpec(), seconds(1)).ok());
}

TEST(Convert, AStatusKeepsTheEvidenceAndReadsBackForLatching) {
  const Gate gate = BurnGate();
  Evidence evidence = Fresh(gate, {"0.02", "0.03"});
  evidence.windows[0].samples = Answer("1234.5");
  const GateResult result = EvaluateGate(gate, evidence, std::nullopt, {}, kNow);
  const v1alpha1::GateStatus status = StatusOf(result, evidence);
  EXPECT_EQ(status.verdict(), "Fail");
  EXPECT_EQ(status.cause(), "GateFailed");
  EXPECT_EQ(status.value(), "30");
  ASSERT_EQ(status.evidence_size(), 2);
  EXPECT_EQ(status.evidence(0).window(), "1h");
  EXPECT_EQ(status.evidence(0).value(), "0.02");
  EXPECT_EQ(status.evidence(0).samples(), 1234);
  EXPECT_EQ(status.evidence(1).window(), "5m");
  const auto back = ResultFrom(status);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->verdict, result.verdict);
  EXPECT_EQ(back->cause(), result.cause());
  EXPECT_EQ(back->data_time, result.data_time);
  EXPECT_EQ(back->evidence_hash, result.evidence_hash);
  // What is latched in memory is latched after a restart.
  const GateResult again = EvaluateGate(gate, Fresh(gate, {"0", "0"}), *back, {}, kNow);
  EXPECT_EQ(again.verdict, Verdict::kFail);
  EXPECT_EQ(EvaluateGate(gate, Later(Fresh(gate, {"0", "0"}), seconds(1)), *back, {}, kNow).verdict,
            Verdict::kPass);
}

TEST(Convert, AStatusSaysWhyThereIsNoNumber) {
  Evidence evidence = Fresh(MetricGate(), {"NaN"});
  const auto status = [&] {
    return StatusOf(EvaluateGate(MetricGate(), evidence, std::nullopt, {}, kNow), evidence);
  };
  EXPECT_EQ(status().evidence(0).error(), "the value is NaN");
  EXPECT_FALSE(status().evidence(0).has_value());
  evidence.windows[0].value = Answer("1", 2);
  EXPECT_EQ(status().evidence(0).error(), "2 series");
  evidence.windows[0].value = Broken("connection refused");
  EXPECT_EQ(status().evidence(0).error(), "connection refused");
}

TEST(Convert, AnExemptionsRawVerdictReadsBack) {
  Gate gate = BurnGate();
  gate.waivable = true;
  Context context;
  context.exemptions = {
      {.name = "deal", .gates = {"burn"}, .also = {}, .expires_at = kNow + minutes(1)}};
  const Evidence evidence = Fresh(gate, {"0.02", "0.03"});
  const auto back =
      ResultFrom(StatusOf(EvaluateGate(gate, evidence, std::nullopt, context, kNow), evidence));
  EXPECT_EQ(back->raw_verdict, Verdict::kFail);
  EXPECT_EQ(EvaluateGate(gate, Fresh(gate, {"0", "0"}), *back, {}, kNow).verdict, Verdict::kFail);
}

TEST(Convert, ThePlansHashDependsOnItsContentsOnly) {
  const auto plan = Read<v1alpha1::StagePlanSpec>(
      R"({"stages": [{"name": "Crawl", "tenancy": "SingleTenant", "maxTenants": 1}]})");
  auto other = plan;
  EXPECT_EQ(PlanHash(plan), PlanHash(other));
  other.mutable_stages(0)->set_name("Walk");
  EXPECT_NE(PlanHash(plan), PlanHash(other));
  EXPECT_EQ(PlanHash(plan).size(), 64U);
}

}  // namespace
}  // namespace sluice::gates
