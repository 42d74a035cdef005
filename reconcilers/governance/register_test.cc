// What leads to a look at what people decided: over an API in memory, and by the wiring alone.
#include "reconcilers/governance/register.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "controller/testing/fake_api.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/wiring_for_test.h"

namespace sluice::governance {
namespace {

using common::Wiring;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr const char* kLater = "2099-01-01T00:00:00Z";

class GovernanceRegisterTest : public ::testing::Test {
 protected:
  GovernanceRegisterTest() {
    runtime::Options options;
    options.name = "test";
    options.metrics_address = options.health_address = "";
    manager_ = runtime::Manager::New(options, api_, clock_);
    Register(*manager_, {manager_->fenced_client(), clock_});
    runner_ = std::thread([this] { EXPECT_TRUE(manager_->Run(stop_.get_token()).ok()); });
  }
  ~GovernanceRegisterTest() override {
    stop_.request_stop();
    runner_.join();
  }

  void PutPlan(const std::string& name, const char* user) {
    api_.Put(
        common::kStagePlans,
        {{"metadata", {{"name", name}}},
         {"spec", {{"waiverRoles", {{{"role", "Decide"}, {"users", {user}}, {"quorum", 1}}}}}}});
  }
  void PutClass(const char* plan) {
    api_.Put(common::kSiteClasses,
             {{"metadata", {{"name", "class"}}}, {"spec", {{"stagePlanRef", {{"name", plan}}}}}});
  }
  void PutSite(const Json& labels) {
    api_.Put(common::kSites, {{"metadata", {{"name", "phoenix"}, {"labels", labels}}},
                              {"spec", {{"classRef", {{"name", "class"}}}}}});
  }
  // An Exemption of sites in the west, and the Decision about it.
  std::string Ask() {
    const auto exemption =
        api_.Put(common::kExemptions, {{"metadata", {{"name", "deal"}}},
                                       {"spec",
                                        {{"sites", {{"matchLabels", {{"region", "west"}}}}},
                                         {"gates", {"availability"}},
                                         {"requestedBy", "ana"},
                                         {"decisionRef", {{"name", "deal"}}},
                                         {"expiresAt", kLater}}}});
    return Decide("deal", std::string(exemption->uid()));
  }
  std::string Decide(const char* name, const std::string& exemption_uid) {
    const auto decision = api_.Put(common::kDecisions, {{"metadata", {{"name", name}}},
                                                        {"spec",
                                                         {{"question", "Waive?"},
                                                          {"requestedBy", "ana"},
                                                          {"expiresAt", kLater},
                                                          {"subject",
                                                           {{"kind", "Exemption"},
                                                            {"name", "deal"},
                                                            {"uid", exemption_uid},
                                                            {"generation", 1}}}}}});
    return std::string(decision->uid());
  }
  void Vote(const char* user, const char* decision, const std::string& decision_uid) {
    const Json exemption = api_.Look(common::kExemptions, {"", "deal"});
    api_.Put(common::kApprovals,
             {{"metadata", {{"name", std::string(decision) + "-" + user}}},
              {"spec",
               {{"decisionRef", {{"name", decision}, {"uid", decision_uid}}},
                {"subject", {{"uid", exemption["metadata"]["uid"]}, {"generation", 1}}},
                {"role", "Decide"},
                {"verdict", "Agree"},
                {"approver", {{"user", user}}},
                {"expiresAt", kLater}}}});
  }
  std::string Told(const meta::Resource& resource, const char* name) const {
    return api_.Look(resource, {"", name}).value("status", Json()).dump();
  }
  // Well below the hour after which everything is looked at again.
  ::testing::AssertionResult Says(const meta::Resource& resource, const char* name,
                                  const std::string& words) {
    const auto said = [&] { return Told(resource, name).find(words) != std::string::npos; };
    if (testing_kit::WaitUntil(said, std::chrono::seconds(10)))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << name << " says " << Told(resource, name);
  }

  base::RealClock clock_;
  testing_kit::FakeApi api_{clock_};
  std::unique_ptr<runtime::Manager> manager_;
  std::stop_source stop_;
  std::thread runner_;
};

TEST_F(GovernanceRegisterTest, AnExemptionIsLookedAtWhenItsSiteItsClassAndItsPlanComeLater) {
  const std::string nobody = "waiverRoles name nobody";
  Ask();
  ASSERT_TRUE(Says(common::kExemptions, "deal", nobody));
  PutPlan("plan", "bo");
  PutClass("plan");
  PutSite({{"region", "west"}});
  EXPECT_TRUE(Says(common::kExemptions, "deal", "0 of 1 (bo)"));
  EXPECT_TRUE(Says(common::kDecisions, "deal", "0 of 1 (bo)"));
  PutPlan("other", "eve");
  PutClass("other");
  EXPECT_TRUE(Says(common::kExemptions, "deal", "0 of 1 (eve)"));
  EXPECT_TRUE(Says(common::kDecisions, "deal", "0 of 1 (eve)"));
  PutSite({{"region", "east"}});  // labels raise no generation
  EXPECT_TRUE(Says(common::kExemptions, "deal", nobody));
  EXPECT_TRUE(Says(common::kDecisions, "deal", "names nobody"));
}

TEST_F(GovernanceRegisterTest, ADecisionIsLookedAtWhenAnotherOfItsSubjectGoes) {
  PutPlan("plan", "bo");
  PutClass("plan");
  PutSite({{"region", "west"}});
  Ask();
  const Json exemption = api_.Look(common::kExemptions, {"", "deal"});
  const std::string second = Decide("second", exemption["metadata"]["uid"]);
  Vote("bo", "second", second);
  ASSERT_TRUE(Says(common::kDecisions, "deal", R"("outcome":"Approved")"));
  ASSERT_TRUE(api_.Delete(common::kDecisions, {"", "second"}).ok());
  EXPECT_TRUE(Says(common::kDecisions, "deal", R"("outcome":"Pending")"));
}

TEST_F(GovernanceRegisterTest, AnApprovalNeedsNoWriteOfItsDecisionsStatusToBeLookedAt) {
  PutPlan("plan", "eve");
  PutClass("plan");
  PutSite({{"region", "west"}});
  const std::string decision = Ask();
  Vote("bo", "deal", decision);
  ASSERT_TRUE(Says(common::kApprovals, "deal-bo", "does not speak in the role"));
  api_.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb != "apply-status" || call.resource != "decisions.sluice.dev") return std::nullopt;
    return base::Unavailable("the connection is gone");
  });
  PutPlan("plan", "bo");
  EXPECT_TRUE(Says(common::kApprovals, "deal-bo", "the vote counts"));
}

class GovernanceWiringTest : public ::testing::Test {
 protected:
  GovernanceWiringTest() {
    Register(wiring_, {api_, clock_});
    for (const meta::Resource& resource :
         {common::kReadinessReviews, common::kFreezeWindows, common::kExemptions,
          common::kDecisions, common::kApprovals, common::kIncidents}) {
      wiring_.Put(resource, {{"metadata", {{"name", "there"}}}});
    }
  }
  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Wiring wiring_{api_, clock_};
};

TEST_F(GovernanceWiringTest, WhatIsMadeAnewUnderItsNameIsLookedAt) {
  const Json itself = {{"metadata", {{"name", "itself"}}}};
  const std::pair<const char*, meta::Resource> own[] = {
      {"readinessreview", common::kReadinessReviews},
      {"freezewindow", common::kFreezeWindows},
      {"exemption", common::kExemptions},
      {"decision", common::kDecisions},
      {"approval", common::kApprovals},
      {"incident", common::kIncidents}};
  for (const auto& [controller, resource] : own) {
    EXPECT_EQ(wiring_.Looks(controller, resource, Wiring::MadeAnew(itself)).count("itself"), 1U)
        << controller;
  }
  const std::pair<const char*, std::vector<meta::Resource>> read[] = {
      {"exemption",
       {common::kDecisions, common::kApprovals, common::kSites, common::kSiteClasses,
        common::kStagePlans, common::kPromotions}},
      {"decision",
       {common::kApprovals, common::kExemptions, common::kSites, common::kSiteClasses,
        common::kStagePlans, common::kPromotions, common::kRollouts}},
      {"approval",
       {common::kDecisions, common::kExemptions, common::kSites, common::kSiteClasses,
        common::kStagePlans, common::kPromotions, common::kRollouts}},
      {"incident", {common::kPromotions}}};
  for (const auto& [controller, resources] : read) {
    for (const meta::Resource& resource : resources) {
      EXPECT_THAT(wiring_.Looks(controller, resource, Wiring::MadeAnew(itself)),
                  ElementsAre("there"))
          << controller << " after " << resource.kind;
    }
  }
}

TEST_F(GovernanceWiringTest, AStatusWakesNeitherItselfNorThoseThatReadTheSpec) {
  const cache::Event written = Wiring::Changed({{"metadata", {{"name", "itself"}}}},
                                               {{"status", {{"observedGeneration", 1}}}});
  const std::pair<const char*, std::vector<meta::Resource>> quiet[] = {
      {"readinessreview", {common::kReadinessReviews}},
      {"freezewindow", {common::kFreezeWindows}},
      {"exemption",
       {common::kExemptions, common::kDecisions, common::kApprovals, common::kSites,
        common::kSiteClasses, common::kStagePlans}},
      {"decision",
       {common::kDecisions, common::kApprovals, common::kExemptions, common::kSites,
        common::kSiteClasses, common::kStagePlans, common::kPromotions, common::kRollouts}},
      {"approval",
       {common::kApprovals, common::kExemptions, common::kSites, common::kSiteClasses,
        common::kStagePlans, common::kPromotions, common::kRollouts}},
      {"incident", {common::kIncidents}}};
  for (const auto& [controller, resources] : quiet) {
    for (const meta::Resource& resource : resources) {
      EXPECT_THAT(wiring_.Looks(controller, resource, written), IsEmpty())
          << controller << " after " << resource.kind;
    }
  }
  const cache::Event ended = Wiring::Changed({{"metadata", {{"name", "itself"}}}},
                                             {{"status", {{"outcome", "Promoted"}}}});
  for (const char* controller : {"decision", "approval"}) {
    EXPECT_THAT(wiring_.Looks(controller, common::kPromotions, ended), ElementsAre("there"));
  }
}

}  // namespace
}  // namespace sluice::governance
