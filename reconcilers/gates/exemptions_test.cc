// What an exemption lets pass, and what it never does.
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/verdicts_for_test.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace sluice::gates
