#include "reconcilers/gates/tally.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::gates {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const base::WallTime kNow{seconds(1'800'000'000)};
const Subject kStep{"site-uid", 7, "9f2c", "Walk"};

DecisionFacts Decision(const std::string& name = "walk", Subject subject = kStep) {
  return {.name = name,
          .uid = name + "-uid",
          .subject = std::move(subject),
          .requested_by = "cleo",
          .roles = {},
          .change_class = "Ordinary",
          .expires_at = kNow + hours(24)};
}

VoteFacts Vote(const std::string& user, bool agrees = true, const std::string& role = "Decide") {
  return {.approval = user + "-" + role,
          .decision_uid = "walk-uid",
          .subject_uid = kStep.uid,
          .generation = kStep.generation,
          .plan_hash = kStep.plan_hash,
          .user = user,
          .groups = {},
          .role = role,
          .agrees = agrees,
          .cast_at = kNow - hours(1),
          .expires_at = kNow + hours(12)};
}

Ballot About(std::vector<VoteFacts> votes, std::vector<DecisionFacts> decisions = {Decision()}) {
  return {.subject = kStep,
          .requested_by = {"ana"},
          .decisions = std::move(decisions),
          .votes = std::move(votes)};
}

const std::vector<RoleRule> kOne = {{"Decide", {"bo", "dee", "ana", "cleo"}, {"council"}, 1}};

std::string WhyNot(const Tally& tally, const std::string& approval) {
  for (const CountedVote& vote : tally.votes) {
    if (vote.approval == approval) return vote.why_not;
  }
  return "there is no such vote";
}

TEST(Tally, ASubjectNobodyAskedAboutHasNoDecision) {
  const Tally tally = Count(About({}, {}), kOne, false, kNow);
  EXPECT_EQ(tally.outcome, Outcome::kNone);
  EXPECT_EQ(tally.message, "no decision yet");
  EXPECT_THAT(tally.missing, ElementsAre("Decide: 0 of 1 (bo, dee, ana, cleo, group council)"));
}

TEST(Tally, TheQuorumOfDifferentPeopleApproves) {
  const std::vector<RoleRule> two = {{"Decide", {}, {"council"}, 2}};
  VoteFacts bo = Vote("bo"), again = Vote("bo"), dee = Vote("dee");
  bo.groups = again.groups = dee.groups = {"council"};
  again.approval = "bo-again";
  again.cast_at = bo.cast_at + seconds(1);
  Tally tally = Count(About({bo, again}), two, false, kNow);
  EXPECT_EQ(tally.outcome, Outcome::kPending) << "one person has one voice";
  EXPECT_THAT(tally.missing, ElementsAre("Decide: 1 of 2 (group council)"));
  EXPECT_EQ(WhyNot(tally, "bo-Decide"), "the same user voted again later");
  tally = Count(About({bo, dee}), two, false, kNow);
  EXPECT_EQ(tally.outcome, Outcome::kApproved);
  EXPECT_EQ(tally.agreed, 2);
  EXPECT_THAT(tally.message, HasSubstr("approved by"));
  EXPECT_EQ(tally.holds_until, kNow + hours(12)) << "the first vote that ends";
}

TEST(Tally, WhoeverAsksHasNoVoice) {
  for (const std::string asker : {"ana", "cleo"}) {
    const Tally tally = Count(About({Vote(asker)}), kOne, false, kNow);
    EXPECT_EQ(tally.outcome, Outcome::kPending);
    EXPECT_EQ(WhyNot(tally, asker + "-Decide"), "whoever asks cannot answer");
  }
}

TEST(Tally, ARoleIsSpokenInByThoseWhoHaveIt) {
  const Tally tally = Count(About({Vote("eve"), Vote("bo", true, "Recommend")}), kOne, false, kNow);
  EXPECT_EQ(tally.outcome, Outcome::kPending);
  EXPECT_EQ(WhyNot(tally, "eve-Decide"), "eve does not speak in the role Decide");
  EXPECT_EQ(WhyNot(tally, "bo-Recommend"), "bo does not speak in the role Recommend");
}

TEST(Tally, ServiceAccountsVoteOnlyWhereThePlanLetsThem) {
  const std::string robot = "system:serviceaccount:ci:robot";
  const std::vector<RoleRule> rule = {{"Decide", {robot}, {}, 1}};
  EXPECT_EQ(Count(About({Vote(robot)}), rule, false, kNow).outcome, Outcome::kPending);
  EXPECT_EQ(Count(About({Vote(robot)}), rule, true, kNow).outcome, Outcome::kApproved);
}

TEST(Tally, DisagreementOfWhoDecidesOrAgreesRefusesAndOthersAreHeard) {
  const std::vector<RoleRule> rules = {
      {"Decide", {"bo"}, {}, 1}, {"Agree", {"lea"}, {}, 1}, {"Recommend", {"rex"}, {}, 1}};
  const auto votes = [](bool decide, bool agree, bool recommend) {
    return About(
        {Vote("bo", decide), Vote("lea", agree, "Agree"), Vote("rex", recommend, "Recommend")});
  };
  EXPECT_EQ(Count(votes(true, true, true), rules, false, kNow).outcome, Outcome::kApproved);
  EXPECT_EQ(Count(votes(false, true, true), rules, false, kNow).outcome, Outcome::kRefused);
  EXPECT_EQ(Count(votes(true, false, true), rules, false, kNow).message, "refused by lea (Agree)");
  EXPECT_EQ(Count(votes(true, true, false), rules, false, kNow).outcome, Outcome::kPending);
}

TEST(Tally, TheLastVoteCountsAndOfTwoAtOnceTheDisagreement) {
  VoteFacts no = Vote("bo", false), yes = Vote("bo", true);
  no.approval = "no";
  yes.approval = "yes";
  EXPECT_EQ(Count(About({no, yes}), kOne, false, kNow).outcome, Outcome::kRefused);
  yes.cast_at += seconds(1);
  EXPECT_EQ(Count(About({no, yes}), kOne, false, kNow).outcome, Outcome::kApproved);
}

TEST(Tally, AskingAgainDoesNotForgetARefusal) {
  VoteFacts yes = Vote("dee");
  yes.decision_uid = "again-uid";
  const Ballot ballot = About({Vote("bo", false), yes}, {Decision(), Decision("again")});
  EXPECT_EQ(Count(ballot, kOne, false, kNow).outcome, Outcome::kRefused);
}

TEST(Tally, AnOlderGenerationOrAnotherPlanIsOutdated) {
  for (const Subject& old :
       {Subject{"site-uid", 6, "9f2c", "Walk"}, Subject{"site-uid", 7, "0000", "Walk"}}) {
    VoteFacts vote = Vote("bo");
    vote.generation = old.generation;
    vote.plan_hash = old.plan_hash;
    const Tally tally = Count(About({vote}, {Decision("walk", old)}), kOne, false, kNow);
    EXPECT_EQ(tally.outcome, Outcome::kOutdated) << tally.message;
    EXPECT_THAT(WhyNot(tally, "bo-Decide"), HasSubstr("another generation or plan"));
  }
}

TEST(Tally, AVoteThatSawSomethingElseThanItsDecisionDoesNotCount) {
  VoteFacts vote = Vote("bo");
  vote.generation = 6;
  const Tally tally = Count(About({vote}), kOne, false, kNow);
  EXPECT_EQ(tally.outcome, Outcome::kPending);
  EXPECT_THAT(WhyNot(tally, "bo-Decide"), HasSubstr("saw another generation"));
}

TEST(Tally, AVoteAndADecisionAreOverAtTheInstantTheyExpire) {
  VoteFacts vote = Vote("bo");
  vote.expires_at = kNow;
  EXPECT_EQ(Count(About({vote}), kOne, false, kNow - seconds(1)).outcome, Outcome::kApproved);
  EXPECT_EQ(Count(About({vote}), kOne, false, kNow).outcome, Outcome::kPending);
  DecisionFacts decision = Decision();
  decision.expires_at = kNow;
  const Ballot ballot = About({Vote("bo")}, {decision});
  EXPECT_EQ(Count(ballot, kOne, false, kNow - seconds(1)).outcome, Outcome::kApproved);
  EXPECT_EQ(Count(ballot, kOne, false, kNow).outcome, Outcome::kExpired);
}

TEST(Tally, ADecisionMayAskForMoreVoicesButNotForFewer) {
  DecisionFacts decision = Decision();
  decision.roles = {{"Agree", {"lea"}, {}, 1}};
  Tally tally = Count(About({Vote("bo")}, {decision}), kOne, false, kNow);
  EXPECT_THAT(tally.missing, ElementsAre("Agree: 0 of 1 (lea)"));
  tally = Count(About({Vote("lea", true, "Agree")}, {decision}), kOne, false, kNow);
  EXPECT_EQ(tally.outcome, Outcome::kPending) << "the plan's deciders are still asked";
}

TEST(Tally, WithoutAnyRuleNobodyMayDecide) {
  const Tally tally = Count(About({Vote("bo")}), {}, false, kNow);
  EXPECT_EQ(tally.outcome, Outcome::kPending);
  EXPECT_THAT(tally.message, HasSubstr("names nobody"));
}

TEST(Tally, AClassOfChangeNeedsItsOwnApprovedDecision) {
  DecisionFacts p0 = Decision("p0");
  p0.change_class = "P0";
  VoteFacts vote = Vote("bo");
  EXPECT_EQ(ClassOf(About({vote}, {Decision(), p0}), kOne, kNow), "Ordinary")
      << "the vote was about the other decision";
  vote.decision_uid = "p0-uid";
  EXPECT_EQ(ClassOf(About({vote}, {p0}), kOne, kNow), "P0");
  EXPECT_EQ(ClassOf(About({vote}, {p0}), {}, kNow), "Ordinary") << "the plan names nobody";
  EXPECT_EQ(ClassOf(About({vote}, {p0}), kOne, vote.expires_at), "Ordinary");
}

}  // namespace
}  // namespace sluice::gates
