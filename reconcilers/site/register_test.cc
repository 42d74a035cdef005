// How a Site's controllers are wired: what leads to a look, and when.
#include "reconcilers/site/register.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "api/agent/v1/agent.pb.h"
#include "controller/runtime/manager.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"
#include "reconcilers/agents/testing.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/clusters.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/reconciler.h"
#include "reconcilers/site/roster.h"

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
    clusters_ = std::make_unique<SiteClusters>(
        SiteClusters::Deps{manager_->StoreOf(common::kSites), *secrets_, clock_,
                           manager_->metrics(), [this] { return manager_->leading(); }});
    Register(*manager_, {manager_->fenced_client(), publisher_, fleet_, *secrets_, clock_,
                         [] { return AgentOptions(); }, clusters_.get()});
    runner_ = std::thread([this] { EXPECT_TRUE(manager_->Run(stop_.get_token()).ok()); });
  }
  ~RegisterTest() override {
    stop_.request_stop();
    runner_.join();
    clusters_->Stop();
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

  // How often a controller looked at Sites.
  int Looks(const std::string& controller = "site") const {
    std::istringstream lines(manager_->metrics().Expose());
    const std::string series = R"(controller_runtime_reconcile_total{controller=")" + controller;
    double sum = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(series + "\",")) {
        sum += std::stod(line.substr(line.rfind(' ')));
      }
    }
    return static_cast<int>(sum);
  }
  meta::ObjectPtr CachedNode() const { return manager_->StoreOf(common::kNodes).Get({"", "n1"}); }
  static json Node(const json& labels) {
    return {{"apiVersion", "v1"},
            {"kind", "Node"},
            {"metadata", {{"name", "n1"}, {"labels", labels}, {"annotations", {{"b", "c"}}}}},
            {"status",
             {{"capacity", {{"memory", "1Gi"}}},
              {"images", {{{"names", {"image:1"}}, {"sizeBytes", 1}}}}}}};
  }

  base::RealClock clock_;
  testing_kit::FakeApi api_{clock_};
  agents::testing::MemoryEpochStore epochs_;
  agents::ConfigPublisher publisher_{epochs_, "key"};
  agents::FleetView fleet_;
  std::string version_;
  std::unique_ptr<runtime::Manager> manager_;
  std::unique_ptr<common::SecretReader> secrets_;
  std::unique_ptr<SiteClusters> clusters_;
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

TEST_F(RegisterTest, OfANodeWhatSitesReadIsKept) {
  api_.Put(common::kNodes, Node({{"a", "1"}}));
  ASSERT_TRUE(WaitUntil([&] { return CachedNode() != nullptr; }));
  const json kept = CachedNode()->ToJson();
  EXPECT_EQ(kept["status"], json({{"capacity", {{"memory", "1Gi"}}}}));
  EXPECT_EQ(kept["metadata"]["labels"], json({{"a", "1"}}));
  EXPECT_FALSE(kept["metadata"].contains("annotations"));
  EXPECT_EQ(RosterOf(*manager_, nullptr).nodes.Get({"", "n1"}), CachedNode());
  // And no other cache of Nodes was made by anyone.
  const std::string metrics = manager_->metrics().Expose();
  const std::string series = R"(sluice_cache_objects{store="nodes)";
  EXPECT_EQ(metrics.find(series), metrics.rfind(series));
}

TEST_F(RegisterTest, ASiteElsewhereThatGoesWhileItIsLookedAtLeavesNoSeries) {
  std::atomic<bool> held{false}, released{false};
  api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.IsWrite() && call.resource == "servicelevelobjectives.sluice.dev") {
      held = true;
      EXPECT_TRUE(WaitUntil([&] { return released.load(); }));
      return base::Unavailable("slow");
    }
    return std::nullopt;
  });
  api_.Put(common::kSiteClasses,
           {{"metadata", {{"name", "small"}}},
            {"spec", {{"sloTemplates", {{{"name", "availability"}, {"target", "0.9"}}}}}}});
  api_.Put(common::kSites, {{"metadata", {{"name", "mesa"}}},
                            {"spec",
                             {{"classRef", {{"name", "small"}}},
                              {"cluster", {{"kubeconfigSecretRef", {{"name", "east"}}}}}}}});
  ASSERT_TRUE(WaitUntil([&] { return held.load(); }));
  const int before = Looks();
  ASSERT_THAT(api_.Delete(common::kSites, {"", "mesa"}), testing_kit::IsOk());
  ASSERT_TRUE(WaitUntil([&] { return Looks() > before; }));
  const int elsewhere = Looks("site-elsewhere");
  released = true;
  ASSERT_TRUE(WaitUntil([&] { return Looks("site-elsewhere") >= elsewhere + 2; }));
  // The one look that takes them away may be the last of all; no other brings them back.
  EXPECT_TRUE(WaitUntil(
      [&] { return manager_->metrics().Expose().find(R"(site="mesa")") == std::string::npos; }));
}

TEST_F(RegisterTest, ANodesHeartbeatLeadsToNoLook) {
  api_.Put(common::kNodes, Node({{"a", "1"}}));
  ASSERT_TRUE(WaitUntil([&] { return CachedNode() != nullptr; }));
  ASSERT_TRUE(WaitUntil([&] { return Looks() > 0; }));
  constexpr int kHeartbeats = 40;
  constexpr int kOthers = 4;  // by the start, the node, the finding about the class, and the label
  for (int i = 0; i < kHeartbeats; ++i) {
    json status = Node({})["status"];
    status["conditions"] = {{{"type", "Ready"}, {"lastHeartbeatTime", std::to_string(i)}}};
    status["images"] = json::array({i});
    const meta::ObjectPtr put = api_.PutStatus(common::kNodes, {"", "n1"}, status);
    ASSERT_TRUE(
        WaitUntil([&] { return CachedNode()->resource_version() == put->resource_version(); }));
  }
  const int before = Looks();
  api_.Put(common::kNodes, Node({{"a", "2"}}));
  ASSERT_TRUE(WaitUntil([&] { return Looks() > before; }));
  EXPECT_LE(Looks(), kOthers);
}

}  // namespace
}  // namespace sluice::site
