// The way back, actions that are not taken, and a simulation of the whole way with crashes between
// any two writes.
#include <random>

#include "reconcilers/rollout/plan_for_test.h"

namespace sluice::rollout {
namespace {

TEST_F(RolloutPlan, AGateThatRevertsBringsBackWhatWasMovedAndAbortsWhereNothingWas) {
  const auto revert = [&] {
    Plan plan = PlanRollout(seen_);
    Answer answer{*plan.question,
                  false,
                  false,
                  true,
                  {{"a/errors", Cause::kGateFailed, "0.3 errors a second", "", ""}},
                  std::make_shared<v1alpha1::RolloutStatus>(),
                  {}};
    seen_.answer = answer;
    plan = PlanRollout(seen_);
    seen_.answer.reset();
    return plan;
  };
  EXPECT_EQ(revert().status->outcome(), "Aborted") << "nothing was moved yet";
  Run();
  for (int i = 0; i < 20 && Entry("a")->state() != "Done"; ++i) {
    Obey("a");
    Run(false);
    Pass(10);
  }
  ASSERT_EQ(Entry("a")->state(), "Done");
  const Plan plan = revert();
  EXPECT_EQ(plan.status->outcome(), "");
  EXPECT_EQ(plan.status->direction(), "Reverting");
  ASSERT_EQ(plan.moves.size(), 1u);
  EXPECT_STREQ(plan.moves[0].type, "RolloutReverting");
  EXPECT_FALSE(plan.moves[0].by_person);
  status_ = *plan.status;
  Finish();
  EXPECT_EQ(status_.outcome(), "Reverted");
  EXPECT_EQ(seen_.sites.at("a").image, kOld);
}

TEST_F(RolloutPlan, AnActionThatIsNotTakenSaysWhy) {
  const auto why = [&] {
    const auto* condition = types::FindCondition(status_.conditions(), "ActionTaken");
    return condition == nullptr ? std::string() : condition->message();
  };
  spec_.set_action("Abort");
  Run();
  ASSERT_EQ(status_.outcome(), "Aborted");
  EXPECT_EQ(why(), "");
  spec_.set_action("Run");
  Run();
  EXPECT_THAT(why(), HasSubstr("spec.action Run is not taken: it ended as Aborted at"));
  spec_.set_action("Revert");
  Run();
  EXPECT_THAT(why(), HasSubstr("it moved no node"));
  EXPECT_EQ(status_.outcome(), "Aborted");
  spec_.set_action("Abort");
  Run();
  EXPECT_EQ(why(), "");
}

TEST_F(RolloutPlan, AnAbortStopsInTheMiddleOfAStep) {
  Run();
  Settle("a");
  ASSERT_EQ(Entry("a")->target_nodes(), 3);
  SiteView& site = seen_.sites.at("a");
  site.updated = site.updated_ready = 2;  // one node of the step has it so far
  spec_.set_action("Abort");
  Run();
  EXPECT_EQ(status_.outcome(), "Aborted");
  EXPECT_EQ(Entry("a")->target_nodes(), 2) << "the site's controller gives it to no further node";
}

TEST_F(RolloutPlan, ARevertIsPausedAndResumedAndNeverTurnedForward) {
  Run();
  Obey("a");
  spec_.set_action("Revert");
  Run();
  ASSERT_EQ(Entry("a")->state(), "Reverting");
  spec_.set_action("Run");
  EXPECT_THAT(Run().moves, IsEmpty());
  EXPECT_THAT(types::FindCondition(status_.conditions(), "ActionTaken")->message(),
              HasSubstr("a revert is not turned forward"));
  EXPECT_EQ(status_.direction(), "Reverting");
  spec_.set_action("Pause");
  Settle("a");
  EXPECT_EQ(Held(), "action Paused");
  EXPECT_EQ(status_.outcome(), "");
  spec_.set_action("Run");
  Finish();
  EXPECT_EQ(status_.outcome(), "Reverted");
}

TEST_F(RolloutPlan, RevertGoesBackWaveByWaveTheLastFirst) {
  for (int i = 0; i < 20 && Entry("b") == nullptr; ++i) Settle("a");
  ASSERT_NE(Entry("b"), nullptr);
  asked_.clear();
  spec_.set_action("Revert");
  Run();
  EXPECT_EQ(Entry("b")->state(), "Reverting");
  EXPECT_EQ(Entry("b")->target_nodes(), 4) << "no canary on the way back";
  EXPECT_EQ(Entry("a")->state(), "Done") << "its turn has not come";
  EXPECT_EQ(seen_.sites.at("b").image, kOld);
  EXPECT_EQ(seen_.sites.at("b").release, "r1");
  Finish();
  EXPECT_EQ(status_.outcome(), "Reverted");
  EXPECT_EQ(seen_.sites.at("a").image, kOld);
  EXPECT_EQ(seen_.sites.at("a").rollout, "");
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_TRUE(asked_[0].revert && asked_[1].revert) << "it is gated, too";
  EXPECT_THAT(moves_, ::testing::Contains("RolloutReverting"));
}

TEST_F(RolloutPlan, WhatEndedIsRevertedOnceAndNeverRunsAgain) {
  Finish();
  spec_.set_action("Revert");
  Run();
  EXPECT_EQ(status_.outcome(), "");
  Finish();
  EXPECT_EQ(status_.outcome(), "Reverted");
  spec_.set_action("Run");
  EXPECT_THAT(Run().moves, IsEmpty());
  EXPECT_EQ(status_.outcome(), "Reverted");
}

TEST_F(RolloutPlan, AfterAnAbortedOneARevertGoesBackToWhatRanBeforeIt) {
  SiteView& site = seen_.sites.at("a");
  site.release = "r3";
  site.image = "agent@sha256:aborted";
  site.version = "3.0.0";
  site.rollout = "aborted";
  site.left_behind = LeftBehind{"r1", kOld, "IfNotPresent", "1.0.0"};
  seen_.release->upgrade_from = {"3.0.0"};
  Run();
  EXPECT_EQ(Held(), "a/upgrade Misconfigured") << "some nodes still run 1.0.0";
  seen_.release->upgrade_from = {"1.0.0", "3.0.0"};
  Run();
  ASSERT_NE(Entry("a"), nullptr);
  EXPECT_EQ(Entry("a")->from().release(), "r1");
  EXPECT_EQ(Entry("a")->from().image(), kOld);
}

TEST_F(RolloutPlan, ARevertLeavesAloneWhatSomethingElseHasMovedOn) {
  Finish();
  seen_.sites.at("b").release = "r3";
  seen_.sites.at("b").image = "agent@sha256:third";
  spec_.set_action("Revert");
  Run();
  Finish();
  EXPECT_EQ(status_.outcome(), "Reverted");
  EXPECT_EQ(Entry("b")->state(), "Left");
  EXPECT_EQ(seen_.sites.at("b").image, "agent@sha256:third");
}

TEST_F(RolloutPlan, OnFailureRevertTurnsBackByItself) {
  spec_.set_on_failure("Revert");
  Run();
  Obey("a", 1, 1);
  Run();
  EXPECT_EQ(status_.direction(), "Reverting");
  EXPECT_EQ(seen_.sites.at("a").image, kOld);
  EXPECT_THAT(moves_, ::testing::Contains("RolloutReverting"));
}

// Whatever dies between the audit log, the status and the sites: no step is repeated or lost, no
// node gets the release before the status allows it, and the end is the same.
TEST_F(RolloutPlan, CrashesBetweenAnyTwoWritesChangeNothing) {
  const v1alpha1::RolloutStatus fresh;
  const auto sites = seen_.sites;
  const base::WallTime start = seen_.now;
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const bool revert = seed % 3 == 0;
    status_ = fresh;
    seen_.sites = sites;
    seen_.now = start;
    spec_.clear_action();
    std::map<std::string, std::vector<int>> given;
    for (int i = 0; i < 800 && status_.outcome() != (revert ? "Reverted" : "Completed"); ++i) {
      // Now and then after it was completed.
      if (revert && i >= static_cast<int>(seed % 70)) spec_.set_action("Revert");
      Plan plan = PlanRollout(seen_);
      if (plan.question) {
        seen_.answer = Answer{*plan.question,
                              true,
                              false,
                              false,
                              {},
                              std::make_shared<v1alpha1::RolloutStatus>(),
                              {}};
        plan = PlanRollout(seen_);
        seen_.answer.reset();
      }
      if (random() % 3 != 0) {  // else: died after the audit log
        status_ = *plan.status;
        if (random() % 3 != 0) Project();  // else: died before the sites
      }
      for (const char* name : {"a", "b"}) {
        const v1alpha1::RolloutSite* entry = Entry(name);
        const SiteView& site = seen_.sites.at(name);
        if (site.rollout == "weekly") {
          ASSERT_NE(entry, nullptr) << seed;
        }
        if (entry != nullptr && entry->state() == "Moving" &&
            (given[name].empty() || given[name].back() != entry->target_nodes())) {
          given[name].push_back(entry->target_nodes());
        }
        if (random() % 2 == 0) Obey(name);
      }
      Pass(static_cast<int>(random() % 8));
    }
    ASSERT_EQ(status_.outcome(), revert ? "Reverted" : "Completed") << seed;
    for (int i = 0; i < 3; ++i) Run();
    for (const auto& [name, site] : seen_.sites) {
      EXPECT_EQ(site.rollout, "") << seed;
      EXPECT_EQ(site.image, revert ? kOld : kNew) << seed << " " << name;
    }
    for (const auto& [name, steps] : given) {
      EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end())) << seed;
      if (!revert) {
        EXPECT_THAT(steps, ElementsAre(1, 3, 4)) << seed << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace sluice::rollout
