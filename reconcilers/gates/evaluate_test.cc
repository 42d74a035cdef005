// Each row of GATES.md's table, and the rules below it.
#include "reconcilers/gates/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/time_format.h"
#include "reconcilers/gates/gate_cases.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

GateResult Eval(const Gate& gate, const Evidence& evidence,
                const std::optional<GateResult>& previous = std::nullopt,
                const Context& context = {}) {
  return EvaluateGate(gate, evidence, previous, context, evidence.observed_at);
}

std::vector<Cause> Causes(const GateResult& result) {
  std::vector<Cause> out;
  for (const CauseDetail& c : result.causes) out.push_back(c.cause);
  return out;
}

#define EXPECT_VERDICT(result, wanted_verdict, ...)      \
  do {                                                   \
    const GateResult& r = (result);                      \
    EXPECT_EQ(r.verdict, wanted_verdict) << r.message(); \
    EXPECT_THAT(Causes(r), ElementsAre(__VA_ARGS__));    \
  } while (false)

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

class Exemptions : public ::testing::Test {
 protected:
  Exemptions() {
    gate_.waivable = true;
    context_.exemptions = {
        {.name = "deal-42", .gates = {"burn"}, .also = {}, .expires_at = kNow + minutes(2)}};
  }
  Gate gate_ = BurnGate();
  Context context_;
  const Evidence failing_ = Fresh(BurnGate(), {"0.02", "0.03"});
};

TEST_F(Exemptions, StandInForAFailedGateAndShowWhatTheyHide) {
  const GateResult result = Eval(gate_, failing_, std::nullopt, context_);
  EXPECT_VERDICT(result, Verdict::kPass, Cause::kExempted, Cause::kGateFailed);
  EXPECT_EQ(result.raw_verdict, Verdict::kFail);
  EXPECT_EQ(result.raw_cause, Cause::kGateFailed);
  EXPECT_THAT(result.message(), HasSubstr("deal-42"));
  EXPECT_EQ(result.valid_until, kNow + minutes(2));
}

TEST_F(Exemptions, AreOverAtTheInstantTheyExpire) {
  context_.exemptions[0].expires_at = kNow;
  EXPECT_EQ(Eval(gate_, failing_, std::nullopt, context_).verdict, Verdict::kFail);
  context_.exemptions[0].expires_at = kNow + std::chrono::nanoseconds(1);
  EXPECT_EQ(Eval(gate_, failing_, std::nullopt, context_).verdict, Verdict::kPass);
}

TEST_F(Exemptions, CoverOnlyGatesThatAreNamedAndWaivable) {
  gate_.waivable = false;
  EXPECT_EQ(Eval(gate_, failing_, std::nullopt, context_).verdict, Verdict::kFail);
  gate_.waivable = true;
  context_.exemptions[0].gates = {"other"};
  EXPECT_EQ(Eval(gate_, failing_, std::nullopt, context_).verdict, Verdict::kFail);
}

TEST_F(Exemptions, CoverBlindnessOnlyWhenTheDecisionNamesItAndMisconfigurationNever) {
  Evidence blind = failing_;
  for (WindowEvidence& w : blind.windows) w.value = Broken("timeout");
  EXPECT_EQ(Eval(gate_, blind, std::nullopt, context_).cause(), Cause::kProviderError);
  context_.exemptions[0].also = {Cause::kProviderError};
  EXPECT_EQ(Eval(gate_, blind, std::nullopt, context_).cause(), Cause::kExempted);
  context_.exemptions[0].also = {Cause::kMisconfigured, Cause::kStaleData, Cause::kBudgetExhausted};
  Evidence wrong = failing_;
  wrong.windows[0].value.series = 2;
  EXPECT_EQ(Eval(gate_, wrong, std::nullopt, context_).cause(), Cause::kMisconfigured);
  Evidence stale = failing_;
  stale.freshness = {Nothing()};
  EXPECT_VERDICT(Eval(gate_, stale, std::nullopt, context_), Verdict::kFail, Cause::kGateFailed,
                 Cause::kStaleData);
}

TEST_F(Exemptions, LeaveTheLatchStandingWhenTheyEnd) {
  const GateResult exempted = Eval(gate_, failing_, std::nullopt, context_);
  const GateResult after = Eval(gate_, Fresh(gate_, {"0", "0"}), exempted);
  EXPECT_VERDICT(after, Verdict::kFail, Cause::kGateFailed);
}

TEST(EvaluateStage, PassesOnlyWhenEveryGatePassesAndOneWasAsked) {
  const std::vector<Gate> gates = {SoakGate(), SloGate()};
  std::vector<Evidence> evidence = {Soaked(SoakGate().soak), Fresh(SloGate(), {"0"})};
  EXPECT_TRUE(Evaluate(gates, evidence, {}, {}, kNow).passed);
  evidence[0] = Soaked(minutes(1));
  EXPECT_FALSE(Evaluate(gates, evidence, {}, {}, kNow).passed);
  EXPECT_FALSE(Evaluate({}, {}, {}, {}, kNow).passed);
}

TEST(EvaluateStage, AGateWithoutEvidenceIsPendingAndKeepsWhatHeldIt) {
  const StageResult first = Evaluate({SloGate()}, {}, {}, {}, kNow);
  ASSERT_EQ(first.gates.size(), 1U);
  EXPECT_EQ(first.gates[0].cause(), Cause::kPending);
  const GateResult failed = Eval(SloGate(), Fresh(SloGate(), {"0.002"}));
  const StageResult kept = Evaluate({SloGate()}, {}, {failed}, {}, kNow + seconds(5));
  EXPECT_EQ(kept.gates[0], failed);
}

TEST(EvaluateStage, FreezesAndTheAuditLogHoldTheWholeStep) {
  Context context;
  context.freezes = {{"golden-run", "a golden run", kNow + minutes(10), {ChangeClass::kP0}},
                     {"night", "at night", kNow + minutes(20), {}},
                     {"over", "over", kNow, {}}};
  context.audit_writable = false;
  const std::vector<Evidence> evidence = {Fresh(SloGate(), {"0"})};
  StageResult result = Evaluate({SloGate()}, evidence, {}, context, kNow);
  ASSERT_EQ(result.gates.size(), 3U);
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.gates[0].cause(), Cause::kAuditUnavailable);
  EXPECT_EQ(result.gates[1].cause(), Cause::kFrozen);
  EXPECT_THAT(result.gates[1].message(), HasSubstr("night"));
  EXPECT_EQ(result.gates[1].unblocked_by, "time: " + base::FormatRfc3339(kNow + minutes(20)));
  EXPECT_EQ(result.gates[2].cause(), Cause::kMet);
  context = {.freezes = {{"golden-run", "a golden run", kNow + minutes(10), {ChangeClass::kP0}}},
             .change_class = ChangeClass::kP0};
  EXPECT_TRUE(Evaluate({SloGate()}, evidence, {}, context, kNow).passed);
}

TEST(EvaluateStage, ShowsTheMostSevereBlockerFirst) {
  const std::vector<Gate> gates = {SoakGate(), SloGate(), BurnGate()};
  Evidence blind = Fresh(BurnGate(), {"0", "0"});
  for (WindowEvidence& w : blind.windows) w.value = Broken("timeout");
  const StageResult result =
      Evaluate(gates, {Soaked(minutes(1)), Fresh(SloGate(), {"0.002"}), blind}, {}, {}, kNow);
  std::vector<Cause> order;
  for (const GateResult* blocker : Blockers(result)) order.push_back(blocker->cause());
  EXPECT_THAT(order, ElementsAre(Cause::kBudgetExhausted, Cause::kProviderError, Cause::kSoaking));
}

TEST(EvaluateStage, WhatHoldsTheStepStandsSinceItBeganAndStartsAnewWithAnotherCause) {
  Context frozen;
  frozen.freezes = {{"weekend", "Weekend.", kNow + minutes(10), {}, ""}};
  const std::vector<Evidence> evidence = {Fresh(SloGate(), {"0"})};
  const StageResult first = Evaluate({SloGate()}, evidence, {}, frozen, kNow);
  const StageResult again = Evaluate({SloGate()}, evidence, first.gates, frozen, kNow + seconds(9));
  EXPECT_EQ(again.gates[0].since, kNow) << "the same hold";
  Context broken;
  broken.freezes = {{"weekend", "", {}, {}, "no time zone Mars/Base"}};
  const StageResult other = Evaluate({SloGate()}, evidence, first.gates, broken, kNow + seconds(9));
  EXPECT_EQ(other.gates[0].since, kNow + seconds(9)) << "the same name, another cause";
  // Another result with the same cause is not this hold either.
  GateResult elsewhere = first.gates[0];
  elsewhere.gate = "elsewhere";
  const StageResult fresh = Evaluate({SloGate()}, evidence, {elsewhere}, frozen, kNow + seconds(9));
  EXPECT_EQ(fresh.gates[0].since, kNow + seconds(9));
}

TEST(EvaluateStage, APassThatEndsNowIsNoPass) {
  Gate gate = SloGate();
  const std::vector<Evidence> evidence = {Fresh(gate, {"0"})};
  gate.valid_for = base::Duration(0);
  const StageResult ended = Evaluate({gate}, evidence, {}, {}, kNow);
  EXPECT_EQ(ended.gates[0].verdict, Verdict::kPass);
  EXPECT_FALSE(ended.passed) << "a time at a boundary is past it";
  gate.valid_for = std::chrono::nanoseconds(1);
  EXPECT_TRUE(Evaluate({gate}, evidence, {}, {}, kNow).passed);
}

TEST(EvaluateStage, AGateNamedTwiceIsMisconfigured) {
  const StageResult result =
      Evaluate({SloGate(), SloGate()}, {Fresh(SloGate(), {"0"})}, {}, {}, kNow);
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.gates[1].cause(), Cause::kMisconfigured);
}

TEST(EvaluateStage, AbortsWhenAGateSaysSo) {
  Gate gate = BurnGate();
  gate.on_fail = Reaction::kAbort;
  EXPECT_TRUE(Evaluate({gate}, {Fresh(gate, {"0.02", "0.03"})}, {}, {}, kNow).abort);
  EXPECT_FALSE(Evaluate({gate}, {Fresh(gate, {"0.02", "0"})}, {}, {}, kNow).abort);
}

}  // namespace
}  // namespace sluice::gates
