// What no wave starts with.
#include "reconcilers/rollout/plan_for_test.h"

namespace sluice::rollout {
namespace {

TEST_F(RolloutPlan, WithoutAnAuditLogNothingMoves) {
  seen_.audit_problem = "the disk is full";
  EXPECT_THAT(Run().moves, IsEmpty());
  EXPECT_EQ(Held(), "audit AuditUnavailable");
  EXPECT_EQ(status_.sites_size(), 0);
  seen_.audit_problem = "";
  Run();
  seen_.audit_problem = "the disk is full";
  spec_.set_action("Revert");
  Settle("a");
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
  EXPECT_EQ(status_.direction(), "Forward") << "a revert is recorded before it begins";
}

TEST_F(RolloutPlan, AReleaseAtItsEndIsNotBroughtAnywhere) {
  seen_.release->end_of_life = seen_.now;
  Run();
  EXPECT_EQ(Held(), "release EndOfLife");
  EXPECT_EQ(status_.sites_size(), 0);
}

TEST_F(RolloutPlan, UpgradeFromNamesTheFieldTheRuleAndTheCure) {
  seen_.release->upgrade_from = {"1.5.0"};
  Run();
  EXPECT_EQ(Held(), "a/upgrade Misconfigured");
  EXPECT_EQ(status_.blocked_by(0).message(),
            "spec.upgradeFrom of Release r2 names 1.5.0; site a runs 1.0.0: roll out one of those "
            "first");
  seen_.sites.at("a").version = "";
  Run();
  EXPECT_THAT(status_.blocked_by(0).message(), HasSubstr("make the Release that image is of"));
  seen_.sites.at("a").version = "1.5.0";
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
}

TEST_F(RolloutPlan, ASiteThatAnotherRolloutMovesIsWaitedFor) {
  seen_.sites.at("a").rollout = "other";
  seen_.sites.at("a").rollout_open = true;
  Run();
  EXPECT_EQ(Held(), "a/site Pending");
  seen_.sites.at("a").rollout_open = false;  // it was aborted
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
  EXPECT_EQ(seen_.sites.at("a").rollout, "weekly");
}

TEST_F(RolloutPlan, ASelectorThatSelectsNothingIsAMistakeAndSaysSo) {
  seen_.members.clear();
  Run();
  EXPECT_EQ(Held(), "sites Misconfigured");
}

TEST_F(RolloutPlan, NewSitesInALaterWaveNeedADecisionAndTheFirstSitesObjectives) {
  seen_.sites.at("a").release = "r2";
  seen_.sites.at("a").image = kNew;
  seen_.sites.at("b").release = "";
  seen_.sites.at("b").version = "";
  Run();
  Run();
  EXPECT_EQ(Held(), "expansion Misconfigured");
  EXPECT_THAT(status_.blocked_by(0).message(),
              HasSubstr("adds the sites b, which run no Release yet"));
  EXPECT_THAT(status_.blocked_by(0).message(), HasSubstr("kind slo and one of kind approval"));
  spec_.mutable_waves(1)->add_gates()->mutable_slo();
  Run();
  EXPECT_THAT(status_.blocked_by(0).message(), HasSubstr("needs a gate of kind approval"));
  spec_.mutable_waves(1)->add_gates()->mutable_approval();
  Run();
  EXPECT_EQ(Entry("b")->target_nodes(), 1);
}

TEST_F(RolloutPlan, TheFirstReleaseOfAllGoesToOneSiteAndAnExpansionIsNoneTheLessInTheFirstWave) {
  for (const char* name : {"a", "b"}) {
    seen_.sites.at(name).release = "";
    seen_.sites.at(name).version = "";
  }
  seen_.members["first"] = {"a", "b"};
  Run();
  EXPECT_EQ(Held(), "expansion Misconfigured");
  EXPECT_THAT(status_.blocked_by(0).message(), HasSubstr("goes to one site first, not to a, b"));
  seen_.members["first"] = {"a"};
  seen_.sites.at("b").release = "r1";
  Run();
  EXPECT_EQ(Held(), "expansion Misconfigured") << "b runs one, so a is an expansion";
  spec_.mutable_waves(0)->add_gates()->mutable_slo();
  spec_.mutable_waves(0)->add_gates()->mutable_approval();
  Run();
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_THAT(asked_[0].judged, ElementsAre("b")) << "what runs a Release speaks";
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
}

TEST_F(RolloutPlan, MoreAnswersThanTheStatusKeepsAreNotAskedFor) {
  for (int i = 0; i < 8; ++i) spec_.mutable_waves(0)->add_gates()->mutable_capacity();
  for (int i = 0; i < 16; ++i) {
    SiteView site = seen_.sites.at("a");
    site.name = fmt::format("s{}", i);
    site.uid = "uid-" + site.name;
    seen_.members["first"].push_back(site.name);
    seen_.sites[site.name] = site;
  }
  Run();
  EXPECT_EQ(Held(), "gates Misconfigured");
  EXPECT_THAT(status_.blocked_by(0).message(), HasSubstr("8 gates of 17 sites are more than the"));
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(RolloutPlan, TheVeryFirstSiteNeedsNoGoAhead) {
  seen_.sites.at("a").release = seen_.sites.at("a").version = "";
  seen_.sites.at("b").release = seen_.sites.at("b").version = "";
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
}

TEST_F(RolloutPlan, TheHashIsOfWhatIsDecidedAboutAndOfNothingElse) {
  ReleaseView release = *seen_.release;
  const std::string hash = PlanHash(spec_, release);
  spec_.set_action("Pause");
  spec_.set_acted_by("bob");
  spec_.set_max_failures(3);
  EXPECT_EQ(PlanHash(spec_, release), hash);
  release.image = "agent@sha256:other";
  EXPECT_NE(PlanHash(spec_, release), hash) << "deleted and made anew under its name";
  spec_.mutable_waves(0)->set_step_percent(100);
  EXPECT_NE(PlanHash(spec_, *seen_.release), hash);
}

TEST_F(RolloutPlan, AReleaseThatEndsOnTheWayGivesItToNoFurtherNode) {
  Run();
  seen_.release->end_of_life = seen_.now + std::chrono::seconds(5);
  for (int i = 0; i < 4; ++i) Settle("a");
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
  EXPECT_EQ(Held(), "release EndOfLife");
}

TEST_F(RolloutPlan, AReleaseThatIsGoneOnTheWayHoldsAndSaysSoAndNothingIsLate) {
  spec_.set_on_failure("Revert");
  Run();
  Obey("a");
  Run();
  const auto release = seen_.release;
  seen_.release = base::NotFound("there is no Release r2");
  for (int i = 0; i < 20; ++i) Settle("a");  // past the deadline, too
  EXPECT_EQ(Held(), "release Misconfigured");
  EXPECT_EQ(status_.direction(), "Forward");
  EXPECT_EQ(Entry("a")->ready_nodes(), 1) << "as last counted";
  EXPECT_EQ(seen_.sites.at("a").image, kNew) << "what it has stays";
  seen_.release = release;
  Finish();
  EXPECT_EQ(status_.outcome(), "Completed");
}

TEST_F(RolloutPlan, AReleaseMadeAnewWithAnotherImageIsNotTheOneItBeganWith) {
  EXPECT_TRUE(AsBegun(seen_.release, status_).ok()) << "nothing has begun";
  Run();
  EXPECT_EQ(status_.release_image(), kNew);
  EXPECT_TRUE(AsBegun(seen_.release, status_).ok());
  const std::string hash = status_.plan_hash();
  ReleaseView other = *seen_.release;
  other.image = "agent@sha256:other";
  seen_.release = AsBegun(other, status_);
  for (int i = 0; i < 4; ++i) Settle("a");
  EXPECT_EQ(Held(), "release Misconfigured");
  EXPECT_THAT(status_.blocked_by(0).message(), HasSubstr("made anew with another image"));
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
  EXPECT_EQ(seen_.sites.at("a").image, kNew);
  EXPECT_EQ(status_.plan_hash(), hash);
}

TEST_F(RolloutPlan, GatesAtStepsAreAskedOfTheSiteItselfBeforeEachStepAfterTheCanary) {
  spec_.mutable_waves(0)->set_gates_at("Step");
  spec_.mutable_waves(0)->add_gates()->mutable_capacity();
  seen_.members["first"] = {"a", "b"};
  seen_.members["rest"] = {};
  Run();
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_FALSE(asked_[0].step);
  asked_.clear();
  for (const char* name : {"a", "b"}) Obey(name);
  Run();
  EXPECT_THAT(asked_, IsEmpty()) << "it soaks";
  Pass(10);
  Run(false);
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_TRUE(asked_[0].step);
  EXPECT_THAT(asked_[0].judged, ElementsAre("a", "b"));
  EXPECT_THAT(asked_[0].moved, IsEmpty()) << "a running wave finishes, frozen or not";
  EXPECT_EQ(Held(), "a/quiet IncidentOpen");
  EXPECT_EQ(Entry("a")->target_nodes(), 1);
  Pass(1000);
  Run(false);
  EXPECT_EQ(Held(), "a/quiet IncidentOpen") << "a gate that holds is no late node";
  Run();
  EXPECT_EQ(Entry("a")->target_nodes(), 3);
  EXPECT_EQ(Entry("b")->target_nodes(), 3);
}

TEST_F(RolloutPlan, WhatRanBeforeIsWhatAnotherRolloutBroughtThatWasFirst) {
  Run();  // decided, and then the other one's write came first
  SiteView& site = seen_.sites.at("a");
  site.rollout = "other";
  site.rollout_open = true;
  site.release = "r3";
  site.image = "agent@sha256:third";
  site.current = true;
  Run();
  EXPECT_EQ(Held(), "a/site Pending");
  EXPECT_EQ(Entry("a")->from().release(), "r1");
  Pass(1000);
  Run();
  EXPECT_EQ(Held(), "a/site Pending") << "that one's time is not this one's delay";
  site.rollout = "";
  site.rollout_open = false;
  Run();
  EXPECT_EQ(Held(), "");
  EXPECT_EQ(Entry("a")->from().release(), "r3");
  EXPECT_EQ(Entry("a")->from().image(), "agent@sha256:third");
  EXPECT_EQ(site.image, kNew);
}

TEST_F(RolloutPlan, WhatAnotherRolloutBroughtMeanwhileMustBeNamedByUpgradeFrom) {
  seen_.release->upgrade_from = {"1.0.0"};
  Run();  // decided, and then the other one's write came first
  SiteView& site = seen_.sites.at("a");
  site.rollout_open = true;
  site.rollout = "other";
  site.release = "r3";
  site.image = "agent@sha256:third";
  site.version = "3.0.0";
  site.current = true;
  Run();
  EXPECT_EQ(Held(), "a/site Pending");
  site.rollout = "";
  site.rollout_open = false;
  Run();
  EXPECT_EQ(site.image, "agent@sha256:third") << "there is no way from 3.0.0 to it";
  EXPECT_EQ(Entry("a")->state(), "Left");
  EXPECT_THAT(moves_, ::testing::Contains("RolloutSiteLeft"));
  site.version = "1.0.0";
  Finish();
  EXPECT_EQ(status_.outcome(), "Completed");
  EXPECT_EQ(site.image, "agent@sha256:third") << "it was left for good";
}

}  // namespace
}  // namespace sluice::rollout
