#include "reconcilers/gates/objects/people.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"

namespace sluice::gates {
namespace {

using nlohmann::json;
using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

base::WallTime At(const std::string& text) { return base::ParseRfc3339(text).value(); }
const base::WallTime kNow = At("2026-12-01T10:00:00Z");

meta::ObjectPtr Object(const std::string& kind, const std::string& name, const json& spec,
                       const json& labels = json::object()) {
  return *meta::Object::FromJson({{"apiVersion", "sluice.dev/v1alpha1"},
                                  {"kind", kind},
                                  {"metadata",
                                   {{"name", name},
                                    {"uid", name + "-uid"},
                                    {"generation", 1},
                                    {"labels", labels},
                                    {"creationTimestamp", "2026-11-30T10:00:00Z"}}},
                                  {"spec", spec}});
}

const meta::ObjectPtr kPhoenix = Object("Site", "phoenix", json::object(), {{"tier", "gold"}});

meta::ObjectPtr Exempts(json more = json::object()) {
  json spec = {{"gates", {"availability"}},
               {"reason", "Deal."},
               {"ticket", "T-1"},
               {"requestedBy", "ana"},
               {"decisionRef", {{"name", "deal"}}},
               {"expiresAt", "2026-12-10T10:00:00Z"}};
  spec.update(more);
  return Object("Exemption", "deal", spec);
}

meta::ObjectPtr Decides(json more = json::object()) {
  json spec = {{"question", "Deal?"},
               {"requestedBy", "ana"},
               {"expiresAt", "2026-12-20T10:00:00Z"},
               {"subject",
                {{"kind", "Exemption"}, {"name", "deal"}, {"uid", "deal-uid"}, {"generation", 1}}}};
  spec.update(more);
  return Object("Decision", "deal", spec);
}

meta::ObjectPtr Votes(const std::string& user, const std::string& verdict = "Agree",
                      const std::string& expires = "2026-12-15T10:00:00Z") {
  return Object("Approval", "deal-" + user,
                {{"decisionRef", {{"name", "deal"}, {"uid", "deal-uid"}}},
                 {"subject", {{"uid", "deal-uid"}, {"generation", 1}}},
                 {"role", "Decide"},
                 {"verdict", verdict},
                 {"approver", {{"user", user}}},
                 {"expiresAt", expires}});
}

const std::vector<RoleRule> kRules = {{"Decide", {"bo", "ana"}, {}, 1}};

TEST(Exemptions, CountOnlyWithAnApprovedDecisionAboutThem) {
  PeopleObjects objects;
  EXPECT_EQ(StateOf(*Exempts(), objects, kRules, kNow).reason, "AwaitingApproval");
  objects.decisions = {Decides()};
  EXPECT_THAT(StateOf(*Exempts(), objects, kRules, kNow).message, HasSubstr("lacks Decide"));
  objects.approvals = {Votes("ana")};
  EXPECT_FALSE(StateOf(*Exempts(), objects, kRules, kNow).active) << "no self-approval";
  objects.approvals = {Votes("bo", "Disagree")};
  EXPECT_EQ(StateOf(*Exempts(), objects, kRules, kNow).reason, "Refused");
  objects.approvals = {Votes("bo")};
  const ExemptionState state = StateOf(*Exempts(), objects, kRules, kNow);
  EXPECT_TRUE(state.active) << state.message;
  EXPECT_EQ(state.exemption.expires_at, At("2026-12-10T10:00:00Z"));
  EXPECT_FALSE(StateOf(*Exempts(), objects, {}, kNow).active) << "the plan names nobody";
  EXPECT_EQ(StateOf(*Exempts(), objects, kRules, At("2026-12-10T10:00:00Z")).reason, "Expired");
}

TEST(Exemptions, EndWithTheVoteThatCarriesThemAndAfterNinetyDays) {
  PeopleObjects objects;
  objects.decisions = {Decides({{"expiresAt", "2027-11-01T00:00:00Z"}})};
  objects.approvals = {Votes("bo", "Agree", "2026-12-05T00:00:00Z")};
  EXPECT_EQ(StateOf(*Exempts(), objects, kRules, kNow).exemption.expires_at,
            At("2026-12-05T00:00:00Z"));
  objects.approvals = {Votes("bo", "Agree", "2027-11-01T00:00:00Z")};
  const auto endless = Exempts({{"expiresAt", "2030-01-01T00:00:00Z"}});
  EXPECT_EQ(StateOf(*endless, objects, kRules, kNow).exemption.expires_at,
            At("2026-11-30T10:00:00Z") + hours(24 * 90));
}

TEST(Exemptions, WaiveMoreCausesOnlyWhereTheirDecisionNamesThem) {
  PeopleObjects objects;
  objects.approvals = {Votes("bo")};
  objects.decisions = {Decides()};
  EXPECT_TRUE(StateOf(*Exempts(), objects, kRules, kNow).exemption.also.empty());
  objects.decisions = {Decides({{"alsoCauses", {"NoData"}}})};
  EXPECT_THAT(StateOf(*Exempts(), objects, kRules, kNow).exemption.also,
              ElementsAre(Cause::kNoData));
}

TEST(Exemptions, AreForTheSitesTheySelect) {
  PeopleObjects objects;
  objects.decisions = {Decides()};
  objects.approvals = {Votes("bo")};
  for (const auto& [sites, count] : std::vector<std::pair<json, std::size_t>>{
           {json::object(), 1},
           {{{"names", {"phoenix"}}}, 1},
           {{{"names", {"tucson"}}}, 0},
           {{{"matchLabels", {{"tier", "gold"}}}}, 1},
           {{{"names", {"phoenix"}}, {"matchLabels", {{"tier", "iron"}}}}, 0}}) {
    objects.exemptions = {Exempts({{"sites", sites}})};
    EXPECT_EQ(ExemptionsOf(objects, *kPhoenix, kRules, kNow).size(), count) << sites.dump();
  }
}

TEST(Freezes, AreThoseThatAreClosedNowForTheSite) {
  PeopleObjects objects;
  const json once = {{"from", "2026-12-01T00:00:00Z"}, {"to", "2026-12-02T00:00:00Z"}};
  objects.freezes = {
      Object("FreezeWindow", "here", {{"reason", "Golden run."}, {"once", once}}),
      Object("FreezeWindow", "elsewhere",
             {{"reason", "x"}, {"once", once}, {"sites", {{"names", {"tucson"}}}}}),
      Object("FreezeWindow", "later",
             {{"reason", "x"},
              {"recurring",
               {{"rrule", "FREQ=DAILY"}, {"start", "2026-12-01T22:00:00"}, {"duration", "2h"}}}})};
  auto freezes = FreezesOf(objects, *kPhoenix, kNow);
  ASSERT_EQ(freezes.size(), 1U);
  EXPECT_EQ(freezes[0].name, "here");
  EXPECT_EQ(freezes[0].reopens_at, At("2026-12-02T00:00:00Z"));
  EXPECT_EQ(FreezesOf(objects, *kPhoenix, At("2026-12-01T22:00:00Z")).size(), 2U);
}

TEST(Freezes, AGoldenRunHoldsEverythingButTheReleasesItNames) {
  PeopleObjects objects;
  objects.freezes = {
      Object("FreezeWindow", "golden",
             {{"reason", "x"},
              {"once", {{"from", "2026-01-01T00:00:00Z"}, {"to", "2027-01-01T00:00:00Z"}}},
              {"allowReleases", {"agent-2"}}})};
  EXPECT_TRUE(FreezesOf(objects, *kPhoenix, kNow, "agent-2").empty());
  EXPECT_EQ(FreezesOf(objects, *kPhoenix, kNow, "agent-3").size(), 1U);
  EXPECT_EQ(FreezesOf(objects, *kPhoenix, kNow).size(), 1U) << "a stage is no release";
}

TEST(Freezes, OneThatCannotBeReadHolds) {
  PeopleObjects objects;
  objects.freezes = {Object("FreezeWindow", "broken",
                            {{"reason", "x"},
                             {"recurring",
                              {{"rrule", "FREQ=DAILY"},
                               {"start", "2026-12-01T22:00:00"},
                               {"duration", "2h"},
                               {"timeZone", "Mars/Base"}}}})};
  const auto freezes = FreezesOf(objects, *kPhoenix, kNow);
  ASSERT_EQ(freezes.size(), 1U);
  EXPECT_THAT(freezes[0].problem, HasSubstr("Mars/Base"));
}

TEST(Incidents, AreTheOpenOnesOfTheSiteTheWorstFirst) {
  PeopleObjects objects;
  const auto incident = [](const std::string& name, const std::string& severity,
                           const std::string& state, const std::string& site = "phoenix") {
    return Object("Incident", name,
                  {{"sites", {site}},
                   {"severity", severity},
                   {"state", state},
                   {"summary", "s"},
                   {"owner", "o"}});
  };
  objects.incidents = {
      incident("mild", "Severity3", "Open"), incident("bad", "Severity1", "Mitigated"),
      incident("over", "Severity1", "Closed"), incident("far", "Severity1", "Open", "tucson")};
  const IncidentList list = IncidentsOf(objects, "phoenix");
  ASSERT_EQ(list.open.size(), 2U);
  EXPECT_EQ(list.open[0].name, "bad");
  EXPECT_EQ(list.open[0].severity, 1);
}

TEST(Readiness, IsTheReviewNamedAfterSiteAndStage) {
  PeopleObjects objects;
  objects.reviews = {Object("ReadinessReview", "phoenix-walk",
                            {{"siteRef", {{"name", "phoenix"}}},
                             {"stage", "Walk"},
                             {"items",
                              {{{"name", "docs"},
                                {"owner", "ana"},
                                {"validFor", "2d"},
                                {"verifiedBy", "bo"},
                                {"evidence", "https://x"},
                                {"verifiedAt", "2026-11-30T10:00:00Z"}}}}})};
  EXPECT_FALSE(ReadinessOf(objects, "phoenix", "Run").found);
  const ReadinessFacts facts = ReadinessOf(objects, "phoenix", "Walk");
  ASSERT_TRUE(facts.found);
  EXPECT_EQ(facts.items.at(0).valid_for, hours(48));
  EXPECT_EQ(facts.items.at(0).verified_at, At("2026-11-30T10:00:00Z"));
}

}  // namespace
}  // namespace sluice::gates
