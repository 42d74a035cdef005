#include "controller/cmd/kubectl_sluice/agenda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/cmd/kubectl_sluice/ask.h"
#include "controller/cmd/kubectl_sluice/options.h"
#include "controller/testing/status_matchers.h"

namespace sluice::kubectl {
namespace {

using nlohmann::json;
using std::chrono::hours;
using ::testing::HasSubstr;
using testing_kit::HasError;

const base::WallTime kNow = base::ParseRfc3339("2026-12-01T10:00:00Z").value();

meta::ObjectPtr Object(const std::string& kind, const std::string& name, const json& spec,
                       const json& status = json::object()) {
  return *meta::Object::FromJson({{"apiVersion", "sluice.dev/v1alpha1"},
                                  {"kind", kind},
                                  {"metadata", {{"name", name}, {"uid", name + "-uid"}}},
                                  {"spec", spec},
                                  {"status", status}});
}

std::vector<PlannedMeeting> Usual() { return ReadCalendar(DefaultCalendar()).value(); }

TEST(Agenda, AQuietWeekHasMeetingsWithNothingToDecide) {
  EXPECT_EQ(RenderAgenda(BuildAgenda({}, Usual(), std::nullopt, kNow), kNow),
            "weekly triage, in 6 d (2026-12-07T10:00:00Z): nothing\n"
            "design review, now: nothing\n"
            "release readiness, in 1 d (2026-12-02T10:00:00Z): nothing\n"
            "decision council, in 2 d (2026-12-03T10:00:00Z): nothing\n"
            "monthly review, in 3 d (2026-12-04T10:00:00Z): nothing\n"
            "quarterly review, in 38 d (2027-01-08T10:00:00Z): nothing\n");
}

TEST(Agenda, EachMeetingHasWhatItMustDecide) {
  AgendaObjects objects;
  objects.people.incidents = {
      Object("Incident", "inc-7",
             {{"severity", "Severity1"},
              {"state", "Open"},
              {"summary", "Reads fail."},
              {"owner", "bo"}}),
      Object(
          "Incident", "inc-6",
          {{"severity", "Severity1"}, {"state", "Closed"}, {"summary", "Over."}, {"owner", "bo"}})};
  objects.objectives = {
      Object("ServiceLevelObjective", "phoenix-read-availability",
             {{"budgetPolicy", {{"cautionBelow", "0.25"}}}}, {{"budgetRemaining", "0.2"}}),
      Object("ServiceLevelObjective", "phoenix-read-latency",
             {{"budgetPolicy", {{"cautionBelow", "0.25"}}}}, {{"budgetRemaining", "0.9"}})};
  objects.people.reviews = {
      Object("ReadinessReview", "phoenix-walk",
             {{"siteRef", {{"name", "phoenix"}}},
              {"stage", "Walk"},
              {"items",
               {{{"name", "docs"},
                 {"owner", "ana"},
                 {"evidence", "https://x"},
                 {"verifiedBy", "bo"},
                 {"verifiedAt", "2026-11-30T10:00:00Z"},
                 {"validFor", "2d"}},
                {{"name", "drill"}, {"owner", "cleo"}, {"validFor", "2d"}}}}})};
  objects.people.decisions = {
      Object("Decision", "walk",
             {{"question", "May phoenix enter Walk?"}, {"expiresAt", "2026-12-03T10:00:00Z"}},
             {{"outcome", "Pending"}, {"missing", {"Decide: 0 of 1 (group council)"}}})};
  objects.people.exemptions = {
      Object("Exemption", "deal", {{"expiresAt", "2026-12-02T10:00:00Z"}, {"requestedBy", "ana"}},
             {{"hides", {"phoenix-7-walk/availability: GateFailed"}},
              {"conditions", {{{"type", "Active"}, {"status", "True"}}}}})};
  objects.people.freezes = {
      Object("FreezeWindow", "year-end",
             {{"reason", "Year's end."},
              {"once", {{"from", "2026-12-10T00:00:00Z"}, {"to", "2027-01-04T00:00:00Z"}}}})};
  objects.promotions = {Object("Promotion", "phoenix-7-walk",
                               {{"to", "Walk"}, {"requestedBy", "ana"}},
                               {{"blockedBy", {{{"gate", "soak"}, {"cause", "Soaking"}}}}})};
  const std::string text = RenderAgenda(BuildAgenda(objects, Usual(), std::nullopt, kNow), kNow);
  EXPECT_EQ(text,
            "weekly triage, in 6 d (2026-12-07T10:00:00Z)\n"
            "  incident/inc-7  Severity1, Open: Reads fail.  (bo)\n"
            "  slo/phoenix-read-availability  budget in caution: 20 % left, caution below 25 %\n"
            "design review, now\n"
            "  promotion/phoenix-7-walk  to Walk: held by soak (Soaking)  (ana)\n"
            "release readiness, in 1 d (2026-12-02T10:00:00Z)\n"
            "  readinessreview/phoenix-walk  drill is missing: not verified  (cleo)\n"
            "  readinessreview/phoenix-walk  docs goes stale  in 1 d  (ana)\n"
            "decision council, in 2 d (2026-12-03T10:00:00Z)\n"
            "  exemption/deal  ends, and hides phoenix-7-walk/availability: GateFailed  in 1 d  "
            "(ana)\n"
            "  decision/walk  May phoenix enter Walk?  in 2 d  (Decide: 0 of 1 (group council))\n"
            "  freezewindow/year-end  closes: Year's end.  in 8 d 14 h\n"
            "monthly review, in 3 d (2026-12-04T10:00:00Z)\n"
            "  slo/phoenix-read-availability  budget left: 20 %\n"
            "  slo/phoenix-read-latency  budget left: 90 %\n"
            "  exemption/deal  ends, and hides phoenix-7-walk/availability: GateFailed  in 1 d  "
            "(ana)\n"
            "quarterly review, in 38 d (2027-01-08T10:00:00Z)\n"
            "  slo/phoenix-read-availability  budget left: 20 %\n"
            "  slo/phoenix-read-latency  budget left: 90 %\n"
            "  readinessreview/phoenix-walk  drill is missing: not verified  (cleo)\n"
            "  readinessreview/phoenix-walk  docs goes stale  in 1 d  (ana)\n"
            "  freezewindow/year-end  closes: Year's end.  in 8 d 14 h\n");
  const json as_json = json::parse(AgendaJson(BuildAgenda(objects, Usual(), std::nullopt, kNow)));
  EXPECT_EQ(as_json[3]["items"].size(), 3U);
  EXPECT_EQ(as_json[3]["next"], "2026-12-03T10:00:00Z");
  EXPECT_EQ(as_json[1]["now"], true);
  // A shorter look ahead has less on it.
  EXPECT_EQ(BuildAgenda(objects, Usual(), hours(1), kNow)[2].items.size(), 1U);
}

TEST(Ask, ADecisionIsFilledInFromTheOpenPromotion) {
  const std::vector<meta::ObjectPtr> promotions = {
      Object("Promotion", "phoenix-6-walk", {{"siteRef", {{"name", "phoenix"}, {"uid", "u1"}}}},
             {{"outcome", "Superseded"}}),
      Object("Promotion", "phoenix-7-walk",
             {{"siteRef", {{"name", "phoenix"}, {"uid", "u1"}}},
              {"generation", 7},
              {"to", "Walk"},
              {"plan", {{"hash", "9f2c0b6d"}}}})};
  const json decision = json::parse(
      DecisionManifest("phoenix", promotions, "ana@example.com", hours(24), kNow).value());
  EXPECT_EQ(decision["spec"]["subject"], (json{{"kind", "Site"},
                                               {"name", "phoenix"},
                                               {"uid", "u1"},
                                               {"generation", 7},
                                               {"stage", "Walk"},
                                               {"planHash", "9f2c0b6d"}}));
  EXPECT_EQ(decision["spec"]["requestedBy"], "ana@example.com");
  EXPECT_EQ(decision["spec"]["expiresAt"], "2026-12-02T10:00:00Z");
  EXPECT_THAT(DecisionManifest("tucson", promotions, "ana", hours(24), kNow),
              HasError(base::Code::kFailedPrecondition, HasSubstr("no open promotion")));
}

TEST(Ask, AVoteSawWhatItsDecisionIsAbout) {
  const auto decision =
      Object("Decision", "walk",
             {{"subject", {{"uid", "u1"}, {"generation", 7}, {"planHash", "9f2c"}}},
              {"expiresAt", "2026-12-05T10:00:00Z"}});
  const json vote = json::parse(
      ApprovalManifest(*decision, "bo@example.com", {"Agree", false, {"legal"}, "Not yet."}));
  EXPECT_EQ(vote["spec"]["decisionRef"], (json{{"name", "walk"}, {"uid", "walk-uid"}}));
  EXPECT_EQ(vote["spec"]["subject"],
            (json{{"uid", "u1"}, {"generation", 7}, {"planHash", "9f2c"}}));
  EXPECT_EQ(vote["spec"]["approver"], (json{{"user", "bo@example.com"}, {"groups", {"legal"}}}));
  EXPECT_EQ(vote["spec"]["verdict"], "Disagree");
  EXPECT_EQ(vote["spec"]["role"], "Agree");
}

TEST(Options, OfAgendaProposeAndVote) {
  EXPECT_EQ(ParseOptions({"agenda", "--within", "3d"})->within, hours(72));
  EXPECT_EQ(ParseOptions({"propose", "site/phoenix"})->site, "phoenix");
  const auto vote = ParseOptions(
      {"vote", "decision/walk", "--disagree", "--role", "Agree", "--group", "a", "--group=b"});
  ASSERT_TRUE(vote.ok());
  EXPECT_TRUE(vote->disagree);
  EXPECT_THAT(vote->groups, ::testing::ElementsAre("a", "b"));
  EXPECT_THAT(ParseOptions({"vote", "decision/walk", "--role", "King"}),
              HasError(base::Code::kInvalidArgument, HasSubstr("\"King\" is none of")));
  EXPECT_THAT(
      ParseOptions({"vote", "site/x"}),
      HasError(base::Code::kInvalidArgument, HasSubstr("kubectl sluice vote decision/NAME")));
}

}  // namespace
}  // namespace sluice::kubectl
