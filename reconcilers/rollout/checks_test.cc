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
  const std::string hash = PlanHash(spec_);
  spec_.set_action("Pause");
  spec_.set_max_failures(3);
  EXPECT_EQ(PlanHash(spec_), hash);
  spec_.mutable_waves(0)->set_step_percent(100);
  EXPECT_NE(PlanHash(spec_), hash);
}

}  // namespace
}  // namespace sluice::rollout
