// How a Site's controllers are wired: what leads to a look, and when.
#include "reconcilers/site/register.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "api/agent/v1/agent.pb.h"
#include "controller/runtime/manager.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/wait.h"
#include "reconcilers/agents/testing.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/reconciler.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using testing_kit::WaitUntil;

class RegisterTest : public ::testing::Test {
 protected:
  RegisterTest() {
    EXPECT_TRUE(publisher_.TakeOver("uid", "me").ok());
    const agent::v1::AgentConfig config;
    const agent::v1::Credentials credentials;
    version_ = publisher_.Publish("phoenix", {&config, &credentials, {}})->version;
    // Of a class that is not there: its agents are counted all the same, and nothing is applied.
    api_.Put(common::kSites,
             {{"apiVersion", common::kSites.ApiVersion()},
              {"kind", "Site"},
              {"metadata", {{"name", "phoenix"}, {"finalizers", json::array({kFinalizer})}}},
              {"spec", {{"classRef", {{"name", "none"}}}}}});
    runtime::Options options;
    options.name = "test";
    options.metrics_address = options.health_address = "";
    manager_ = runtime::Manager::New(options, api_, clock_);
    secrets_ = std::make_unique<common::SecretReader>(
        api_, manager_->StoreOf(common::kSecrets, {.ns = "sluice-system"}), "sluice-system",
        clock_);
    Register(*manager_, {manager_->fenced_client(), publisher_, fleet_, *secrets_, clock_,
                         [] { return AgentOptions(); }});
    runner_ = std::thread([this] { EXPECT_TRUE(manager_->Run(stop_.get_token()).ok()); });
  }
  ~RegisterTest() override {
    stop_.request_stop();
    runner_.join();
  }
  void InStep(const std::string& node) {
    fleet_.Update({"phoenix", node}, [&](agents::NodeState& state) {
      state.connected = true;
      state.applied_version = version_;
      return true;
    });
  }
  // How many agents are in step, as the Site's status says.
  int Told() const {
    return api_.Look(common::kSites, {"", "phoenix"})
        .value("/status/agents/configured"_json_pointer, 0);
  }

  base::RealClock clock_;
  testing_kit::FakeApi api_{clock_};
  agents::testing::MemoryEpochStore epochs_;
  agents::ConfigPublisher publisher_{epochs_, "key"};
  agents::FleetView fleet_;
  std::string version_;
  std::unique_ptr<runtime::Manager> manager_;
  std::unique_ptr<common::SecretReader> secrets_;
  std::stop_source stop_;
  std::thread runner_;
};

TEST_F(RegisterTest, WhatAgentsSayIsGatheredAndTheLastWordIsTold) {
  ASSERT_TRUE(WaitUntil([&] {
    return api_.Look(common::kSites, {"", "phoenix"}).contains("/status/conditions"_json_pointer);
  }));
  const auto begin = clock_.Mono();
  for (int i = 1; i <= 4; ++i) {
    InStep("n" + std::to_string(i));
    ASSERT_TRUE(WaitUntil([&] { return Told() == i; })) << i;
  }
  // The first at once, and one look may come of the start itself; the others an interval apart.
  EXPECT_GE(clock_.Mono() - begin, 2 * kAgentsGather);
}

}  // namespace
}  // namespace sluice::site
