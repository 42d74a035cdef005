#include "reconcilers/gates/cause.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice::gates {
namespace {

TEST(Cause, StandsInTheOrderOfTheRules) {
  const char* const order[] = {"Misconfigured",
                               "AuditUnavailable",
                               "EndOfLife",
                               "Frozen",
                               "IncidentOpen",
                               "BudgetExhausted",
                               "GateFailed",
                               "BudgetCaution",
                               "Recovering",
                               "NoData",
                               "StaleData",
                               "ProviderError",
                               "InsufficientSamples",
                               "Refused",
                               "ApprovalOutdated",
                               "AwaitingApproval",
                               "ReadinessMissing",
                               "Soaking",
                               "WaitingForCapacity",
                               "Pending",
                               "Exempted",
                               "Met"};
  int rank = 0;
  for (const char* name : order) {
    const auto cause = CauseFromName(name);
    ASSERT_TRUE(cause.has_value()) << name;
    EXPECT_EQ(static_cast<int>(*cause), rank++) << name;
    EXPECT_EQ(CauseName(*cause), name);
  }
  EXPECT_EQ(rank, kCauseCount);
  EXPECT_FALSE(CauseFromName("Other").has_value());
}

TEST(Cause, EveryCauseOfAHoldSaysWhatUnblocksIt) {
  for (int i = 0; i < kCauseCount; ++i) {
    const Cause cause = static_cast<Cause>(i);
    const bool pass = cause == Cause::kMet || cause == Cause::kExempted;
    EXPECT_EQ(UnblockedBy(cause).empty(), pass) << CauseName(cause);
    EXPECT_FALSE(IsJudgement(cause) && IsNoAnswer(cause)) << CauseName(cause);
  }
}

TEST(Verdict, NamesRoundTrip) {
  for (const Verdict v : {Verdict::kPass, Verdict::kHold, Verdict::kFail}) {
    EXPECT_EQ(VerdictFromName(VerdictName(v)), v);
  }
  EXPECT_FALSE(VerdictFromName("pass").has_value());
}

}  // namespace
}  // namespace sluice::gates
