// One case for each row of the table "What a gate answers" in docs/governance.md, under the row's
// name, and nothing else: rows_have_tests_test.py compares the two. The rules around the rows are
// in evaluate_test.cc and people_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/gate_cases.h"

namespace sluice::gates::rows {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary

GateResult Ask(const Gate& gate, const Evidence& evidence, const Context& context = {}) {
  return EvaluateGate(gate, evidence, std::nullopt, context, evidence.observed_at);
}

// An slo gate that wants little, so that the budget's policy alone decides.
GateResult Budget(const char* ratio, ChangeClass change_class = ChangeClass::kOrdinary,
                  bool exempted = false) {
  Gate gate = SloGate();
  gate.min_budget_remaining = cases::D("0");
  gate.waivable = true;
  Evidence evidence = Fresh(gate, {ratio});
  evidence.slo->freeze_below = cases::D("0.1");
  Context context;
  context.change_class = change_class;
  if (exempted) {
    context.exemptions = {{.name = "deal-42",
                           .gates = {gate.name},
                           .also = {},
                           .expires_at = kNow + minutes(2),
                           .freezes = {}}};
  }
  return Ask(gate, evidence, context);
}

GateResult Metric(Reading reading, std::optional<bool> ever = std::nullopt) {
  Evidence evidence = Fresh(MetricGate(), {"0.1"});
  evidence.windows[0].value = std::move(reading);
  evidence.ever_returned = ever;
  return Ask(MetricGate(), evidence);
}

GateResult Burn(const char* long_ratio, const char* short_ratio) {
  return Ask(BurnGate(), Fresh(BurnGate(), {long_ratio, short_ratio}));
}

GateResult Approval(std::int64_t voted_generation, const char* voted_plan) {
  Gate gate;
  gate.name = "go";
  gate.kind = GateKind::kApproval;
  gate.roles = {{"Decide", {"bo"}, {}, 1}};
  const Subject voted{"u1", voted_generation, voted_plan, "Walk"};
  Evidence evidence;
  evidence.gate = gate.name;
  evidence.observed_at = kNow;
  evidence.ballot = Ballot{{"u1", 7, "9f2c", "Walk"}, {"ana"}, {}, {}};
  evidence.ballot->decisions = {{"walk", "d1", voted, "ana", {}, "Ordinary", kNow + minutes(9)}};
  evidence.ballot->votes = {{.approval = "v",
                             .decision_uid = "d1",
                             .subject_uid = "u1",
                             .generation = voted_generation,
                             .plan_hash = voted_plan,
                             .user = "bo",
                             .groups = {},
                             .role = "Decide",
                             .agrees = true,
                             .cast_at = kNow - minutes(1),
                             .expires_at = kNow + minutes(9)}};
  return Ask(gate, evidence);
}

// What holds the whole step comes first among the results of a stage whose gate passes.
GateResult Step(const Context& context) {
  const StageResult stage = Evaluate({SloGate()}, {Fresh(SloGate(), {"0"})}, {}, context, kNow);
  EXPECT_FALSE(stage.passed);
  return stage.gates.front();
}

GateResult TooFew() {
  Evidence evidence = Fresh(SloGate(), {"0"});
  evidence.slo->min_events = 1000;
  evidence.windows[0].samples = Answer("999");
  return Ask(SloGate(), evidence);
}

GateResult JustBegun() {
  Evidence evidence = Fresh(SloGate(), {"0"});
  evidence.windows[0].start = kNow - seconds(59);
  return Ask(SloGate(), evidence);
}

GateResult Stale() {
  Evidence evidence = Fresh(MetricGate(), {"0.1"});
  evidence.freshness = {SampleAt(kNow - seconds(31))};
  return Ask(MetricGate(), evidence);
}

GateResult Exempted(std::string error, std::vector<Cause> named) {
  Gate gate = BurnGate();
  gate.waivable = true;
  Evidence evidence = Fresh(gate, {"0.02", "0.03"});
  if (!error.empty()) {
    for (WindowEvidence& window : evidence.windows) window.value = Broken(error);
  }
  Context context;
  context.exemptions = {{.name = "deal-42",
                         .gates = {gate.name},
                         .also = std::move(named),
                         .expires_at = kNow + minutes(2),
                         .freezes = {}}};
  return Ask(gate, evidence, context);
}

Context Frozen() {
  Context context;
  context.freezes = {{"weekend", "Weekend.", kNow + minutes(5), {}, ""}};
  return context;
}

Context NoAudit() {
  Context context;
  context.audit_writable = false;
  return context;
}

struct Row {
  const char* name;
  Verdict verdict;
  Cause cause;
  std::function<GateResult()> ask;
};

const Row kRows[] = {
    {"MetFreshAndEnough", Verdict::kPass, Cause::kMet, [] { return Budget("0"); }},
    {"BreachInBothWindows", Verdict::kFail, Cause::kGateFailed,
     [] { return Burn("0.02", "0.03"); }},
    {"BreachInTheLongWindowOnly", Verdict::kHold, Cause::kRecovering,
     [] { return Burn("0.02", "0"); }},
    {"BudgetUsedUp", Verdict::kHold, Cause::kBudgetExhausted,
     [] { return Budget("0.001", ChangeClass::kP0, true); }},
    {"BudgetUnderTheFreezeLine", Verdict::kHold, Cause::kBudgetExhausted,
     [] { return Budget("0.00095", ChangeClass::kOrdinary, true); }},
    {"BudgetUnderTheFreezeLineForP0", Verdict::kPass, Cause::kMet,
     [] { return Budget("0.00095", ChangeClass::kP0); }},
    {"BudgetUnderTheCautionLine", Verdict::kHold, Cause::kBudgetCaution,
     [] { return Budget("0.0008"); }},
    {"BudgetUnderTheCautionLineForP0", Verdict::kPass, Cause::kMet,
     [] { return Budget("0.0008", ChangeClass::kP0); }},
    {"BudgetUnderTheCautionLineForSecurity", Verdict::kPass, Cause::kMet,
     [] { return Budget("0.0008", ChangeClass::kSecurity); }},
    {"BudgetUnderTheCautionLineExempted", Verdict::kPass, Cause::kExempted,
     [] { return Budget("0.0008", ChangeClass::kOrdinary, true); }},
    {"NotANumber", Verdict::kHold, Cause::kNoData, [] { return Metric(Answer("NaN")); }},
    {"NothingCame", Verdict::kHold, Cause::kNoData, [] { return Metric(Nothing(), true); }},
    {"TooFewSamples", Verdict::kHold, Cause::kInsufficientSamples, TooFew},
    {"PeriodHasJustBegun", Verdict::kHold, Cause::kInsufficientSamples, JustBegun},
    {"OlderThanThreeScrapes", Verdict::kHold, Cause::kStaleData, Stale},
    {"SeveralSeries", Verdict::kHold, Cause::kMisconfigured,
     [] { return Metric(Answer("0.1", 2)); }},
    {"NeverReturnedData", Verdict::kHold, Cause::kMisconfigured,
     [] { return Metric(Nothing(), false); }},
    {"ProviderDown", Verdict::kHold, Cause::kProviderError,
     [] { return Metric(Broken("connection refused")); }},
    {"ProviderSlow", Verdict::kHold, Cause::kProviderError,
     [] { return Metric(Broken("no time left to ask")); }},
    {"ProviderPartial", Verdict::kHold, Cause::kProviderError,
     [] { return Metric(Broken("warning: a store did not answer")); }},
    {"WindowClosed", Verdict::kHold, Cause::kFrozen, [] { return Step(Frozen()); }},
    {"ApprovalOfAnOlderGeneration", Verdict::kHold, Cause::kApprovalOutdated,
     [] { return Approval(6, "9f2c"); }},
    {"ApprovalOfAnotherPlan", Verdict::kHold, Cause::kApprovalOutdated,
     [] { return Approval(7, "0000"); }},
    {"ExemptedFailure", Verdict::kPass, Cause::kExempted, [] { return Exempted("", {}); }},
    {"ExemptedBlindnessThatIsNamed", Verdict::kPass, Cause::kExempted,
     [] { return Exempted("timeout", {Cause::kProviderError}); }},
    {"ExemptedBlindnessThatIsNotNamed", Verdict::kHold, Cause::kProviderError,
     [] { return Exempted("timeout", {}); }},
    {"AuditLogCannotBeWritten", Verdict::kHold, Cause::kAuditUnavailable,
     [] { return Step(NoAudit()); }},
};

class Rows : public ::testing::TestWithParam<Row> {};

TEST_P(Rows, AnswerAsTheTableSays) {
  const GateResult result = GetParam().ask();
  EXPECT_EQ(result.verdict, GetParam().verdict) << result.message();
  EXPECT_EQ(CauseName(result.cause()), CauseName(GetParam().cause)) << result.message();
  EXPECT_FALSE(result.message().empty());
  EXPECT_GT(result.valid_until, kNow);
  EXPECT_LT(result.valid_until, kNow + std::chrono::hours(24)) << "no Pass is eternal";
  EXPECT_EQ(result.unblocked_by.empty(), result.verdict == Verdict::kPass);
  EXPECT_EQ(result.reaction, Reaction::kHold) << "nothing aborts unless the plan says so";
}

INSTANTIATE_TEST_SUITE_P(Table, Rows, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sluice::gates::rows
