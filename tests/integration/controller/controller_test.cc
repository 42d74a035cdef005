// The controller on a real API server: makes a Site so and keeps it so, writes nothing at rest,
// survives the loss of its leader, and says what is wrong with bad input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <regex>

#include "controller/testing/command.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/resources.h"
#include "tests/integration/controller/world.h"

namespace sluice::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_kit::IsOk;
using testing_kit::WaitUntil;

constexpr const char* kObjects = R"(
apiVersion: v1
kind: Secret
metadata: {name: lake-agent, namespace: sluice-system}
stringData: {AWS_ACCESS_KEY_ID: origin, AWS_SECRET_ACCESS_KEY: origin-secret}
---
apiVersion: v1
kind: Secret
metadata: {name: falcon-keys, namespace: sluice-system, labels: {sluice.dev/tenant: falcon}}
stringData: {AWS_ACCESS_KEY_ID: falcon, AWS_SECRET_ACCESS_KEY: falcon-secret}
---
apiVersion: sluice.dev/v1alpha1
kind: StagePlan
metadata: {name: ladder}
spec:
  stages:
  - {name: Crawl, tenancy: SingleTenant, maxTenants: 1, entryGates: [{name: soak, soak: {seconds: 3600}}]}
  - {name: Walk, tenancy: CustomerTenant, maxTenants: 2, entryGates: [{name: soak, soak: {seconds: 3600}}]}
---
apiVersion: sluice.dev/v1alpha1
kind: SiteClass
metadata: {name: small}
spec:
  hardware: {gpusPerNode: 0}
  agent: {memory: 256Mi, protocols: [S3]}
  stagePlanRef: {name: ladder}
---
apiVersion: sluice.dev/v1alpha1
kind: Site
metadata: {name: phoenix}
spec:
  classRef: {name: small}
  nodeSelector: {sluice.dev/site: phoenix}
  origins: [{name: lake, s3: {endpoint: "http://127.0.0.1:1", region: us-east-1, credentialsRef: {name: lake-agent}}}]
  mounts: [{path: /datasets, origin: lake, bucket: training}]
  stage: Crawl
  requestedBy: test
---
apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: falcon}
spec:
  sites: [phoenix]
  credentialsRef: {name: falcon-keys}
  access: [{mount: /datasets, verbs: [Read]}]
)";

constexpr const char* kSiteNamespace = "sluice-site-phoenix";

class ControllerOnApiServer : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = World::Make();
    ASSERT_THAT(made, IsOk());
    world_ = std::move(made).value().release();
    ASSERT_THAT(world_->server().Apply(kObjects), IsOk());
  }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(world_, nullptr); }

  std::unique_ptr<Replica> Start(const std::string& name) {
    return std::make_unique<Replica>(name, world_->folder(), world_->controller_kubeconfig());
  }
  // Runs, leads, has made the site's DaemonSet and has come to rest; null (and a failure)
  // otherwise.
  std::unique_ptr<Replica> StartLeading(const std::string& name) {
    auto replica = Start(name);
    const bool made = WaitUntil([&] {
      return !replica->running() || (world_->Holder() == name && DaemonSet().is_object());
    });
    if (made && replica->running() && WaitUntil([&] { return Settled(*replica); })) return replica;
    ADD_FAILURE() << "the controller did not come to rest:\n" << replica->Log();
    return nullptr;
  }
  json DaemonSet() { return world_->Get(common::kDaemonSets, kSiteNamespace, "sluice-agent"); }
  // Every one of its controllers runs, queues are empty, no worker is busy, and for kQuiet nothing
  // was written: longer than a key waits that a cache is too old for.
  bool Settled(const Replica& replica) {
    const int before = world_->WritesOfController();
    return before > 0 && !WaitUntil([&] { return !Idle(replica.Metrics()); }, kQuiet) &&
           world_->WritesOfController() == before;
  }
  static bool Idle(const std::string& page) {
    return Sum(page, "leader_election_master_status") > 0 &&
           page.find("controller_runtime_max_concurrent_reconciles{") != std::string::npos &&
           !std::regex_search(page, std::regex("max_concurrent_reconciles\\{.*\\} 0\n")) &&
           Sum(page, "workqueue_depth") == 0 && Sum(page, "controller_runtime_active_workers") == 0;
  }
  static constexpr std::chrono::milliseconds kQuiet{500};
  static World* world_;
};
World* ControllerOnApiServer::world_ = nullptr;

TEST_F(ControllerOnApiServer, MakesASiteSoAndRepairsWhatOthersBreak) {
  auto replica = StartLeading("replica-a");
  ASSERT_NE(replica, nullptr);
  EXPECT_TRUE(world_->Get(common::kServices, kSiteNamespace, "s3").is_object());
  const std::string image = DaemonSet()["spec"]["template"]["spec"]["containers"][0]["image"];

  const auto patched = world_->client().Patch(
      common::kDaemonSets, {kSiteNamespace, "sluice-agent"}, client::PatchType::kJson,
      json::parse(
          R"([{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"evil"},
                      {"op":"add","path":"/metadata/labels/someone","value":"else"}])"));
  ASSERT_THAT(patched, IsOk());
  ASSERT_THAT(world_->client().Delete(common::kServices, {kSiteNamespace, "s3"}), IsOk());
  EXPECT_TRUE(WaitUntil([&] {
    return DaemonSet()["spec"]["template"]["spec"]["containers"][0]["image"] == image;
  })) << replica->Log();
  EXPECT_EQ(DaemonSet()["metadata"]["labels"]["someone"], "else") << "another manager's field";
  EXPECT_TRUE(
      WaitUntil([&] { return world_->Get(common::kServices, kSiteNamespace, "s3").is_object(); }));
  EXPECT_THAT(replica->Log(), testing::Not(HasSubstr("Forbidden"))) << "the shipped roles suffice";
  replica->Signal(SIGTERM);
  EXPECT_EQ(replica->WaitExit(), 0) << replica->Log();
  EXPECT_EQ(world_->Holder(), "") << "the lease is given back";
}

TEST_F(ControllerOnApiServer, WritesNothingAtRestHoweverOftenItLooks) {
  auto replica = StartLeading("replica-a");
  ASSERT_NE(replica, nullptr);
  const int before = world_->WritesOfController();
  const auto looks = [&] { return replica->Metric("controller_runtime_reconcile_total"); };
  // Each of these is an event of a watched object that changes nothing we want.
  for (int i = 0; i < 20; ++i) {
    const double seen = looks();
    const std::string note = "look-" + std::to_string(i);
    const auto poke = [&](const meta::Resource& resource, const meta::Key& key) {
      EXPECT_THAT(
          world_->client().Patch(resource, key, client::PatchType::kMerge,
                                 {{"metadata", {{"annotations", {{"example.com/note", note}}}}}}),
          IsOk());
    };
    poke(common::kDaemonSets, {kSiteNamespace, "sluice-agent"});
    poke(common::kTenants, {"", "falcon"});
    poke(common::kSiteClasses, {"", "small"});
    poke(common::kSecrets, {kNamespace, "lake-agent"});
    ASSERT_TRUE(WaitUntil([&] { return looks() > seen; }));
  }
  EXPECT_TRUE(WaitUntil([&] { return Settled(*replica); }));
  auto written = world_->WriteLog();
  written.erase(written.begin(), written.begin() + before);
  EXPECT_TRUE(written.empty()) << replica->Log() << testing::PrintToString(written);
}

TEST_F(ControllerOnApiServer, AnotherReplicaLeadsWhenTheLeaderIsKilledAndRaisesTheEpoch) {
  auto a = StartLeading("replica-a");
  ASSERT_NE(a, nullptr);
  auto b = Start("replica-b");
  ASSERT_TRUE(WaitUntil([&] { return b->Page("/readyz") == "ok"; })) << b->Log();
  const auto epoch = [&] {
    const json record = world_->Get(common::kConfigMaps, kNamespace, "sluice-agents-epoch");
    return record.is_object() ? std::stol(record["data"]["epoch"].get<std::string>()) : 0;
  };
  const long first = epoch();
  ASSERT_GT(first, 0);
  const int writes = world_->WritesOfController();
  EXPECT_EQ(b->Metric("leader_election_master_status"), 0);
  a->Signal(SIGKILL);
  a->WaitExit();
  // Nobody leads yet; what breaks now is repaired by the next leader.
  ASSERT_THAT(world_->client().Delete(common::kServices, {kSiteNamespace, "s3"}), IsOk());
  ASSERT_TRUE(WaitUntil([&] { return world_->Holder() == "replica-b"; })) << b->Log();
  EXPECT_TRUE(WaitUntil([&] { return epoch() > first; }));
  EXPECT_TRUE(WaitUntil([&] {
    return world_->Get(common::kServices, kSiteNamespace, "s3").is_object();
  })) << b->Log();
  EXPECT_GT(world_->WritesOfController(), writes);
  EXPECT_EQ(b->Metric("leader_election_master_status"), 1);
}

TEST_F(ControllerOnApiServer, ALeaderFrozenPastItsLeaseEndsAndTakesNothingBack) {
  auto a = StartLeading("replica-a");
  ASSERT_NE(a, nullptr);
  auto b = Start("replica-b");
  ASSERT_TRUE(WaitUntil([&] { return b->Page("/readyz") == "ok"; })) << b->Log();
  a->Signal(SIGSTOP);
  ASSERT_TRUE(WaitUntil([&] { return world_->Holder() == "replica-b"; })) << b->Log();
  a->Signal(SIGCONT);
  EXPECT_EQ(a->WaitExit(), 1) << a->Log();
  EXPECT_EQ(world_->Holder(), "replica-b");
}

TEST_F(ControllerOnApiServer, ADeletedLeaseDoesNotLowerTheEpoch) {
  auto a = StartLeading("replica-a");
  ASSERT_NE(a, nullptr);
  const auto epoch = [&] {
    return std::stol(
        world_->Get(common::kConfigMaps, kNamespace, "sluice-agents-epoch")["data"]["epoch"]
            .get<std::string>());
  };
  const long before = epoch();
  a->Signal(SIGKILL);
  a->WaitExit();
  const meta::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  ASSERT_THAT(world_->client().Delete(leases, {kNamespace, "sluice-controller"}), IsOk());
  auto b = Start("replica-b");
  ASSERT_TRUE(WaitUntil([&] { return world_->Holder() == "replica-b"; })) << b->Log();
  EXPECT_TRUE(WaitUntil([&] { return epoch() > before; })) << b->Log();
}

TEST_F(ControllerOnApiServer, WhatOnlyTheControllerCanKnowBecomesACondition) {
  auto replica = StartLeading("replica-a");
  ASSERT_NE(replica, nullptr);
  ASSERT_THAT(world_->server().Apply(R"(
apiVersion: sluice.dev/v1alpha1
kind: Site
metadata: {name: tucson}
spec:
  classRef: {name: nowhere}
  nodeSelector: {sluice.dev/site: tucson}
  stage: Crawl
  requestedBy: test
---
apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: eagle}
spec:
  sites: [phoenix]
  credentialsRef: {name: eagle-keys}
  access: [{mount: /datasets, verbs: [Read]}]
)"),
              IsOk());
  EXPECT_TRUE(WaitUntil([&] {
    const json condition = world_->Condition(common::kSites, "tucson", "ClassResolved");
    return condition.is_object() && condition["status"] == "False" &&
           condition["message"].get<std::string>().find("nowhere") != std::string::npos;
  })) << world_->Get(common::kSites, "", "tucson").dump(2)
      << replica->Log();
  EXPECT_TRUE(WaitUntil([&] {
    const json condition = world_->Condition(common::kTenants, "eagle", "CredentialsResolved");
    return condition.is_object() && condition["status"] == "False" &&
           condition["message"].get<std::string>().find("eagle-keys") != std::string::npos;
  })) << world_->Get(common::kTenants, "", "eagle").dump(2);
  EXPECT_TRUE(replica->running());
  EXPECT_TRUE(WaitUntil([&] { return Settled(*replica); })) << "bad input is no reason for a loop";
  // What was missing appears: no restart, no edit of the Tenant.
  ASSERT_THAT(world_->server().Apply(R"(
apiVersion: v1
kind: Secret
metadata: {name: eagle-keys, namespace: sluice-system, labels: {sluice.dev/tenant: eagle}}
stringData: {AWS_ACCESS_KEY_ID: eagle, AWS_SECRET_ACCESS_KEY: eagle-secret}
)"),
              IsOk());
  EXPECT_TRUE(WaitUntil([&] {
    const json condition = world_->Condition(common::kTenants, "eagle", "CredentialsResolved");
    return condition.is_object() && condition["status"] == "True";
  })) << world_->Get(common::kTenants, "", "eagle").dump(2);
  for (const char* secret : {"origin-secret", "falcon-secret", "eagle-secret"}) {
    EXPECT_THAT(replica->Log(), testing::Not(HasSubstr(secret)));
    EXPECT_THAT(replica->Metrics(), testing::Not(HasSubstr(secret)));
  }
}

TEST_F(ControllerOnApiServer, SurvivesARestartOfTheApiServer) {
  auto replica = StartLeading("replica-a");
  ASSERT_NE(replica, nullptr);
  ASSERT_THAT(world_->server().StopComponent("apiserver", "KILL"), IsOk());
  ASSERT_THAT(world_->server().StartComponent("apiserver"), IsOk());
  // It may have given up the lead meanwhile; the process manager would start it anew.
  if (!WaitUntil([&] { return !replica->running(); }, std::chrono::seconds(4))) {
    ASSERT_TRUE(WaitUntil([&] { return world_->Holder() == "replica-a"; }));
  } else {
    replica = StartLeading("replica-c");
  }
  ASSERT_THAT(world_->client().Delete(common::kServices, {kSiteNamespace, "s3"}), IsOk());
  EXPECT_TRUE(WaitUntil([&] {
    return world_->Get(common::kServices, kSiteNamespace, "s3").is_object();
  })) << replica->Log();
}

TEST_F(ControllerOnApiServer, AWrongFlagOrConfigurationEndsWithOneLineAndTwo) {
  Replica flag("wrong-flag", world_->folder(), world_->controller_kubeconfig(), {"--nonsense"});
  EXPECT_EQ(flag.WaitExit(), 2);
  EXPECT_EQ(flag.Log(), "sluice-controller: no such flag: --nonsense; see --help\n");
  Replica config("no-config", world_->folder(), world_->folder() + "/missing");
  EXPECT_EQ(config.WaitExit(), 2);
  const std::string said = config.Log();
  EXPECT_THAT(said, testing::StartsWith("sluice-controller: kubeconfig: "));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

}  // namespace
}  // namespace sluice::integration
