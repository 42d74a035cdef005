#include "reconcilers/governance/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"

namespace sluice::governance {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

base::WallTime At(const std::string& text) { return base::ParseRfc3339(text).value(); }
const base::WallTime kNow = At("2026-12-01T10:00:00Z");

meta::ObjectPtr Object(const std::string& kind, const std::string& name, const json& spec,
                       const json& status = json::object()) {
  return *meta::Object::FromJson({{"apiVersion", "sluice.dev/v1alpha1"},
                                  {"kind", kind},
                                  {"metadata",
                                   {{"name", name},
                                    {"uid", name + "-uid"},
                                    {"generation", 1},
                                    {"creationTimestamp", "2026-11-30T10:00:00Z"}}},
                                  {"spec", spec},
                                  {"status", status}});
}

std::string Reason(const Answer& answer) { return (*answer.status)["conditions"][0]["reason"]; }
std::string Truth(const Answer& answer) { return (*answer.status)["conditions"][0]["status"]; }

json PlanSpec() {
  return {{"stages",
           {{{"name", "Walk"},
             {"tenancy", "ProviderTenant"},
             {"entryGates",
              {{{"name", "go"},
                {"approval",
                 {{"roles", {{{"role", "Decide"}, {"users", {"bo"}}, {"quorum", 1}}}}}}}}}}}},
          {"waiverRoles", {{{"role", "Decide"}, {"users", {"bo"}}, {"quorum", 1}}}}};
}

World Open(const json& status = json::object()) {
  World world;
  json plan = PlanSpec();
  plan["name"] = "plan";
  plan["hash"] = "9f2c0b6d";
  world.promotions = {Object("Promotion", "phoenix-7-walk",
                             {{"siteRef", {{"name", "phoenix"}, {"uid", "u1"}}},
                              {"generation", 7},
                              {"to", "Walk"},
                              {"requestedBy", "ana"},
                              {"plan", plan}},
                             status)};
  world.plans = {Object("StagePlan", "plan", PlanSpec())};
  world.classes = {Object("SiteClass", "class", {{"stagePlanRef", {{"name", "plan"}}}})};
  world.sites = {Object("Site", "phoenix", {{"classRef", {{"name", "class"}}}})};
  return world;
}

meta::ObjectPtr Decision(int generation = 7, const json& status = json::object()) {
  return Object("Decision", "walk",
                {{"question", "Walk?"},
                 {"requestedBy", "ana"},
                 {"expiresAt", "2026-12-05T10:00:00Z"},
                 {"subject",
                  {{"kind", "Site"},
                   {"name", "phoenix"},
                   {"uid", "u1"},
                   {"generation", generation},
                   {"stage", "Walk"},
                   {"planHash", "9f2c0b6d"}}}},
                status);
}

meta::ObjectPtr Vote(const std::string& user, const std::string& expires = "2026-12-03T10:00:00Z") {
  return Object("Approval", "walk-" + user,
                {{"decisionRef", {{"name", "walk"}, {"uid", "walk-uid"}}},
                 {"subject", {{"uid", "u1"}, {"generation", 7}, {"planHash", "9f2c0b6d"}}},
                 {"role", "Decide"},
                 {"verdict", "Agree"},
                 {"approver", {{"user", user}}},
                 {"expiresAt", expires}});
}

TEST(DecisionStatus, SaysWhoseVoiceIsMissingAndThenThatItIsApproved) {
  World world = Open();
  world.people.decisions = {Decision()};
  Answer answer = DecisionStatus(*Decision(), world, kNow).value();
  EXPECT_EQ((*answer.status)["outcome"], "Pending");
  EXPECT_EQ((*answer.status)["missing"][0], "Decide: 0 of 1 (bo)");
  world.people.approvals = {Vote("bo"), Vote("eve")};
  answer = DecisionStatus(*Decision(), world, kNow).value();
  EXPECT_EQ((*answer.status)["outcome"], "Approved");
  EXPECT_EQ((*answer.status)["votes"].size(), 2U) << "those that do not count are shown";
  EXPECT_EQ(answer.changes_at, At("2026-12-03T10:00:00Z")) << "looked at again when a vote ends";
  EXPECT_EQ(Truth(ApprovalStatus(*Vote("bo"), world, kNow).value()), "True");
  const Answer eve = ApprovalStatus(*Vote("eve"), world, kNow).value();
  EXPECT_EQ(Truth(eve), "False");
  EXPECT_THAT((*eve.status)["conditions"][0]["message"].get<std::string>(),
              HasSubstr("does not speak in the role"));
}

TEST(DecisionStatus, IsOutdatedByAnotherGenerationAndExpiredAtItsInstant) {
  World world = Open();
  world.people.decisions = {Decision(6)};
  EXPECT_EQ((*DecisionStatus(*Decision(6), world, kNow)->status)["outcome"], "Outdated");
  world.people.decisions = {Decision()};
  EXPECT_EQ((*DecisionStatus(*Decision(), world, At("2026-12-05T09:59:59Z"))->status)["outcome"],
            "Pending");
  EXPECT_EQ((*DecisionStatus(*Decision(), world, At("2026-12-05T10:00:00Z"))->status)["outcome"],
            "Expired");
}

std::string Outcome(const meta::ObjectPtr& decision, const World& world) {
  return (*DecisionStatus(*decision, world, kNow)->status)["outcome"];
}

World Taken(const std::string& outcome = "Promoted",
            const std::string& completed_at = "2026-12-01T09:00:00Z") {
  World world = Open({{"outcome", outcome}, {"completedAt", completed_at}});
  world.people.decisions = {Decision()};
  return world;
}

TEST(DecisionStatus, WhatWasDecidedAboutAStepThatWasTakenStays) {
  const auto decided = Decision(7, {{"outcome", "Approved"}});
  EXPECT_EQ(Outcome(decided, Taken()), "Approved") << "its votes may be gone by now";
  EXPECT_EQ(Outcome(decided, Taken("Aborted")), "Approved");
  EXPECT_EQ(Outcome(Decision(), Taken()), "Outdated") << "nobody had voted";
}

TEST(DecisionStatus, WhatLetAStepThroughIsApprovedThoughItsStatusCouldNotBeWrittenBefore) {
  World world = Taken();
  world.people.approvals = {Vote("bo")};
  EXPECT_EQ(Outcome(Decision(), world), "Approved");
  EXPECT_EQ(Outcome(Decision(7, {{"outcome", "Outdated"}}), world), "Approved")
      << "an outcome that was told too early is put right";
  const Answer late = DecisionStatus(*Decision(), world, kNow).value();
  EXPECT_EQ((*late.status)["votes"][0]["user"], "bo");
  EXPECT_EQ(late.changes_at, At("2026-12-05T10:00:00Z"));
  EXPECT_EQ(Truth(ApprovalStatus(*Vote("bo"), world, kNow).value()), "False") << "it is of no use";
  // At rest: what was written is what is said again, votes and all.
  const auto written = Decision(7, *late.status);
  world.people.decisions = {written};
  world.people.approvals = {};
  EXPECT_EQ(*DecisionStatus(*written, world, kNow)->status, *late.status);
}

TEST(DecisionStatus, IsCountedAsOfTheStepAndOfNoOtherStep) {
  const auto outcome = [](World world, const meta::ObjectPtr& vote, int generation = 7) {
    world.people.approvals = {vote};
    return Outcome(Decision(generation), world);
  };
  EXPECT_EQ(outcome(Taken(), Vote("bo", "2026-12-01T09:30:00Z")), "Approved")
      << "the vote has expired since";
  EXPECT_EQ(outcome(Taken("Promoted", "2026-12-01T09:30:00Z"), Vote("bo", "2026-12-01T09:30:00Z")),
            "Outdated")
      << "it expired at that instant";
  EXPECT_EQ(outcome(Taken("Promoted", "2026-11-30T09:59:59Z"), Vote("bo")), "Outdated")
      << "Decision and vote came after the step";
  EXPECT_EQ(outcome(Taken("Aborted"), Vote("bo")), "Outdated");
  EXPECT_EQ(outcome(Taken("Superseded"), Vote("bo")), "Outdated");
  EXPECT_EQ(outcome(Taken(), Vote("bo"), 6), "Outdated");
  World world = Taken();
  world.people.approvals = {Vote("bo")};
  json late = Decision()->ToJson();
  late["metadata"].update(
      {{"name", "late"}, {"uid", "late-uid"}, {"creationTimestamp", "2026-12-01T09:00:01Z"}});
  world.people.decisions.push_back(meta::Object::FromJson(late).value());
  EXPECT_EQ(Outcome(world.people.decisions.back(), world), "Outdated")
      << "a Decision made after the step let nothing through";
  EXPECT_EQ(Outcome(world.people.decisions.front(), world), "Approved");
}

TEST(DecisionStatus, OfARolloutThatIsOverIsCountedTheSameWay) {
  const auto outcome = [](const char* how) {
    World world;
    world.rollouts = {Object(
        "Rollout", "weekly",
        {{"requestedBy", "ana"},
         {"waves",
          {{{"name", "all"},
            {"gates",
             {{{"name", "go"},
               {"approval",
                {{"roles", {{{"role", "Decide"}, {"users", {"bo"}}, {"quorum", 1}}}}}}}}}}}}},
        {{"planHash", "9f2c0b6d"}, {"outcome", how}, {"completedAt", "2026-12-01T09:00:00Z"}})};
    json spec = Decision()->ToJson()["spec"];
    spec["subject"] = {{"kind", "Rollout"},
                       {"name", "weekly"},
                       {"uid", "weekly-uid"},
                       {"generation", 1},
                       {"planHash", "9f2c0b6d"}};
    const auto decision = Object("Decision", "walk", spec);
    world.people.decisions = {decision};
    json vote = Vote("bo")->ToJson()["spec"];
    vote["subject"] = {{"uid", "weekly-uid"}, {"generation", 1}, {"planHash", "9f2c0b6d"}};
    world.people.approvals = {Object("Approval", "walk-bo", vote)};
    return Outcome(decision, world);
  };
  EXPECT_EQ(outcome("Completed"), "Approved");
  EXPECT_EQ(outcome("Reverted"), "Approved");
  EXPECT_EQ(outcome("Aborted"), "Outdated");
  EXPECT_EQ(outcome(""), "Approved") << "open, it is counted as of now";
}

TEST(ApprovalStatus, AnExpiredVoteSaysSoWhichIsWhatLetsItBeDeleted) {
  World world = Open();
  world.people.decisions = {Decision()};
  world.people.approvals = {Vote("bo")};
  EXPECT_EQ(Reason(ApprovalStatus(*Vote("bo"), world, At("2026-12-03T10:00:00Z")).value()),
            "Expired");
}

TEST(ReviewStatus, ListsWhatIsMissingAndWhenTheNextGoesStale) {
  const auto review = Object("ReadinessReview", "phoenix-walk",
                             {{"siteRef", {{"name", "phoenix"}}},
                              {"stage", "Walk"},
                              {"items",
                               {{{"name", "docs"},
                                 {"owner", "ana"},
                                 {"evidence", "https://x"},
                                 {"verifiedBy", "bo"},
                                 {"verifiedAt", "2026-12-01T09:00:00Z"},
                                 {"validFor", "1d"}},
                                {{"name", "drill"}, {"owner", "bo"}, {"validFor", "1d"}}}}});
  const Answer answer = ReviewStatus(*review, kNow).value();
  EXPECT_EQ(Truth(answer), "False");
  EXPECT_EQ((*answer.status)["fresh"], 1);
  EXPECT_EQ((*answer.status)["missing"][0], "drill: not verified; owner bo");
  EXPECT_EQ(answer.changes_at, At("2026-12-02T09:00:00Z"));
  EXPECT_EQ((*ReviewStatus(*review, At("2026-12-02T09:00:00Z"))->status)["missing"].size(), 2U);
}

TEST(FreezeStatus, SaysWhenItReopensAndWhenItClosesNext) {
  const auto freeze = Object("FreezeWindow", "nights",
                             {{"reason", "Nights."},
                              {"recurring",
                               {{"rrule", "FREQ=DAILY"},
                                {"start", "2026-12-01T22:00:00"},
                                {"duration", "8h"},
                                {"timeZone", "UTC"}}}});
  EXPECT_EQ((*FreezeStatus(*freeze, kNow)->status)["closesAt"], "2026-12-01T22:00:00Z");
  const Answer closed = FreezeStatus(*freeze, At("2026-12-01T22:00:00Z")).value();
  EXPECT_EQ(Truth(closed), "True");
  EXPECT_EQ((*closed.status)["reopensAt"], "2026-12-02T06:00:00Z");
  EXPECT_EQ(closed.changes_at, At("2026-12-02T06:00:00Z"));
}

TEST(FreezeStatus, OneThatCannotBeReadSaysThatItHolds) {
  const auto freeze = Object(
      "FreezeWindow", "broken",
      {{"reason", "x"},
       {"recurring",
        {{"rrule", "FREQ=SECONDLY"}, {"start", "2026-12-01T22:00:00"}, {"duration", "8h"}}}});
  const Answer answer = FreezeStatus(*freeze, kNow).value();
  EXPECT_EQ(Reason(answer), "Misconfigured");
  EXPECT_EQ(Truth(answer), "Unknown");
}

TEST(ExemptionStatus, ShowsWhatItHides) {
  World world = Open({{"gates",
                       {{{"name", "availability"},
                         {"verdict", "Pass"},
                         {"cause", "Exempted"},
                         {"causes", {"Exempted", "GateFailed"}},
                         {"exemptedBy", "deal"},
                         {"evaluatedAt", "2026-12-01T09:00:00Z"}}}}});
  const auto exemption = Object("Exemption", "deal",
                                {{"gates", {"availability"}},
                                 {"reason", "Deal."},
                                 {"ticket", "T"},
                                 {"requestedBy", "ana"},
                                 {"decisionRef", {{"name", "deal"}}},
                                 {"expiresAt", "2026-12-10T10:00:00Z"}});
  const Answer answer = ExemptionStatus(*exemption, world, kNow).value();
  EXPECT_EQ((*answer.status)["hides"][0], "phoenix-7-walk/availability: GateFailed");
  EXPECT_EQ(Truth(answer), "False") << "no decision";
}

TEST(IncidentStatus, NamesThePromotionsItHolds) {
  const World world = Open({{"gates",
                             {{{"name", "quiet"},
                               {"verdict", "Hold"},
                               {"cause", "IncidentOpen"},
                               {"evaluatedAt", "2026-12-01T09:00:00Z"}}}}});
  json spec = {{"sites", {"phoenix"}},
               {"severity", "Severity1"},
               {"summary", "s"},
               {"owner", "bo"},
               {"state", "Open"}};
  const Answer open = IncidentStatus(*Object("Incident", "inc", spec), world, kNow).value();
  EXPECT_EQ((*open.status)["holds"][0], "phoenix-7-walk");
  EXPECT_EQ(Reason(open), "Open");
  spec["state"] = "Closed";
  EXPECT_EQ(Truth(IncidentStatus(*Object("Incident", "inc", spec), world, kNow).value()), "True");
}

}  // namespace
}  // namespace sluice::governance
