// The way out, step by step, and what stops it.
#include "reconcilers/rollout/plan_for_test.h"

namespace sluice::rollout {
namespace {

TEST_F(RolloutPlan, TheFirstNodeIsTheCanaryAndStepsFollowOneSoakAfterTheOther) {
  Run();
  ASSERT_NE(Entry("a"), nullptr);
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
  EXPECT_EQ(Entry("b"), nullptr) << "the second wave has not started";
  EXPECT_EQ(Entry("a")->from().image(), kOld);
  EXPECT_EQ(seen_.sites.at("a").image, kNew);
  EXPECT_EQ(seen_.sites.at("a").rollout, "weekly");
  Obey("a");
  Run();
  Pass(9);
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 1) << "it soaks";
  Pass(1);
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 3);
  Settle("a");
  EXPECT_EQ(Entry("a")->target_nodes(), 4);
  EXPECT_THAT(moves_,
              ElementsAre("RolloutWaveStarted", "RolloutStep", "RolloutStep", "RolloutStep"));
}

TEST_F(RolloutPlan, TheNextWaveStartsWhenTheOneBeforeIsDoneAndIsAskedAboutItsSites) {
  Finish();
  EXPECT_EQ(status_.outcome(), "Completed");
  EXPECT_EQ(seen_.sites.at("b").image, kNew);
  EXPECT_EQ(seen_.sites.at("b").rollout, "") << "it is let go of";
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_THAT(asked_[0].judged, ElementsAre("a"));
  EXPECT_THAT(asked_[1].judged, ElementsAre("a")) << "the wave before";
  EXPECT_THAT(asked_[1].moved, ElementsAre("b"));
  EXPECT_TRUE(types::IsConditionTrue(status_.conditions(), "Succeeded"));
}

TEST_F(RolloutPlan, AWaveWhoseGatesHoldDoesNotStartAndSaysWhy) {
  Run(false);
  EXPECT_EQ(Entry("a"), nullptr);
  EXPECT_EQ(Held(), "a/quiet IncidentOpen");
  EXPECT_THAT(moves_, IsEmpty());
  const std::string since = status_.blocked_by(0).since();
  Pass(50);
  Run(false);
  EXPECT_EQ(status_.blocked_by(0).since(), since);
}

TEST_F(RolloutPlan, AGateThatAbortsEndsIt) {
  Plan plan = PlanRollout(seen_);
  Answer answer{
      *plan.question, false, true, false, {}, std::make_shared<v1alpha1::RolloutStatus>(), {}};
  seen_.answer = answer;
  plan = PlanRollout(seen_);
  EXPECT_EQ(plan.status->outcome(), "Aborted");
}

TEST_F(RolloutPlan, PausedNothingBeginsAndWhatWasGivenStays) {
  Run();
  spec_.set_action("Pause");
  Settle("a");
  Settle("a");
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
  EXPECT_EQ(Held(), "action Paused");
  spec_.set_action("Run");
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 3);
  EXPECT_THAT(moves_, ElementsAre("RolloutWaveStarted", "RolloutStep", "RolloutPaused",
                                  "RolloutResumed", "RolloutStep"));
}

TEST_F(RolloutPlan, AbortLeavesNodesAsTheyAreAndIsForEver) {
  Run();
  Obey("a");
  spec_.set_action("Abort");
  Run();
  EXPECT_EQ(status_.outcome(), "Aborted");
  EXPECT_EQ(seen_.sites.at("a").rollout, "weekly") << "the number of nodes still counts";
  spec_.set_action("Run");
  const Plan again = Run();
  EXPECT_EQ(status_.outcome(), "Aborted");
  EXPECT_THAT(again.moves, IsEmpty());
  EXPECT_THAT(WantedReleases(seen_, status_), IsEmpty());
}

TEST_F(RolloutPlan, MoreFailuresThanAllowedStopItAndAreNamed) {
  Run();
  Obey("a", 1, 1);
  seen_.sites.at("a").failure = "node n1: CrashLoopBackOff";
  Plan plan = Run();
  EXPECT_TRUE(plan.stopped);
  EXPECT_EQ(Held(), "failures GateFailed");
  EXPECT_THAT(status_.blocked_by(0).message(), HasSubstr("site a, node n1: CrashLoopBackOff"));
  spec_.set_max_failures(1);
  EXPECT_FALSE(Run().stopped);
}

TEST_F(RolloutPlan, FailuresThatAreAllowedHoldNoStepAndCountOverAllSites) {
  spec_.set_max_failures(1);
  Run();
  Obey("a", 1, 1);
  Run();
  Pass(10);
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 1) << "no agent is ready on the release at all";
  Settle("a");
  EXPECT_EQ(Entry("a")->target_nodes(), 3);
  for (int i = 0; i < 4 && Entry("a")->state() != "Done"; ++i) {
    Obey("a", 1, 1);
    Run();
    Pass(10);
    Run();
  }
  EXPECT_EQ(Entry("a")->state(), "Done");
  EXPECT_EQ(Entry("a")->failed_nodes(), 1);
  for (int i = 0; i < 3 && Entry("b") == nullptr; ++i) Run();
  ASSERT_NE(Entry("b"), nullptr);
  Obey("b", 1, 1);
  EXPECT_TRUE(Run().stopped) << "one there and one here are two";
}

TEST_F(RolloutPlan, ANodeThatIsNotReadyAndDoesNotFailIsLateAndNotLost) {
  spec_.set_max_failures(4);
  Run();
  Settle("a");
  ASSERT_EQ(Entry("a")->target_nodes(), 3);
  Obey("a", 1);
  Run();
  Pass(99);
  EXPECT_FALSE(Run().stopped);
  Pass(1);
  EXPECT_TRUE(Run().stopped);
  EXPECT_EQ(Held(), "progress GateFailed");
}

TEST_F(RolloutPlan, WithoutAReadyAgentInTimeItStopsAndWithOneItGoesOn) {
  Run();
  Obey("a", 1);
  Run();
  Pass(99);
  EXPECT_FALSE(Run().stopped);
  Pass(1);
  EXPECT_TRUE(Run().stopped) << "the boundary is past";
  EXPECT_EQ(Held(), "progress GateFailed");
  Settle("a");
  EXPECT_EQ(Held(), "");
  EXPECT_EQ(Entry("a")->target_nodes(), 3);
}

TEST_F(RolloutPlan, ASiteThatHasTheReleaseIsDoneWithoutAStep) {
  seen_.sites.at("a").release = "r2";
  seen_.sites.at("a").image = kNew;
  Run();
  EXPECT_EQ(Entry("a")->state(), "Done");
  EXPECT_EQ(Entry("a")->target_nodes(), 0);
}

TEST_F(RolloutPlan, ASiteThatIsGoneIsLeftAndTheRestGoesOn) {
  Run();
  seen_.sites.erase("a");
  seen_.members["first"].clear();
  Run();
  EXPECT_EQ(Entry("a")->state(), "Left");
  Finish();
  EXPECT_EQ(status_.outcome(), "Completed");
}

TEST_F(RolloutPlan, ASiteWithoutNodesGetsTheReleaseAllTheSame) {
  seen_.sites.at("a").nodes = 0;
  Run();
  EXPECT_EQ(seen_.sites.at("a").image, kNew);
  Obey("a");
  Run();
  EXPECT_EQ(Entry("a")->state(), "Done");
}

TEST_F(RolloutPlan, CountsOfAnotherImageOrAnOlderSpecSayNothing) {
  Run();
  SiteView& site = seen_.sites.at("a");
  site.current = true;
  site.counted_image = kOld;
  site.updated = site.updated_ready = 4;
  Run();
  EXPECT_EQ(Entry("a")->ready_nodes(), 0);
  site.counted_image = kNew;
  site.current = false;
  Run();
  EXPECT_EQ(Entry("a")->ready_nodes(), 0);
}

TEST_F(RolloutPlan, AtRestItPlansTheSameStatus) {
  Run();
  Obey("a");
  Run();
  const nlohmann::json before = types::ToJson(status_);
  Pass(1);
  EXPECT_THAT(Run().moves, IsEmpty());
  EXPECT_EQ(types::ToJson(status_), before);
}

}  // namespace
}  // namespace sluice::rollout
