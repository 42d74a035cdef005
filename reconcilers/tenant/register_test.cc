// What leads to a look at a tenant.
#include "reconcilers/tenant/register.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/tenants.h"
#include "reconcilers/common/wiring_for_test.h"

namespace sluice::tenant {
namespace {

using common::Wiring;
using nlohmann::json;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const json kFalcon = {{"metadata", {{"name", "falcon"}}}, {"spec", {{"sites", {"phoenix"}}}}};
const json kPhoenix = {{"metadata", {{"name", "phoenix"}}}, {"status", {{"stage", "Walk"}}}};

class TenantWiringTest : public ::testing::Test {
 protected:
  TenantWiringTest() {
    wiring_.AddIndex(common::kTenants, common::kTenantsBySite, common::SitesOfTenant);
    Register(wiring_, {api_, secrets_, clock_});
    wiring_.Put(common::kTenants, kFalcon);
    wiring_.Put(common::kTenants,
                {{"metadata", {{"name", "heron"}}}, {"spec", {{"sites", {"phoenix"}}}}});
  }
  std::set<std::string> Looks(const meta::Resource& resource, const cache::Event& event) {
    return wiring_.Looks("tenant", resource, event);
  }
  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Wiring wiring_{api_, clock_};
  common::SecretReader secrets_{api_, wiring_.StoreOf(common::kSecrets), "sluice-system", clock_};
};

TEST_F(TenantWiringTest, WhatIsMadeAnewUnderItsNameIsLookedAt) {
  const auto both = UnorderedElementsAre("falcon", "heron");
  EXPECT_THAT(Looks(common::kTenants, Wiring::MadeAnew(kFalcon)), both);
  EXPECT_THAT(Looks(common::kSites, Wiring::MadeAnew(kPhoenix)), both) << "another class, perhaps";
  for (const meta::Resource& resource : {common::kSiteClasses, common::kStagePlans}) {
    EXPECT_THAT(Looks(resource, Wiring::MadeAnew({{"metadata", {{"name", "x"}}}})), both);
  }
}

TEST_F(TenantWiringTest, AWrittenStatusWakesNobody) {
  const json status = {{"status", {{"observedGeneration", 1}}}};
  EXPECT_THAT(Looks(common::kTenants, Wiring::Changed(kFalcon, status)), IsEmpty());
  EXPECT_THAT(Looks(common::kSites, Wiring::Changed(kPhoenix, status)), IsEmpty());
  EXPECT_THAT(Looks(common::kSites, Wiring::Changed(kPhoenix, {{"status", {{"stage", "Run"}}}})),
              UnorderedElementsAre("falcon", "heron"));
}

}  // namespace
}  // namespace sluice::tenant
