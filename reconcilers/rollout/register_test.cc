// What leads to a look at a Rollout.
#include "reconcilers/rollout/register.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "reconcilers/audit/watched_audit_for_test.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/wiring_for_test.h"

namespace sluice::rollout {
namespace {

using common::Wiring;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

class RolloutWiringTest : public ::testing::Test {
 protected:
  RolloutWiringTest() {
    Register(wiring_, {api_, secrets_, audit_, clock_, {}});
    wiring_.Put(common::kRollouts, {{"metadata", {{"name", "open"}}}});
    wiring_.Put(common::kRollouts,
                {{"metadata", {{"name", "over"}}}, {"status", {{"outcome", "Completed"}}}});
  }
  std::set<std::string> Looks(const meta::Resource& resource, const cache::Event& event) {
    return wiring_.Looks("rollout", resource, event);
  }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Wiring wiring_{api_, clock_};
  common::SecretReader secrets_{api_, wiring_.StoreOf(common::kSecrets), "sluice-system", clock_};
  audit::fakes::WatchedAudit audit_{clock_};
};

TEST_F(RolloutWiringTest, WhatIsJudgedByWakesThoseThatAreOpenWhenItIsMadeAnewAndNotByItsStatus) {
  const Json named = {{"metadata", {{"name", "x"}}}};
  for (const meta::Resource& resource :
       {common::kSites, common::kReleases, common::kSiteClasses, common::kStagePlans,
        common::kObjectives, common::kReadinessReviews, common::kDecisions, common::kApprovals,
        common::kExemptions, common::kFreezeWindows, common::kIncidents}) {
    EXPECT_THAT(Looks(resource, Wiring::MadeAnew(named)), ElementsAre("open")) << resource.kind;
    EXPECT_THAT(Looks(resource, Wiring::Changed(named, {{"status", {{"evaluatedAt", "now"}}}})),
                ElementsAre())
        << resource.kind;
  }
}

TEST_F(RolloutWiringTest, OnesOwnStatusWakesNobodyUntilItEnds) {
  const Json rollout = {{"metadata", {{"name", "other"}}}};
  EXPECT_THAT(Looks(common::kRollouts, Wiring::MadeAnew(rollout)),
              UnorderedElementsAre("open", "other"));
  EXPECT_THAT(Looks(common::kRollouts, Wiring::Changed(rollout, {{"status", {{"wave", "one"}}}})),
              ElementsAre());
  EXPECT_THAT(
      Looks(common::kRollouts, Wiring::Changed(rollout, {{"status", {{"outcome", "Aborted"}}}})),
      ElementsAre("open"))
      << "the sites it held are free";
}

}  // namespace
}  // namespace sluice::rollout
