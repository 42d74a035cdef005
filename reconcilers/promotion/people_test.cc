// The climb held by people: every gate whose evidence is an object, freezes and exemptions, through
// the whole reconciler over an API in memory; and that nothing of it changes what needs none of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/cache/memory_store.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/audit/appender.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/promotion/reconciler.h"

namespace sluice::promotion {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

class NoEvents final : public recorder::Recorder {
 public:
  void Record(const recorder::Reference&, recorder::Type, std::string_view, std::string_view,
              std::string_view) override {}
};

// Takes everything and remembers it.
class Remembering final : public audit::Appender {
 public:
  base::Status Append(const std::vector<audit::Entry>& entries, audit::Anchor anchor) override {
    for (const audit::Entry& entry : entries) {
      types.push_back(entry.type + (anchor == audit::Anchor::kNow ? " now" : ""));
      if (entry.type != audit::kVerdict) data.push_back(entry.data);
    }
    return base::OkStatus();
  }
  base::Status Ready() override { return base::OkStatus(); }
  std::string HeadHash() const override { return {}; }

  std::vector<std::string> types;
  std::vector<std::string> data;
};

class PeopleTest : public ::testing::Test {
 protected:
  PeopleTest() {
    promotions_.AddIndex(kPromotionsBySite, [](const meta::Object& p) {
      return std::vector<std::string>{p.ToJson()["spec"]["siteRef"].value("name", "")};
    });
    api_.Put(common::kSiteClasses,
             {{"metadata", {{"name", "class"}}}, {"spec", {{"stagePlanRef", {{"name", "plan"}}}}}});
    Want("Crawl");
  }

  void Plan(const json& gates) {
    api_.Put(
        common::kStagePlans,
        {{"metadata", {{"name", "plan"}}},
         {"spec",
          {{"stages", {{{"name", "Crawl"}, {"tenancy", "ProviderTenant"}, {"entryGates", gates}}}},
           {"waiverRoles", {{{"role", "Decide"}, {"users", {"bo"}}, {"quorum", 1}}}}}}});
  }
  void Want(const std::string& stage) {
    api_.Put(
        common::kSites,
        {{"metadata", {{"name", "phoenix"}}},
         {"spec", {{"classRef", {{"name", "class"}}}, {"stage", stage}, {"requestedBy", "ana"}}},
         {"status", {{"agents", {{"ready", 1}, {"wanted", 1}}}}}});
  }
  std::string In(base::Duration by) {
    return base::FormatRfc3339(clock_.Wall() +
                               std::chrono::duration_cast<base::WallTime::duration>(by));
  }

  void Fill(cache::MemoryStore& store) {
    const auto list = api_.List(store.resource(), {});
    ASSERT_TRUE(list.ok()) << list.status().ToString();
    store.BeginState();
    for (const meta::ObjectPtr& object : list->items) store.Put(object);
    store.EndState(list->resource_version);
  }
  void Settle() {
    for (int i = 0; i < 6; ++i) {
      for (auto* store : {&sites_, &classes_, &plans_, &promotions_, &objectives_, &reviews_,
                          &decisions_, &approvals_, &exemptions_, &freezes_, &incidents_}) {
        Fill(*store);
      }
      reconciler_.Reconcile({{"", "phoenix"}}, {});
    }
  }
  json Site() { return api_.Look(common::kSites, {"", "phoenix"}); }
  std::string Stage() { return Site().value(json::json_pointer("/status/stage"), ""); }
  std::string Cause() { return Site().value(json::json_pointer("/status/blockedBy/0/cause"), ""); }
  json Promotion() { return api_.Look(common::kPromotions, {"", "phoenix-1-crawl"}); }
  json Subject() {
    const json promotion = Promotion();
    return {{"kind", "Site"},
            {"name", "phoenix"},
            {"uid", promotion["spec"]["siteRef"]["uid"]},
            {"generation", promotion["spec"]["generation"]},
            {"stage", "Crawl"},
            {"planHash", promotion["spec"]["plan"]["hash"]}};
  }
  void Decide(const std::string& name, const json& subject,
              const std::string& of_class = "Ordinary") {
    api_.Put(common::kDecisions, {{"metadata", {{"name", name}}},
                                  {"spec",
                                   {{"question", "?"},
                                    {"subject", subject},
                                    {"requestedBy", "ana"},
                                    {"changeClass", of_class},
                                    {"expiresAt", In(hours(24))}}}});
  }
  void Vote(const std::string& decision, const std::string& user, const std::string& verdict) {
    const json about = api_.Look(common::kDecisions, {"", decision});
    json seen = {{"uid", about["spec"]["subject"]["uid"]},
                 {"generation", about["spec"]["subject"]["generation"]}};
    if (about["spec"]["subject"].contains("planHash")) {
      seen["planHash"] = about["spec"]["subject"]["planHash"];
    }
    api_.Put(common::kApprovals,
             {{"metadata", {{"name", decision + "-" + user + "-" + verdict}}},
              {"spec",
               {{"decisionRef", {{"name", decision}, {"uid", about["metadata"]["uid"]}}},
                {"subject", seen},
                {"role", "Decide"},
                {"verdict", verdict},
                {"approver", {{"user", user}}},
                {"expiresAt", In(hours(12))}}}});
  }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  cache::MemoryStore sites_{common::kSites, clock_}, classes_{common::kSiteClasses, clock_},
      plans_{common::kStagePlans, clock_}, promotions_{common::kPromotions, clock_},
      objectives_{common::kObjectives, clock_}, secret_store_{common::kSecrets, clock_},
      reviews_{common::kReadinessReviews, clock_}, decisions_{common::kDecisions, clock_},
      approvals_{common::kApprovals, clock_}, exemptions_{common::kExemptions, clock_},
      freezes_{common::kFreezeWindows, clock_}, incidents_{common::kIncidents, clock_};
  common::SecretReader secrets_{api_, secret_store_, "sluice-system", clock_};
  NoEvents events_;
  Remembering audit_;
  base::metrics::Registry registry_;
  PromotionReconciler reconciler_{
      Stores{sites_,
             classes_,
             plans_,
             promotions_,
             objectives_,
             {&reviews_, &decisions_, &approvals_, &exemptions_, &freezes_, &incidents_}},
      api_,
      secrets_,
      audit_,
      events_,
      registry_,
      clock_};
};

TEST_F(PeopleTest, AnApprovalGateWaitsForTheVoiceOfWhoMaySpeak) {
  Plan({{{"name", "go"},
         {"approval",
          {{"roles", {{{"role", "Decide"}, {"users", {"bo", "ana"}}, {"quorum", 1}}}}}}}});
  Settle();
  EXPECT_EQ(Cause(), "AwaitingApproval");
  EXPECT_THAT(Site()["status"]["blockedBy"][0].value("unblockedBy", ""), HasSubstr("bo"));
  Decide("go", Subject());
  Vote("go", "ana", "Agree");
  Settle();
  EXPECT_EQ(Cause(), "AwaitingApproval") << "whoever asked for the step has no voice";
  Vote("go", "bo", "Disagree");
  Settle();
  EXPECT_EQ(Cause(), "Refused");
  clock_.Advance(seconds(1));
  Vote("go", "bo", "Agree");
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  EXPECT_THAT(audit_.types, ::testing::Contains("VotesCounted now"));
  EXPECT_THAT(audit_.data, ::testing::Contains(AllOf(
                               HasSubstr(R"("user":"bo","role":"Decide","verdict":"Disagree")"),
                               HasSubstr(R"("user":"ana","role":"Decide","verdict":"Agree",)"
                                         R"("notCounted")"))));
}

TEST_F(PeopleTest, AnApprovalOfAnOlderGenerationIsOutdated) {
  Plan({{{"name", "go"},
         {"approval", {{"roles", {{{"role", "Decide"}, {"users", {"bo"}}, {"quorum", 1}}}}}}}});
  Settle();
  json older = Subject();
  older["planHash"] = "00000000";
  Decide("go", older);
  Vote("go", "bo", "Agree");
  Settle();
  EXPECT_EQ(Cause(), "ApprovalOutdated");
  EXPECT_EQ(Stage(), "");
}

TEST_F(PeopleTest, AReadinessGateWaitsForVerifiedItems) {
  Plan({{{"name", "ready"}, {"readiness", {{"items", {"docs"}}}}}});
  Settle();
  EXPECT_EQ(Cause(), "ReadinessMissing");
  api_.Put(common::kReadinessReviews, {{"metadata", {{"name", "phoenix-crawl"}}},
                                       {"spec",
                                        {{"siteRef", {{"name", "phoenix"}}},
                                         {"stage", "Crawl"},
                                         {"items",
                                          {{{"name", "docs"},
                                            {"owner", "ana"},
                                            {"evidence", "https://x"},
                                            {"verifiedBy", "bo"},
                                            {"verifiedAt", In(-hours(1))},
                                            {"validFor", "1d"}}}}}}});
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
}

TEST_F(PeopleTest, AnIncidentHoldsUntilItIsClosed) {
  Plan({{{"name", "quiet"}, {"incident", {{"atOrAbove", "Severity2"}}}}});
  json incident = {{"metadata", {{"name", "inc"}}},
                   {"spec",
                    {{"sites", {"phoenix"}},
                     {"severity", "Severity1"},
                     {"summary", "s"},
                     {"owner", "bo"},
                     {"state", "Open"}}}};
  api_.Put(common::kIncidents, incident);
  Settle();
  EXPECT_EQ(Cause(), "IncidentOpen");
  incident["spec"]["state"] = "Closed";
  api_.Put(common::kIncidents, incident);
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
}

TEST_F(PeopleTest, CapacityIsWhatTheSitesStatusCounts) {
  Plan({{{"name", "room"}, {"capacity", {{"minReadyAgents", 2}}}}});
  Settle();
  EXPECT_EQ(Cause(), "WaitingForCapacity");
}

TEST_F(PeopleTest, AFreezeHoldsStepsUpAndDownUntilItReopens) {
  Plan({{{"name", "room"}, {"capacity", {{"minReadyAgents", 1}}}}});
  const json window = {
      {"metadata", {{"name", "year-end"}}},
      {"spec",
       {{"reason", "Year's end."}, {"once", {{"from", In(-hours(1))}, {"to", In(hours(2))}}}}}};
  api_.Put(common::kFreezeWindows, window);
  Settle();
  EXPECT_EQ(Cause(), "Frozen");
  EXPECT_EQ(Site()["status"]["blockedBy"][0].value("unblockedBy", ""), "time: " + In(hours(2)));
  clock_.Advance(hours(2));
  Settle();
  EXPECT_EQ(Stage(), "Crawl") << "open again at the last instant";
}

TEST_F(PeopleTest, AClassOfChangeWithItsOwnDecisionPassesAWindowThatExceptsIt) {
  Plan({{{"name", "room"}, {"capacity", {{"minReadyAgents", 1}}}}});
  api_.Put(common::kFreezeWindows, {{"metadata", {{"name", "year-end"}}},
                                    {"spec",
                                     {{"reason", "Year's end."},
                                      {"exceptions", {"Security"}},
                                      {"once", {{"from", In(-hours(1))}, {"to", In(hours(2))}}}}}});
  Settle();
  Decide("fix", Subject(), "Security");
  Settle();
  EXPECT_EQ(Cause(), "Frozen") << "asked is not answered";
  Vote("fix", "bo", "Agree");
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
}

TEST_F(PeopleTest, AnExemptionCountsWithItsDecisionAndShowsWhatItHides) {
  Plan({{{"name", "room"}, {"capacity", {{"minReadyAgents", 1}}}}});
  api_.Put(
      common::kFreezeWindows,
      {{"metadata", {{"name", "year-end"}}},
       {"spec",
        {{"reason", "Year's end."}, {"once", {{"from", In(-hours(1))}, {"to", In(hours(2))}}}}}});
  api_.Put(common::kExemptions,
           {{"metadata", {{"name", "deal"}, {"creationTimestamp", In(hours(0))}}},
            {"spec",
             {{"freezes", {"year-end"}},
              {"reason", "Deal."},
              {"ticket", "T-1"},
              {"requestedBy", "ana"},
              {"decisionRef", {{"name", "deal"}}},
              {"expiresAt", In(hours(1))}}}});
  Settle();
  EXPECT_EQ(Cause(), "Frozen");
  const json exemption = api_.Look(common::kExemptions, {"", "deal"});
  Decide("deal", {{"kind", "Exemption"},
                  {"name", "deal"},
                  {"uid", exemption["metadata"]["uid"]},
                  {"generation", exemption["metadata"]["generation"]}});
  Vote("deal", "bo", "Agree");
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  const json gate = Promotion()["status"]["gates"][0];
  EXPECT_EQ(gate["cause"], "Exempted");
  EXPECT_EQ(gate["exemptedBy"], "deal");
  EXPECT_EQ(gate["causes"][1], "Frozen") << "the raw verdict stays visible";
  EXPECT_THAT(audit_.types, ::testing::Contains("ExemptionUsed now"));
  EXPECT_THAT(audit_.data, ::testing::Contains(AllOf(HasSubstr(R"("exemption":"deal")"),
                                                     HasSubstr(R"("hides":"Frozen")"))));
}

TEST_F(PeopleTest, AnExternalGateWithoutAnAllowListIsMisconfigured) {
  Plan({{{"name", "cmdb"}, {"external", {{"url", "http://gates.example.com/$site"}}}}});
  Settle();
  EXPECT_EQ(Cause(), "Misconfigured");
}

}  // namespace
}  // namespace sluice::promotion
