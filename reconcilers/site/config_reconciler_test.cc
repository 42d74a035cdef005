// What is published of a tenant whose Secret cannot be used, by a controller that remembers its
// keys and by one that was started since.
#include "reconcilers/site/config_reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/digest.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/agents/testing.h"
#include "reconcilers/site/testing.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::IsOk;

constexpr const char* kNs = "sluice-system";

class ConfigReconcilerTest : public ::testing::Test {
 protected:
  ConfigReconcilerTest() {
    api_.Put(
        common::kStagePlans,
        {{"metadata", {{"name", "plan"}}},
         {"spec", {{"stages", json::array({{{"name", "Crawl"}, {"tenancy", "SingleTenant"}}})}}}});
    api_.Put(common::kSiteClasses,
             {{"metadata", {{"name", "class"}}},
              {"spec", {{"agent", {{"memory", "64Mi"}}}, {"stagePlanRef", {{"name", "plan"}}}}}});
    api_.Put(common::kSites, {{"metadata", {{"name", "phoenix"}}},
                              {"spec", {{"classRef", {{"name", "class"}}}}},
                              {"status", {{"stage", "Crawl"}}}});
    PutTenant(false);
    PutSecret({{"AWS_ACCESS_KEY_ID", base::Base64Encode("FALCON")},
               {"AWS_SECRET_ACCESS_KEY", base::Base64Encode("hush")}});
    Restart();
  }
  // `in_force`: what the tenant's reconciler wrote into its status.
  void PutTenant(bool in_force) {
    json tenant = {
        {"metadata", {{"name", "falcon"}}},
        {"spec", {{"sites", {"phoenix"}}, {"credentialsRef", {{"name", "falcon-keys"}}}}}};
    if (in_force) {
      const json condition = {
          {"type", "KeysInForce"}, {"status", "True"}, {"reason", "FromSecret"}};
      tenant["status"]["sites"] =
          json::array({{{"name", "phoenix"}, {"conditions", json::array({condition})}}});
    }
    api_.Put(common::kTenants, tenant);
  }
  void PutSecret(const json& data) {
    api_.Put(common::kSecrets, {{"metadata",
                                 {{"name", "falcon-keys"},
                                  {"namespace", kNs},
                                  {"labels", {{"sluice.dev/tenant", "falcon"}}}}},
                                {"data", data}});
  }
  void Break() { PutSecret({{"AWS_ACCESS_KEY_ID", base::Base64Encode("FALCON")}}); }
  void Change(const char* memory) {
    json site_class = api_.Look(common::kSiteClasses, {"", "class"});
    site_class["spec"]["agent"]["memory"] = memory;
    api_.Put(common::kSiteClasses, site_class);
  }
  // A new process over the same record: everything in memory is lost.
  void Restart() {
    publisher_ = std::make_unique<agents::ConfigPublisher>(epochs_, "key");
    EXPECT_THAT(publisher_->TakeOver("uid", "me"), IsOk());
    reconciler_ = std::make_unique<ConfigReconciler>(stores_, secrets_, *publisher_, derived_,
                                                     [](const meta::Key&) {});
  }
  void Reconcile() {
    caches_.Fill(api_);
    reconciler_->Reconcile({{"", "phoenix"}}, {});
  }
  std::string Published() const { return publisher_->record().sites["phoenix"].digest; }
  int Tenants() const { return derived_.Get("phoenix").config->tenants_size(); }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Caches caches_{clock_};
  agents::testing::MemoryEpochStore epochs_;
  common::SecretReader secrets_{api_, caches_.secrets, kNs, clock_};
  const Stores stores_{caches_.sites, caches_.classes, caches_.plans, caches_.tenants,
                       caches_.nodes};
  DerivedConfigs derived_;
  std::unique_ptr<agents::ConfigPublisher> publisher_;
  std::unique_ptr<ConfigReconciler> reconciler_;
};

TEST_F(ConfigReconcilerTest, AControllerThatReadTheKeysGoesOnPublishingThem) {
  Reconcile();
  const std::string before = Published();
  EXPECT_EQ(Tenants(), 1);
  Break();
  Reconcile();
  EXPECT_EQ(Published(), before);
  Change("128Mi");
  Reconcile();
  EXPECT_NE(Published(), before) << "other changes go on";
  EXPECT_EQ(Tenants(), 1);
}

// The trap: fail over, or upgrade the controller, while a tenant's Secret has a typo.
TEST_F(ConfigReconcilerTest, AControllerStartedSinceHoldsRatherThanCutTheTenantOff) {
  Reconcile();
  const std::string before = Published();
  ASSERT_NE(before, "");
  Break();
  PutTenant(true);
  Restart();
  Change("128Mi");
  Reconcile();
  EXPECT_EQ(Published(), before) << "agents keep what they run, the tenant's keys among it";
  const base::Status held = derived_.Get("phoenix").status;
  EXPECT_EQ(held.reason(), "Held");
  EXPECT_THAT(held.message(), HasSubstr("tenant falcon: Secret sluice-system/falcon-keys: key "
                                        "AWS_SECRET_ACCESS_KEY is missing"));

  PutSecret({{"AWS_ACCESS_KEY_ID", base::Base64Encode("FALCON2")},
             {"AWS_SECRET_ACCESS_KEY", base::Base64Encode("hush2")}});
  Reconcile();
  EXPECT_THAT(derived_.Get("phoenix").status, IsOk());
  EXPECT_NE(Published(), before);
  EXPECT_EQ(Tenants(), 1);
}

TEST_F(ConfigReconcilerTest, ADeletedSecretWithdrawsTheTenantAlsoAfterARestart) {
  Reconcile();
  const std::string before = Published();
  PutTenant(true);
  EXPECT_THAT(api_.Delete(common::kSecrets, {kNs, "falcon-keys"}), IsOk());
  Restart();
  Reconcile();
  EXPECT_NE(Published(), before);
  EXPECT_EQ(Tenants(), 0);
}

TEST_F(ConfigReconcilerTest, ATenantWhoseKeysNeverWorkedHoldsNobodyUp) {
  Break();
  Reconcile();
  EXPECT_THAT(derived_.Get("phoenix").status, IsOk());
  EXPECT_NE(Published(), "");
  EXPECT_EQ(Tenants(), 0);
}

// A Secret in the tenant's namespace is asked for at the API server, which may not answer.
TEST_F(ConfigReconcilerTest, AnApiServerThatDoesNotAnswerWithdrawsNobody) {
  api_.Put(
      common::kSecrets,
      {{"metadata",
        {{"name", "keys"}, {"namespace", "falcon"}, {"labels", {{"sluice.dev/tenant", "falcon"}}}}},
       {"data",
        {{"AWS_ACCESS_KEY_ID", base::Base64Encode("FALCON")},
         {"AWS_SECRET_ACCESS_KEY", base::Base64Encode("hush")}}}});
  json tenant = api_.Look(common::kTenants, {"", "falcon"});
  tenant["spec"]["credentialsRef"] = {{"name", "keys"}, {"namespace", "falcon"}};
  api_.Put(common::kTenants, tenant);
  Reconcile();
  const std::string before = Published();
  ASSERT_EQ(Tenants(), 1);
  clock_.Advance(common::kForeignSecretTtl + std::chrono::seconds(1));
  api_.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "get") return base::Unavailable("connection refused");
    return std::nullopt;
  });
  Reconcile();
  EXPECT_EQ(Published(), before);
  EXPECT_EQ(Tenants(), 1);
}

}  // namespace
}  // namespace sluice::site
