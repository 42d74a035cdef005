// One gate: verdict and causes for each kind of evidence, latching, and what the plan does about
// it.
#include "reconcilers/gates/evaluate.h"

#include "controller/base/time_format.h"
#include "reconcilers/gates/verdicts_for_test.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Evaluate, PassesABudgetThatIsLeftAndSaysUntilWhen) {
  const GateResult result = Eval(SloGate(), Fresh(SloGate(), {"0.00018"}));
  EXPECT_VERDICT(result, Verdict::kPass, Cause::kMet);
  EXPECT_EQ(result.message(), "budget left 82 % (needs 50 %)");
  EXPECT_EQ(result.value, "0.82");
  EXPECT_EQ(result.threshold, "0.5");
  EXPECT_EQ(result.valid_until, kNow + minutes(5));
  EXPECT_EQ(result.since, kNow);
  EXPECT_EQ(result.evidence_hash.size(), 64U);
  EXPECT_THAT(result.unblocked_by, IsEmpty());
}

TEST(Evaluate, MeetsAThresholdExactlyAtTheBoundary) {
  // 0.0005 of 0.001 is a half; floats would make it 0.49999999999999944.
  EXPECT_VERDICT(Eval(SloGate(), Fresh(SloGate(), {"0.0005"})), Verdict::kPass, Cause::kMet);
  EXPECT_VERDICT(Eval(SloGate(), Fresh(SloGate(), {"0.00050000000000001"})), Verdict::kPass,
                 Cause::kMet);
  EXPECT_VERDICT(Eval(SloGate(), Fresh(SloGate(), {"0.000500000001"})), Verdict::kFail,
                 Cause::kGateFailed);
  EXPECT_VERDICT(Eval(BurnGate(), Fresh(BurnGate(), {"0.001", "0.001"})), Verdict::kFail,
                 Cause::kGateFailed);
  EXPECT_VERDICT(Eval(MetricGate(), Fresh(MetricGate(), {"0.30000000000000004"})), Verdict::kPass,
                 Cause::kMet);
}

TEST(Evaluate, HoldsAnExhaustedBudget) {
  const GateResult result = Eval(SloGate(), Fresh(SloGate(), {"0.002"}));
  EXPECT_VERDICT(result, Verdict::kHold, Cause::kBudgetExhausted, Cause::kGateFailed,
                 Cause::kBudgetCaution);
  EXPECT_EQ(result.value, "-1");
  EXPECT_EQ(Eval(SloGate(), Fresh(SloGate(), {"0.001"})).cause(), Cause::kBudgetExhausted);
}

TEST(Evaluate, HoldsABudgetUnderTheCautionLineForOrdinaryChangesOnly) {
  Gate gate = SloGate();
  gate.min_budget_remaining = D("0.1");
  const Evidence evidence = Fresh(gate, {"0.0008"});
  EXPECT_VERDICT(Eval(gate, evidence), Verdict::kHold, Cause::kBudgetCaution);
  for (const ChangeClass urgent : {ChangeClass::kP0, ChangeClass::kSecurity}) {
    Context context;
    context.change_class = urgent;
    EXPECT_VERDICT(Eval(gate, evidence, std::nullopt, context), Verdict::kPass, Cause::kMet);
  }
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.00075"})), Verdict::kPass, Cause::kMet);
}

TEST(Evaluate, TheBudgetsPolicyExceptsOnlyTheClassesItNames) {
  Gate gate = SloGate();
  gate.min_budget_remaining = D("0");
  Evidence evidence = Fresh(gate, {"0.0008"});
  evidence.slo->exceptions = {ChangeClass::kSecurity};
  Context context;
  context.change_class = ChangeClass::kSecurity;
  EXPECT_VERDICT(Eval(gate, evidence, std::nullopt, context), Verdict::kPass, Cause::kMet);
  context.change_class = ChangeClass::kP0;
  EXPECT_VERDICT(Eval(gate, evidence, std::nullopt, context), Verdict::kHold,
                 Cause::kBudgetCaution);
  // No policy can except what is ordinary.
  evidence.slo->exceptions = {ChangeClass::kOrdinary};
  EXPECT_VERDICT(Eval(gate, evidence), Verdict::kHold, Cause::kBudgetCaution);
}

TEST(Evaluate, BelowTheFreezeLineNoExemptionHelpsAndAtTheLineItDoes) {
  Gate gate = SloGate();
  gate.min_budget_remaining = D("0");
  gate.waivable = true;
  Context context;
  context.exemptions = {
      {.name = "deal", .gates = {gate.name}, .also = {}, .expires_at = kNow + minutes(2)}};
  Evidence evidence = Fresh(gate, {"0.0009"});
  evidence.slo->freeze_below = D("0.1");
  EXPECT_VERDICT(Eval(gate, evidence, std::nullopt, context), Verdict::kPass, Cause::kExempted,
                 Cause::kBudgetCaution);
  evidence.windows[0].value = Answer("0.000900001");
  const GateResult frozen = Eval(gate, evidence, std::nullopt, context);
  EXPECT_VERDICT(frozen, Verdict::kHold, Cause::kBudgetExhausted, Cause::kBudgetCaution);
  EXPECT_THAT(frozen.message(), HasSubstr("frozen below 10 %"));
}

TEST(Evaluate, ABurnRateGateTakesTheBudgetsPolicyToo) {
  const Gate gate = BurnGate();
  Evidence evidence = Fresh(gate, {"0.0001", "0.0001"});
  evidence.budget = WindowEvidence{std::chrono::hours(720), Answer("0.0008"), {}};
  EXPECT_VERDICT(Eval(gate, evidence), Verdict::kHold, Cause::kBudgetCaution);
  Context urgent;
  urgent.change_class = ChangeClass::kP0;
  EXPECT_VERDICT(Eval(gate, evidence, std::nullopt, urgent), Verdict::kPass, Cause::kMet);
  evidence.budget->value = Answer("0.001");
  EXPECT_VERDICT(Eval(gate, evidence, std::nullopt, urgent), Verdict::kHold,
                 Cause::kBudgetExhausted);
  evidence.budget->value = Answer("0.0001");
  EXPECT_VERDICT(Eval(gate, evidence), Verdict::kPass, Cause::kMet);
  evidence.budget->value = Broken("timeout");
  EXPECT_VERDICT(Eval(gate, evidence), Verdict::kHold, Cause::kProviderError);
}

TEST(Evaluate, FailsABreachInBothWindowsAndRecoversFromOneInTheLongWindowOnly) {
  const Gate gate = BurnGate();
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.0003", "0.0002"})), Verdict::kPass, Cause::kMet);
  EXPECT_EQ(Eval(gate, Fresh(gate, {"0.0003", "0.0002"})).message(),
            "0.3 over 1 h and 5 m (below 1)");
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.02", "0.03"})), Verdict::kFail, Cause::kGateFailed);
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0.02", "0"})), Verdict::kHold, Cause::kRecovering);
  const GateResult begun = Eval(gate, Fresh(gate, {"0.0002", "0.02"}));
  EXPECT_VERDICT(begun, Verdict::kHold, Cause::kGateFailed);
  EXPECT_THAT(begun.message(), HasSubstr("just begun"));
}

TEST(Evaluate, ReactsAsThePlanSays) {
  Gate gate = BurnGate();
  gate.on_fail = Reaction::kAbort;
  EXPECT_EQ(Eval(gate, Fresh(gate, {"0.02", "0.03"})).reaction, Reaction::kAbort);
  EXPECT_EQ(Eval(gate, Fresh(gate, {"0.02", "0"})).reaction, Reaction::kHold);
  gate = MetricGate();
  Evidence evidence = Fresh(gate, {"0.1"});
  evidence.windows[0].value = Nothing();
  EXPECT_EQ(Eval(gate, evidence).reaction, Reaction::kHold);
  gate.on_no_data = Reaction::kAbort;
  EXPECT_EQ(Eval(gate, evidence).reaction, Reaction::kAbort);
  evidence.windows[0].value = Broken("connection refused");
  EXPECT_EQ(Eval(gate, evidence).reaction, Reaction::kHold);
  gate.on_error = Reaction::kAbort;
  EXPECT_EQ(Eval(gate, evidence).reaction, Reaction::kAbort);
}

TEST(Evaluate, NaNInfinitiesAndNothingAreNoData) {
  for (const char* value : {"NaN", "+Inf", "-Inf", "1e300"}) {
    const GateResult result = Eval(MetricGate(), Fresh(MetricGate(), {value}));
    EXPECT_VERDICT(result, Verdict::kHold, Cause::kNoData);
    EXPECT_THAT(result.message(), HasSubstr(value));
    EXPECT_THAT(result.value, IsEmpty());
  }
  Evidence evidence = Fresh(MetricGate(), {"0.1"});
  evidence.windows[0].value = Nothing();
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kNoData);
  // A ratio of nothing to nothing is not a perfect score.
  EXPECT_VERDICT(Eval(SloGate(), Fresh(SloGate(), {"NaN"})), Verdict::kHold, Cause::kNoData);
}

TEST(Evaluate, SeveralSeriesAreMisconfigured) {
  Evidence evidence = Fresh(MetricGate(), {"0.1"});
  evidence.windows[0].value.series = 2;
  const GateResult result = Eval(MetricGate(), evidence);
  EXPECT_VERDICT(result, Verdict::kHold, Cause::kMisconfigured);
  EXPECT_THAT(result.message(), HasSubstr("2 series"));
}

TEST(Evaluate, AMetricThatNeverExistedIsMisconfigured) {
  Evidence evidence = Fresh(MetricGate(), {"0.1"});
  evidence.windows[0].value = Nothing();
  evidence.freshness = {Nothing()};
  evidence.ever_returned = false;
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kMisconfigured,
                 Cause::kStaleData);
  evidence.ever_returned = true;
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kNoData, Cause::kStaleData);
}

TEST(Evaluate, AQueryThatIsWrongIsMisconfigured) {
  Evidence evidence = Fresh(MetricGate(), {"0.1"});
  evidence.windows[0].value = Broken("parse error");
  evidence.windows[0].value.bad_query = true;
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kMisconfigured);
  Gate unknown = MetricGate();
  unknown.kind = GateKind::kUnknown;
  EXPECT_VERDICT(Eval(unknown, Fresh(MetricGate(), {"0.1"})), Verdict::kHold,
                 Cause::kMisconfigured);
  evidence = Fresh(SloGate(), {"0"});
  evidence.misconfigured = "there is no objective phoenix-read-availability";
  EXPECT_VERDICT(Eval(SloGate(), evidence), Verdict::kHold, Cause::kMisconfigured);
}

TEST(Evaluate, FewerThanTheMinimumAreInsufficientSamples) {
  Evidence evidence = Fresh(SloGate(), {"0"});
  evidence.slo->min_events = 1000;
  evidence.windows[0].samples = Answer("999.9");
  const GateResult result = Eval(SloGate(), evidence);
  EXPECT_VERDICT(result, Verdict::kHold, Cause::kInsufficientSamples);
  evidence.windows[0].samples = Answer("1000");
  EXPECT_VERDICT(Eval(SloGate(), evidence), Verdict::kPass, Cause::kMet);
  evidence.windows[0].samples.reset();
  EXPECT_VERDICT(Eval(SloGate(), evidence), Verdict::kHold, Cause::kInsufficientSamples);
  Gate gate = MetricGate();
  gate.min_samples = 3;
  evidence = Fresh(gate, {"0.1"});
  evidence.windows[0].samples = Answer("2");
  EXPECT_VERDICT(Eval(gate, evidence), Verdict::kHold, Cause::kInsufficientSamples);
}

TEST(Evaluate, SamplesOlderThanThreeScrapesAreStale) {
  Evidence evidence = Fresh(MetricGate(), {"0.1"});
  evidence.freshness = {SampleAt(kNow - seconds(30))};
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kPass, Cause::kMet);
  evidence.freshness = {SampleAt(kNow - seconds(31))};
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kStaleData);
  // Every selector counts, not the best one; a vanished one is stale at once.
  evidence.freshness = {SampleAt(kNow), SampleAt(kNow - seconds(31))};
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kStaleData);
  evidence.freshness = {SampleAt(kNow), Nothing()};
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kStaleData);
  evidence.freshness = {SampleAt(kNow + seconds(31))};
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kStaleData);
  evidence.freshness.clear();
  EXPECT_VERDICT(Eval(MetricGate(), evidence), Verdict::kHold, Cause::kMisconfigured);
}

TEST(Evaluate, EvidenceGatheredLongAgoDecidesNothing) {
  const Gate gate = MetricGate();
  const Evidence evidence = Fresh(gate, {"0.1"});
  EXPECT_EQ(EvaluateGate(gate, evidence, std::nullopt, {}, kNow + seconds(60)).cause(),
            Cause::kMet);
  EXPECT_EQ(EvaluateGate(gate, evidence, std::nullopt, {}, kNow + seconds(61)).cause(),
            Cause::kStaleData);
}

TEST(Evaluate, AProviderThatDoesNotAnswerHolds) {
  Evidence evidence = Fresh(SloGate(), {"0"});
  evidence.windows[0].value = Broken("connection refused");
  evidence.freshness = {Broken("connection refused")};
  const GateResult result = Eval(SloGate(), evidence);
  EXPECT_VERDICT(result, Verdict::kHold, Cause::kProviderError);
  EXPECT_EQ(result.message(), "connection refused");
  EXPECT_EQ(result.reaction, Reaction::kHold);
}

TEST(Evaluate, SoaksUntilTheTimeIsOver) {
  const GateResult result = Eval(SoakGate(), Soaked(std::chrono::hours(99)));
  EXPECT_VERDICT(result, Verdict::kHold, Cause::kSoaking);
  EXPECT_EQ(result.message(), "4 d 3 h of 14 d");
  EXPECT_EQ(result.unblocked_by,
            "time: " + base::FormatRfc3339(kNow + std::chrono::hours(24 * 14 - 99)));
  const base::Duration whole = SoakGate().soak;
  EXPECT_EQ(Eval(SoakGate(), Soaked(whole - std::chrono::milliseconds(1))).cause(),
            Cause::kSoaking);
  EXPECT_EQ(Eval(SoakGate(), Soaked(whole)).cause(), Cause::kMet);
  EXPECT_EQ(Eval(SoakGate(), Soaked(-minutes(5))).cause(), Cause::kSoaking);
  Evidence not_entered = Soaked(whole);
  not_entered.soak->entered_at.reset();
  EXPECT_VERDICT(Eval(SoakGate(), not_entered), Verdict::kHold, Cause::kPending);
}

TEST(Evaluate, LatchesUntilNewerDataMeetsTheObjective) {
  const Gate gate = BurnGate();
  const GateResult failed = Eval(gate, Fresh(gate, {"0.02", "0.03"}));
  // A better answer over the same samples changes nothing.
  const GateResult same = Eval(gate, Fresh(gate, {"0", "0"}), failed);
  EXPECT_VERDICT(same, Verdict::kFail, Cause::kGateFailed);
  EXPECT_TRUE(same.latched);
  EXPECT_EQ(same.since, failed.since);
  // Neither does blindness, which is told beside it.
  Evidence blind = Later(Fresh(gate, {"0", "0"}), seconds(10));
  for (WindowEvidence& w : blind.windows) w.value = Broken("timeout");
  const GateResult still = Eval(gate, blind, same);
  EXPECT_VERDICT(still, Verdict::kFail, Cause::kGateFailed, Cause::kProviderError);
  EXPECT_EQ(still.value, failed.value);
  // Nor do the same samples after it.
  EXPECT_EQ(Eval(gate, Fresh(gate, {"0", "0"}), still).verdict, Verdict::kFail);
  // Newer samples do.
  const GateResult passed = Eval(gate, Later(Fresh(gate, {"0", "0"}), seconds(1)), still);
  EXPECT_VERDICT(passed, Verdict::kPass, Cause::kMet);
  EXPECT_EQ(passed.since, kNow + seconds(1));
}

TEST(Evaluate, AHoldForBlindnessEndsWithTheFirstAnswer) {
  const Gate gate = SloGate();
  Evidence blind = Fresh(gate, {"0"});
  blind.windows[0].value = Broken("connection refused");
  blind.freshness = {Broken("connection refused")};
  const GateResult held = Eval(gate, blind);
  EXPECT_VERDICT(Eval(gate, Fresh(gate, {"0"}), held), Verdict::kPass, Cause::kMet);
}

TEST(Evaluate, APassIsLostToWorseEvidenceAtOnce) {
  const Gate gate = SloGate();
  const GateResult passed = Eval(gate, Fresh(gate, {"0"}));
  EXPECT_EQ(Eval(gate, Fresh(gate, {"0.002"}), passed).cause(), Cause::kBudgetExhausted);
  Evidence stale = Fresh(gate, {"0"});
  stale.freshness = {Nothing()};
  EXPECT_EQ(Eval(gate, stale, passed).cause(), Cause::kStaleData);
}

}  // namespace
}  // namespace sluice::gates
