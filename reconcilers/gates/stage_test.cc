// A whole stage: every gate together, freezes, the audit log, and which blocker is shown.
#include "controller/base/time_format.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/verdicts_for_test.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST(EvaluateStage, RevertsWhenAGateThatSaysSoFailsAndNeverForWantOfEvidence) {
  Gate gate = BurnGate();
  gate.on_fail = Reaction::kRevert;
  const StageResult failed = Evaluate({gate}, {Fresh(gate, {"0.02", "0.03"})}, {}, {}, kNow);
  EXPECT_TRUE(failed.revert);
  EXPECT_FALSE(failed.abort);
  EXPECT_FALSE(Evaluate({gate}, {Fresh(gate, {"0.02", "0"})}, {}, {}, kNow).revert);
  Evidence blind = Fresh(gate, {"0.02", "0.03"});
  for (WindowEvidence& window : blind.windows) window.value = Broken("connection refused");
  EXPECT_FALSE(Evaluate({gate}, {blind}, {}, {}, kNow).revert);
}

}  // namespace
}  // namespace sluice::gates
