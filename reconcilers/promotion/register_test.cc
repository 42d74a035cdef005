// What leads to a look at a site's ladder.
#include "reconcilers/promotion/register.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "reconcilers/audit/watched_audit_for_test.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/wiring_for_test.h"

namespace sluice::promotion {
namespace {

using common::Wiring;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

const Json kSite = {{"metadata", {{"name", "phoenix"}}},
                    {"spec", {{"classRef", {{"name", "class"}}}}},
                    {"status", {{"stage", "Crawl"}}}};
const Json kDecision = {{"metadata", {{"name", "walk"}}},
                        {"spec", {{"subject", {{"kind", "Site"}, {"name", "phoenix"}}}}}};

class PromotionWiringTest : public ::testing::Test {
 protected:
  PromotionWiringTest() {
    Register(wiring_, {api_, secrets_, audit_, clock_});
    wiring_.Put(common::kSites, kSite);
    wiring_.Put(common::kSites,
                {{"metadata", {{"name", "mesa"}}}, {"spec", {{"classRef", {{"name", "other"}}}}}});
    wiring_.Put(common::kSiteClasses, {{"metadata", {{"name", "class"}}},
                                       {"spec", {{"stagePlanRef", {{"name", "plan"}}}}}});
  }
  std::set<std::string> Looks(const meta::Resource& resource, const cache::Event& event) {
    return wiring_.Looks("promotion", resource, event);
  }
  // An open Promotion of phoenix to a stage that wants three agents.
  void Open(const std::string& outcome = "") {
    Json promotion = {
        {"metadata", {{"name", "phoenix-1-walk"}}},
        {"spec",
         {{"siteRef", {{"name", "phoenix"}, {"uid", "u"}}},
          {"to", "Walk"},
          {"plan",
           {{"stages",
             {{{"name", "Walk"},
               {"entryGates", {{{"name", "room"}, {"capacity", {{"minReadyAgents", 3}}}}}}}}}}}}}};
    if (!outcome.empty()) promotion["status"] = {{"outcome", outcome}};
    wiring_.Put(common::kPromotions, promotion);
  }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Wiring wiring_{api_, clock_};
  common::SecretReader secrets_{api_, wiring_.StoreOf(common::kSecrets), "sluice-system", clock_};
  audit::fakes::WatchedAudit audit_{clock_};
};

TEST_F(PromotionWiringTest, WhatIsMadeAnewUnderItsNameIsLookedAt) {
  EXPECT_THAT(Looks(common::kSites, Wiring::MadeAnew(kSite)), ElementsAre("phoenix"));
  const Json about = {{"siteRef", {{"name", "phoenix"}}}};
  EXPECT_THAT(Looks(common::kPromotions,
                    Wiring::MadeAnew({{"metadata", {{"name", "p"}}}, {"spec", about}})),
              ElementsAre("phoenix"));
  EXPECT_THAT(Looks(common::kReadinessReviews,
                    Wiring::MadeAnew({{"metadata", {{"name", "r"}}}, {"spec", about}})),
              ElementsAre("phoenix"));
  EXPECT_THAT(Looks(common::kObjectives,
                    Wiring::MadeAnew(
                        {{"metadata", {{"name", "o"}}},
                         {"spec", {{"subjectRef", {{"kind", "Site"}, {"name", "phoenix"}}}}}})),
              ElementsAre("phoenix"));
  EXPECT_THAT(Looks(common::kSiteClasses, Wiring::MadeAnew({{"metadata", {{"name", "class"}}}})),
              ElementsAre("phoenix"));
  EXPECT_THAT(Looks(common::kStagePlans, Wiring::MadeAnew({{"metadata", {{"name", "plan"}}}})),
              ElementsAre("phoenix"));
  EXPECT_THAT(Looks(common::kDecisions, Wiring::MadeAnew(kDecision)), ElementsAre("phoenix"));
  EXPECT_THAT(Looks(common::kIncidents, Wiring::MadeAnew({{"metadata", {{"name", "i"}}},
                                                          {"spec", {{"sites", {"mesa"}}}}})),
              ElementsAre("mesa"));
  for (const meta::Resource& resource :
       {common::kFreezeWindows, common::kExemptions, common::kApprovals}) {
    EXPECT_THAT(Looks(resource, Wiring::MadeAnew({{"metadata", {{"name", "x"}}}})),
                UnorderedElementsAre("phoenix", "mesa"))
        << resource.kind;
  }
}

TEST_F(PromotionWiringTest, WhatIsAboutAnotherSiteNowConcernsBoth) {
  cache::Event event = Wiring::MadeAnew(kDecision);
  Json moved = event.after->ToJson();
  moved["spec"]["subject"]["name"] = "mesa";
  event.after = meta::Object::FromJson(moved).value();
  EXPECT_THAT(Looks(common::kDecisions, event), UnorderedElementsAre("phoenix", "mesa"));
}

TEST_F(PromotionWiringTest, ASitesLabelsAndStageMatterAndItsOtherStatusDoesNot) {
  const auto changed = [](const Json& change) { return Wiring::Changed(kSite, change); };
  EXPECT_THAT(Looks(common::kSites, changed({{"metadata", {{"labels", {{"wave", "first"}}}}}})),
              ElementsAre("phoenix"))
      << "freezes and exemptions select by labels";
  EXPECT_THAT(Looks(common::kSites, changed({{"status", {{"stage", "Walk"}}}})),
              ElementsAre("phoenix"));
  EXPECT_THAT(Looks(common::kSites, changed({{"status", {{"revision", "5"}}}})), IsEmpty());
  EXPECT_THAT(Looks(common::kSites, changed({{"status", {{"agents", {{"ready", 3}}}}}})), IsEmpty())
      << "no gate counts them";
}

TEST_F(PromotionWiringTest, ReadyAgentsMatterWhereACapacityGateCountsThem) {
  const auto from = [&](int before, int after) {
    Json site = kSite;
    site["status"]["agents"] = {{"ready", before}};
    return Looks(common::kSites,
                 Wiring::Changed(site, {{"status", {{"agents", {{"ready", after}}}}}}));
  };
  Open();
  EXPECT_THAT(from(2, 3), ElementsAre("phoenix"));
  EXPECT_THAT(from(4, 1), ElementsAre("phoenix"));
  EXPECT_THAT(from(0, 2), IsEmpty()) << "still too few";
  EXPECT_THAT(from(3, 9), IsEmpty()) << "enough before and now";
  Open("Promoted");
  EXPECT_THAT(from(2, 3), IsEmpty()) << "it ended";
}

TEST_F(PromotionWiringTest, AWrittenStatusOfAPromotionWakesNobodyUntilItEnds) {
  const Json promotion = {{"metadata", {{"name", "p"}}},
                          {"spec", {{"siteRef", {{"name", "phoenix"}}}}}};
  EXPECT_THAT(
      Looks(common::kPromotions, Wiring::Changed(promotion, {{"status", {{"auditHead", "h"}}}})),
      IsEmpty());
  EXPECT_THAT(Looks(common::kPromotions,
                    Wiring::Changed(promotion, {{"status", {{"outcome", "Promoted"}}}})),
              ElementsAre("phoenix"));
}

}  // namespace
}  // namespace sluice::promotion
