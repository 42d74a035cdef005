// Conditions whose opposite, or whose neighbour at the boundary, no other test would notice
// (tests/mutation).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/gates/slo_cases.h"
#include "reconcilers/gates/tally.h"
#include "reconcilers/gates/verdicts_for_test.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Gate MetricOverTwoWindows() {
  Gate gate = MetricGate();
  gate.long_window = minutes(60);
  gate.short_window = minutes(5);
  return gate;
}

TEST(Conditions, AMetricOverTwoWindowsFailsInBothRecoversInTheLongAndBeginsInTheShortOne) {
  const Gate gate = MetricOverTwoWindows();
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.3", "0.3"})), Verdict::kPass, Cause::kMet);
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.4", "0.4"})), Verdict::kFail, Cause::kGateFailed);
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.4", "0.3"})), Verdict::kHold, Cause::kRecovering);
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.3", "0.4"})), Verdict::kHold, Cause::kGateFailed);
}

TEST(Conditions, WhatHeldWithoutFailingDoesNotFailForWantOfAnAnswer) {
  const Gate gate = MetricOverTwoWindows();
  const GateResult begun = Eval(gate, Fresh(gate, {"0.3", "0.4"}));
  Evidence blind = Later(Fresh(gate, {"0", "0"}), seconds(10));
  for (WindowEvidence& w : blind.windows) w.value = Broken("timeout");
  EXPECT_VERDICT(Eval(gate, blind, begun), Verdict::kHold, Cause::kGateFailed,
                 Cause::kProviderError);
}

// A replica that lags answers with older samples, and then with some that are newer than these but
// still older than what was judged.
TEST(Conditions, OlderSamplesDoNotMakeWayForOthersThatAreOlderThanTheJudgement) {
  const Gate gate = MetricGate();
  const GateResult failed = Eval(gate, Fresh(gate, {"0.4"}));
  const GateResult lagging = Eval(gate, Later(Fresh(gate, {"0.1"}), seconds(-20)), failed);
  EXPECT_VERDICT(lagging, Verdict::kFail, Cause::kGateFailed);
  EXPECT_VERDICT(Eval(gate, Later(Fresh(gate, {"0.1"}), seconds(-10)), lagging), Verdict::kFail,
                 Cause::kGateFailed);
  EXPECT_VERDICT(Eval(gate, Later(Fresh(gate, {"0.1"}), seconds(1)), lagging), Verdict::kPass,
                 Cause::kMet);
}

TEST(Conditions, OfSeveralWindowsTheOneThatReopensLastIsShownWhicheverIsNamedFirst) {
  const Freeze early{"early", "Early.", kNow + hours(1), {}, ""};
  const Freeze late{"late", "Late.", kNow + hours(2), {}, ""};
  const Freeze broken{"broken", "", {}, {}, "no time zone Mars/Base"};
  const auto shown = [](std::vector<Freeze> freezes, std::vector<Exemption> exemptions = {}) {
    Context context;
    context.freezes = std::move(freezes);
    context.exemptions = std::move(exemptions);
    return Evaluate({}, {}, {}, context, kNow).gates.at(0).message();
  };
  EXPECT_THAT(shown({early, late}), HasSubstr("Late."));
  EXPECT_THAT(shown({late, early}), HasSubstr("Late."));
  EXPECT_THAT(shown({broken, late}), HasSubstr("Mars/Base"));
  EXPECT_THAT(shown({late, broken}), HasSubstr("Mars/Base"));
  const Exemption deal{"deal", {}, {}, kNow + hours(3), {"late"}};
  EXPECT_THAT(shown({early, late}, {deal}), HasSubstr("early: Early."));
  EXPECT_THAT(shown({late, early}, {deal}), HasSubstr("early: Early."));
}

TEST(Conditions, BlockersOfOneCauseStandInThePlansOrder) {
  std::vector<Gate> gates;
  std::vector<Evidence> evidence;
  for (const char* name : {"first", "second", "third"}) {
    gates.push_back(MetricGate());
    gates.back().name = name;
    evidence.push_back(Fresh(gates.back(), {"0.4"}));
  }
  std::vector<std::string> order;
  const StageResult result = Evaluate(gates, evidence, {}, {}, kNow);
  for (const GateResult* blocker : Blockers(result)) order.push_back(blocker->gate);
  EXPECT_THAT(order, ElementsAre("first", "second", "third"));
}

TEST(Conditions, EvidenceOfAnotherShapeIsMisconfigured) {
  const auto cause = [](const Gate& gate, const Evidence& evidence) {
    return Eval(gate, evidence).cause();
  };
  for (const Gate& gate : {SloGate(), BurnGate()}) {
    const bool slo = gate.kind == GateKind::kSlo;
    Evidence none = slo ? Fresh(gate, {"0"}) : Fresh(gate, {"0", "0"});
    none.slo.reset();
    EXPECT_EQ(cause(gate, none), Cause::kMisconfigured) << "no objective";
    EXPECT_EQ(cause(gate, slo ? Fresh(gate, {"0", "0"}) : Fresh(gate, {"0"})),
              Cause::kMisconfigured);
  }
  EXPECT_EQ(cause(MetricGate(), Fresh(MetricGate(), {})), Cause::kMisconfigured);
  EXPECT_EQ(cause(MetricGate(), Fresh(MetricGate(), {"0", "0", "0"})), Cause::kMisconfigured);
  Evidence unknown = Fresh(MetricGate(), {"0"});
  unknown.scrape_interval = {};
  EXPECT_EQ(cause(MetricGate(), unknown), Cause::kMisconfigured) << "how fresh is fresh?";
  Gate incident;
  incident.kind = GateKind::kIncident;
  incident.holds_from_severity = 0;
  Evidence quiet;
  quiet.observed_at = kNow;
  quiet.incidents = IncidentList{};
  EXPECT_EQ(cause(incident, quiet), Cause::kMisconfigured) << "no severity";
}

// Scrapes of 10 s: the first minute of a period is not judged.
TEST(Conditions, ABudgetIsNotReadInAPeriodsFirstMinute) {
  Evidence evidence = Fresh(SloGate(), {"0.0001"});
  evidence.windows[0].start = kNow - seconds(59);
  const GateResult early = Eval(SloGate(), evidence);
  EXPECT_VERDICT(early, Verdict::kHold, Cause::kInsufficientSamples);
  EXPECT_THAT(early.message(), HasSubstr("the period began 59 s ago"));
  evidence.freshness = {Nothing()};
  EXPECT_VERDICT(Eval(SloGate(), evidence), Verdict::kHold, Cause::kStaleData,
                 Cause::kInsufficientSamples);
  evidence = Fresh(SloGate(), {"0.002"});
  evidence.windows[0].start = kNow - seconds(60);
  const GateResult exhausted = Eval(SloGate(), evidence);
  EXPECT_EQ(exhausted.cause(), Cause::kBudgetExhausted);
  EXPECT_THAT(exhausted.message(), HasSubstr("in the period since 2027-01-15T07:59:00Z"));
}

TEST(Conditions, ABurnRateGateDoesNotReadTheBudgetOfAPeriodsFirstMinuteEither) {
  Evidence evidence = Fresh(BurnGate(), {"0", "0"});
  evidence.budget =
      WindowEvidence{.window = hours(1), .value = Answer("0"), .samples = {}, .start = kNow};
  EXPECT_VERDICT(Eval(BurnGate(), evidence), Verdict::kHold, Cause::kInsufficientSamples);
  evidence.budget->start = kNow - seconds(60);
  EXPECT_VERDICT(Eval(BurnGate(), evidence), Verdict::kPass, Cause::kMet);
}

TEST(Conditions, ASampleThreeScrapesAheadIsNotYetAnotherClock) {
  Evidence ahead = Fresh(MetricGate(), {"0"});
  ahead.freshness = {SampleAt(kNow + seconds(30))};
  EXPECT_EQ(Eval(MetricGate(), ahead).cause(), Cause::kMet);
  ahead.freshness = {SampleAt(kNow + seconds(31))};
  EXPECT_EQ(Eval(MetricGate(), ahead).cause(), Cause::kStaleData);
}

TEST(Conditions, AShareOfOneIsAShare) {
  Gate gate = MetricGate();
  gate.kind = GateKind::kGpuIdle;
  gate.items = {"baseline"};
  gate.min_reduction = D("0");
  Evidence all = Fresh(MetricGate(), {"1"});
  all.readiness = ReadinessFacts{.review = "phoenix-walk",
                                 .found = true,
                                 .items = {{.name = "baseline",
                                            .owner = "ana",
                                            .verified_by = "bo",
                                            .verified_at = kNow - hours(1),
                                            .valid_for = hours(24),
                                            .value = "1"}}};
  EXPECT_EQ(Eval(gate, all).cause(), Cause::kMet);
  gate.min_reduction = D("0.5");
  EXPECT_EQ(Eval(gate, all).cause(), Cause::kGateFailed);
}

TEST(Conditions, AnItemWithHalfOfItsVerificationIsNotVerified) {
  Gate gate;
  gate.kind = GateKind::kDrill;
  gate.items = {"drill"};
  gate.max_age = hours(10);
  const auto said = [&](const std::string& by, std::optional<base::WallTime> at,
                        const std::string& name = "drill") {
    Evidence e;
    e.observed_at = kNow;
    e.readiness = ReadinessFacts{.review = "phoenix-walk",
                                 .found = true,
                                 .items = {{.name = name,
                                            .owner = "ana",
                                            .verified_by = by,
                                            .verified_at = at,
                                            .valid_for = hours(24),
                                            .value = {}}}};
    return Eval(gate, e).message();
  };
  EXPECT_THAT(said("", kNow), HasSubstr("not verified"));
  EXPECT_THAT(said("bo", std::nullopt), HasSubstr("not verified"));
  EXPECT_THAT(said("bo", kNow, "other"), HasSubstr("not in review"));
  // People's clocks may be five minutes ahead, and not a second more.
  EXPECT_THAT(said("bo", kNow + minutes(5)), HasSubstr("drill done"));
  EXPECT_THAT(said("bo", kNow + minutes(5) + seconds(1)), HasSubstr("a time to come"));
}

TEST(Conditions, ABallotSaysWhichVoicesAreMissingAndWhatChangedSince) {
  const Subject step{"u1", 7, "9f2c", "Walk"};
  const std::vector<RoleRule> rules = {{"Agree", {"lea"}, {}, 1}, {"Decide", {"bo"}, {}, 1}};
  const auto message = [&](const Subject& asked) {
    const Ballot ballot{
        step, {"ana"}, {{"walk", "d1", asked, "ana", {}, "Ordinary", kNow + hours(1)}}, {}};
    return Count(ballot, rules, false, kNow).message;
  };
  EXPECT_EQ(message(step), "decision walk lacks Agree: 0 of 1 (lea); Decide: 0 of 1 (bo)");
  EXPECT_EQ(message({"u1", 6, "9f2c", "Walk"}), "decision walk is about generation 6, now it is 7");
  EXPECT_EQ(message({"u1", 7, "0000", "Walk"}),
            "decision walk is about generation 7 under another plan");
}

TEST(Conditions, DataHasATimeOnlyWhereEverySelectorHasOne) {
  Evidence evidence = Fresh(MetricGate(), {"0"});
  const auto time = [&](Reading newest) {
    evidence.freshness = {std::move(newest)};
    return DataTime(evidence);
  };
  EXPECT_EQ(time(SampleAt(kNow)), kNow);
  evidence.readiness = ReadinessFacts{};  // a measured baseline beside it is no newer data
  EXPECT_EQ(time(SampleAt(kNow - seconds(5))), kNow - seconds(5));
  evidence.readiness.reset();
  EXPECT_EQ(time(Answer("1800000000", 2)), std::nullopt);
  Reading broken = Answer("1800000000");
  broken.error = "timeout";
  EXPECT_EQ(time(broken), std::nullopt);
  EXPECT_EQ(time(Answer("-1")), std::nullopt);
  EXPECT_NE(time(Answer("9000000000")), std::nullopt);
  EXPECT_EQ(time(Answer("9000000001")), std::nullopt);
  evidence.freshness.clear();
  EXPECT_EQ(DataTime(evidence), std::nullopt);
  EXPECT_EQ(Bounded("\x80\x80", 1), "") << "no character begins there";
}

TEST(Conditions, AnObjectivesWindowsAreRightAtTheirBounds) {
  for (const auto method : {BudgetingMethod::kOccurrences, BudgetingMethod::kTimeslices,
                            BudgetingMethod::kRatioTimeslices}) {
    EXPECT_EQ(MethodFromName(MethodName(method)), method);
  }
  EXPECT_EQ(MethodFromName("Mean"), std::nullopt);
  EXPECT_FALSE(NeedsRecording(hours(1)));
  EXPECT_TRUE(NeedsRecording(hours(1) + seconds(1)));
  Slo slo = Availability();
  const auto wrong = [&] { return Validate(slo).message(); };
  slo.window = {};
  EXPECT_EQ(wrong(), "window: must be above 0");
  slo.window = minutes(1);  // four scrapes
  EXPECT_EQ(wrong(), "");
  slo.alert_windows = {{Severity::kPage, minutes(5), minutes(1), D("2")}};
  EXPECT_EQ(wrong(), "");
  slo.alert_windows[0].short_window = {};
  EXPECT_EQ(wrong(), "alertWindows: shortWindow must be shorter than longWindow");
  slo = Latency();
  slo.slice = slo.window;
  EXPECT_EQ(wrong(), "");
}

}  // namespace
}  // namespace sluice::gates
