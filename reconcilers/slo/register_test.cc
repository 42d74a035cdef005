// What leads to a look at an objective.
#include "reconcilers/slo/register.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "controller/testing/fake_api.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/wiring_for_test.h"

namespace sluice::slo {
namespace {

using nlohmann::json;

// Well below the periodic look (kLongestLook), which would find out, too.
bool Soon(const std::function<bool()>& fact) {
  return testing_kit::WaitUntil(fact, std::chrono::seconds(10));
}

class RegisterTest : public ::testing::Test {
 protected:
  RegisterTest() {
    runtime::Options options;
    options.name = "test";
    options.metrics_address = options.health_address = "";
    manager_ = runtime::Manager::New(options, api_, clock_);
    secrets_ = std::make_unique<common::SecretReader>(
        api_, manager_->StoreOf(common::kSecrets, {.ns = "sluice-system"}), "sluice-system",
        clock_);
    Register(*manager_, {manager_->fenced_client(), *secrets_, clock_});
    runner_ = std::thread([this] { EXPECT_TRUE(manager_->Run(stop_.get_token()).ok()); });
  }
  ~RegisterTest() override {
    stop_.request_stop();
    runner_.join();
  }
  std::string Told() const {
    return api_.Look(common::kObjectives, {"", "falcon-reads"})
        .value("/status/conditions"_json_pointer, json())
        .dump();
  }
  bool Says(const std::string& words) const { return Told().find(words) != std::string::npos; }

  base::RealClock clock_;  // long waits of the controllers' own are not waited for
  testing_kit::FakeApi api_{clock_};
  std::unique_ptr<runtime::Manager> manager_;
  std::unique_ptr<common::SecretReader> secrets_;
  std::stop_source stop_;
  std::thread runner_;
};

TEST_F(RegisterTest, AnObjectiveOfATenantIsLookedAtWhenItsTenantAndItsSiteCome) {
  api_.Put(common::kObjectives,
           {{"metadata", {{"name", "falcon-reads"}}},
            {"spec",
             {{"subjectRef", {{"kind", "Tenant"}, {"name", "falcon"}}},
              {"indicator", {{"ratio", {{"good", "vector(1)"}, {"total", "vector(1)"}}}}},
              {"budgetingMethod", "Occurrences"},
              {"window", "30m"},
              {"target", "0.9"}}}});
  ASSERT_TRUE(Soon([&] { return Says("there is no Tenant falcon"); })) << Told();
  api_.Put(common::kTenants,
           {{"metadata", {{"name", "falcon"}}}, {"spec", {{"sites", {"phoenix", "mesa"}}}}});
  ASSERT_TRUE(Soon([&] { return Says("there is no Site phoenix"); })) << Told();
  api_.Put(common::kSites, {{"metadata", {{"name", "phoenix"}}}, {"spec", json::object()}});
  EXPECT_TRUE(Soon([&] { return !Told().empty() && !Says("there is no Site"); })) << Told();
}

TEST(SloWiring, ASiteOrTenantMadeAnewUnderItsNameIsLookedAtAndItsStatusIsNot) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  common::Wiring wiring(api, clock);
  common::SecretReader secrets(api, wiring.StoreOf(common::kSecrets), "sluice-system", clock);
  Register(wiring, {api, secrets, clock});
  const auto about = [&](const char* objective, const char* kind, const char* name) {
    wiring.Put(common::kObjectives, {{"metadata", {{"name", objective}}},
                                     {"spec", {{"subjectRef", {{"kind", kind}, {"name", name}}}}}});
  };
  about("site-reads", "Site", "phoenix");
  about("tenant-reads", "Tenant", "falcon");
  const json site = {{"metadata", {{"name", "phoenix"}}}};
  const json tenant = {{"metadata", {{"name", "falcon"}}}, {"spec", {{"sites", {"phoenix"}}}}};
  wiring.Put(common::kTenants, tenant);
  const json status = {{"status", {{"stage", "Walk"}}}};
  using common::Wiring;
  using Names = std::set<std::string>;
  EXPECT_EQ(wiring.Looks("slo", common::kSites, Wiring::MadeAnew(site)),
            (Names{"site-reads", "tenant-reads"}));
  EXPECT_EQ(wiring.Looks("slo", common::kTenants, Wiring::MadeAnew(tenant)), Names{"tenant-reads"});
  EXPECT_EQ(wiring.Looks("slo", common::kSites, Wiring::Changed(site, status)), Names());
  EXPECT_EQ(wiring.Looks("slo", common::kTenants, Wiring::Changed(tenant, status)), Names());
}

}  // namespace
}  // namespace sluice::slo
