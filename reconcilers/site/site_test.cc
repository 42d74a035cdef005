#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/agent/v1/agent.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "api/v1alpha1/tenant.pb.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/site/config.h"
#include "reconcilers/site/inputs.h"
#include "reconcilers/site/objects.h"
#include "reconcilers/site/status.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using testing_kit::IsOk;

constexpr auto kNow = base::WallTime(std::chrono::seconds(1'800'000'000));

v1alpha1::SiteClass Class() {
  v1alpha1::SiteClass out;
  v1alpha1::SiteClassSpec& spec = *out.mutable_spec();
  spec.mutable_hardware()->set_gpus_per_node(8);
  spec.mutable_hardware()->set_dram("100Gi");
  v1alpha1::DiskProfile& disk = *spec.mutable_hardware()->add_disks();
  disk.set_kind("NVMe");
  disk.set_count(2);
  disk.set_size("1Ti");
  spec.mutable_agent()->set_memory("64Mi");
  spec.mutable_agent()->set_disk("1Gi");
  spec.mutable_agent()->set_s3_port(9000);
  spec.mutable_agent()->set_metrics_port(9464);
  return out;
}

class SiteTest : public ::testing::Test {
 protected:
  SiteTest() {
    in_.name = "phoenix";
    in_.object = *meta::Object::FromJson(
        {{"apiVersion", "sluice.dev/v1alpha1"},
         {"kind", "Site"},
         {"metadata",
          {{"name", "phoenix"}, {"uid", "u1"}, {"resourceVersion", "1"}, {"generation", 3}}}});
    auto site = std::make_shared<v1alpha1::Site>();
    (*site->mutable_spec()->mutable_node_selector())["sluice.dev/site"] = "phoenix";
    v1alpha1::Origin& origin = *site->mutable_spec()->add_origins();
    origin.set_name("lake");
    origin.mutable_s3()->set_endpoint("https://lake:9000");
    v1alpha1::Mount& mount = *site->mutable_spec()->add_mounts();
    mount.set_path("/datasets");
    mount.set_origin("lake");
    mount.set_bucket("training");
    in_.site = site;
    in_.site_class = std::make_shared<v1alpha1::SiteClass>(Class());
    in_.selected = 2;
    in_.origin_secrets.emplace("lake", OriginSecrets{{"ORIGINKEY", "originsecret", ""}, ""});
    AddTenant("falcon", "FALCON");
    observed_.agents = {true, 2, 2, 2};
    observed_.fleet.in_step = 2;
    observed_.version = "abc";
    options_.image = "sluice/sluice-agent:1";
  }

  void AddTenant(const std::string& name, const std::string& key) {
    in_.bindings.push_back({name, true, false, "Bound", ""});
    auto tenant = std::make_shared<v1alpha1::Tenant>();
    v1alpha1::Access& access = *tenant->mutable_spec()->add_access();
    access.set_mount("/datasets");
    access.add_verbs("Read");
    in_.tenants[name] = tenant;
    in_.tenant_keys.emplace(name, std::vector<common::S3Keys>{{key, "secret-of-" + name, ""}});
  }

  json ConditionOf(const json& status, const std::string& type) {
    for (const json& condition : status["conditions"]) {
      if (condition["type"] == type) return condition;
    }
    return nullptr;
  }
  json Status() { return BuildStatus(in_, DeriveConfig(in_, {}), observed_, kNow); }

  Inputs in_;
  Observed observed_;
  AgentOptions options_;
};

TEST_F(SiteTest, ConfigurationHoldsWhatTheSiteSaysAndSecretsApart) {
  const Derived derived = DeriveConfig(in_, {});
  ASSERT_THAT(derived.status, IsOk());
  EXPECT_EQ(derived.config->cache().memory_bytes(), 64u << 20);
  EXPECT_EQ(derived.config->cache().disk_paths(0), "/var/lib/sluice/cache");
  ASSERT_EQ(derived.config->tenants_size(), 1);
  EXPECT_EQ(derived.config->tenants(0).grants(0).verbs(0), agent::v1::READ);
  EXPECT_FALSE(derived.config->mounts(0).pin());
  EXPECT_FALSE(derived.config->mounts(0).has_metadata_ttl_seconds());
  EXPECT_THAT(derived.config->DebugString(), Not(HasSubstr("secret")));
  EXPECT_EQ(derived.credentials->credentials_size(), 2);
}

TEST_F(SiteTest, AMountsPinAndTtlReachTheAgents) {
  auto site = std::make_shared<v1alpha1::Site>(*in_.site);
  site->mutable_spec()->mutable_mounts(0)->set_pin(true);
  site->mutable_spec()->mutable_mounts(0)->set_metadata_ttl_seconds(0);
  in_.site = site;
  const Derived derived = DeriveConfig(in_, {});
  ASSERT_THAT(derived.status, IsOk());
  EXPECT_TRUE(derived.config->mounts(0).pin());
  ASSERT_TRUE(derived.config->mounts(0).has_metadata_ttl_seconds());
  EXPECT_EQ(derived.config->mounts(0).metadata_ttl_seconds(), 0u);
}

TEST_F(SiteTest, WithoutTheOriginsKeysNothingIsPublished) {
  in_.origin_secrets.insert_or_assign("lake", base::NotFound("Secret ns/lake does not exist"));
  const Derived derived = DeriveConfig(in_, {});
  EXPECT_EQ(derived.status.message(),
            "spec.origins[lake].s3.credentialsRef: Secret ns/lake does not exist");
}

TEST_F(SiteTest, ATenantWithABrokenSecretIsLeftOutAndTheOthersServed) {
  AddTenant("hawk", "HAWK");
  in_.tenant_keys.insert_or_assign("falcon", base::InvalidArgument("key X is missing"));
  const Derived derived = DeriveConfig(in_, {});
  ASSERT_THAT(derived.status, IsOk());
  ASSERT_EQ(derived.config->tenants_size(), 1);
  EXPECT_EQ(derived.config->tenants(0).name(), "hawk");
  EXPECT_EQ(derived.left_out.count("falcon"), 1u);
}

TEST_F(SiteTest, AMalformedSecretKeepsTheKeysThatWorkedButAMissingOneDoesNot) {
  const std::map<std::string, std::vector<common::S3Keys>> good = {{"falcon", {{"OLD", "s", ""}}}};
  in_.tenant_keys.insert_or_assign("falcon", base::InvalidArgument("key X is missing"));
  EXPECT_EQ(DeriveConfig(in_, good).config->tenants_size(), 1);
  in_.tenant_keys.insert_or_assign("falcon", base::NotFound("gone"));
  EXPECT_EQ(DeriveConfig(in_, good).config->tenants_size(), 0);
}

TEST_F(SiteTest, TwoTenantsWithOneKeyIdAreNotMixedUp) {
  AddTenant("hawk", "FALCON");
  const Derived derived = DeriveConfig(in_, {});
  ASSERT_EQ(derived.config->tenants_size(), 1);
  EXPECT_EQ(derived.config->tenants(0).name(), "falcon");
  EXPECT_EQ(derived.left_out.count("hawk"), 1u);
}

TEST_F(SiteTest, AgentsRunWithoutPrivilegesAndDeclareNoPorts) {
  const auto objects = WantedObjects(in_, options_);
  json daemon_set;
  for (const WantedObject& object : objects) {
    EXPECT_THAT(object.json, Not(HasSubstr("secret-of-"))) << "no secret in an object";
    if (object.resource.kind == "DaemonSet") daemon_set = json::parse(object.json);
  }
  const json container = daemon_set.at("/spec/template/spec/containers/0"_json_pointer);
  EXPECT_EQ(container["securityContext"]["capabilities"]["drop"], json::array({"ALL"}));
  EXPECT_EQ(container["securityContext"]["readOnlyRootFilesystem"], true);
  EXPECT_FALSE(container.contains("ports"));
  EXPECT_EQ(container["image"], "sluice/sluice-agent:1");
  EXPECT_EQ(daemon_set.at("/metadata/ownerReferences/0/uid"_json_pointer), "u1");
}

TEST_F(SiteTest, AgentsRunUnderTheRuntimesSeccompProfileUnlessAnotherIsNamed) {
  const auto profile = [this] {
    for (const WantedObject& object : WantedObjects(in_, options_))
      if (object.resource.kind == "DaemonSet")
        return json::parse(object.json)
            .at("/spec/template/spec/containers/0/securityContext/seccompProfile"_json_pointer);
    return json();
  };
  EXPECT_EQ(profile(), json({{"type", "RuntimeDefault"}}));
  options_.seccomp_profile = "profiles/agent.json";
  EXPECT_EQ(profile(), json({{"type", "Localhost"}, {"localhostProfile", "profiles/agent.json"}}));
}

TEST_F(SiteTest, AgentsDialTheControllerWhereTheSiteSaysItIs) {
  options_.control_endpoint = "sluice.svc:9443";
  options_.enrolment_endpoint = "sluice.svc:9444";
  const auto arguments = [&] {
    for (const WantedObject& object : WantedObjects(in_, options_)) {
      if (object.resource.kind != "DaemonSet") continue;
      return json::parse(object.json)
          .at("/spec/template/spec/containers/0/args"_json_pointer)
          .get<std::vector<std::string>>();
    }
    return std::vector<std::string>();
  };
  EXPECT_THAT(arguments(), IsSupersetOf({"sluice.svc:9443", "sluice.svc:9444"}));
  auto site = std::make_shared<v1alpha1::Site>(*in_.site);
  site->mutable_spec()->mutable_control()->set_endpoint("control.example:31443");
  in_.site = site;
  EXPECT_THAT(arguments(), IsSupersetOf({"control.example:31443", "control.example:9444"}));
  EXPECT_THAT(arguments(), Not(Contains(HasSubstr("sluice.svc"))));
}

TEST_F(SiteTest, ASiteElsewhereSaysWhetherItsClusterCanBeWorkedIn) {
  in_.elsewhere = true;
  EXPECT_EQ(ConditionOf(Status(), "ClusterServed")["status"], "True");
  EXPECT_EQ(ConditionOf(Status(), "Ready")["status"], "True");

  // Away: what was seen last stays, and Ready says what is wrong first.
  in_.cluster_status = base::Unavailable("no route to it").WithReason("Unreachable");
  json status = Status();
  EXPECT_EQ(ConditionOf(status, "Ready")["reason"], "Unreachable");
  EXPECT_THAT(ConditionOf(status, "Ready")["message"], HasSubstr("what runs there goes on"));
  EXPECT_EQ(ConditionOf(status, "NodesMatched")["status"], "True");
  ASSERT_EQ(status["blockedBy"].size(), 1u);
  EXPECT_EQ(status["blockedBy"][0]["gate"], "ClusterServed");

  // Never seen: nothing is said of nodes that nobody knows.
  in_.selected = 0;
  in_.nodes_known = false;
  status = Status();
  EXPECT_EQ(ConditionOf(status, "NodesMatched"), nullptr);
  EXPECT_EQ(status["blockedBy"].size(), 1u);

  in_.elsewhere = false;
  EXPECT_EQ(ConditionOf(Status(), "ClusterServed"), nullptr);
}

TEST_F(SiteTest, WhatIsMadeElsewhereNamesNoOwnerThatIsNotThere) {
  in_.elsewhere = true;
  for (const WantedObject& each : WantedObjects(in_, options_)) {
    const json object = json::parse(each.json);
    EXPECT_FALSE(object["metadata"].contains("ownerReferences")) << each.resource.kind;
    EXPECT_EQ(object["metadata"]["annotations"][kSiteUidAnnotation], in_.object->uid());
  }
  for (const WantedObject& each : WantedObjectives(in_)) {
    EXPECT_TRUE(json::parse(each.json)["metadata"].contains("ownerReferences"));
  }
}

TEST_F(SiteTest, MemoryIsWrittenAsTheServerWritesItBack) {
  const auto limit = [&](const std::string& memory) {
    auto site_class = std::make_shared<v1alpha1::SiteClass>(Class());
    site_class->mutable_spec()->mutable_agent()->set_memory(memory);
    in_.site_class = site_class;
    for (const WantedObject& object : WantedObjects(in_, options_)) {
      if (object.resource.kind != "DaemonSet") continue;
      return json::parse(object.json)
          .at("/spec/template/spec/containers/0/resources/limits/memory"_json_pointer)
          .get<std::string>();
    }
    return std::string();
  };
  EXPECT_EQ(limit("64Mi"), "320Mi");
  EXPECT_EQ(limit("768Mi"), "1Gi");
  EXPECT_EQ(limit("1048320Mi"), "1Ti");
  EXPECT_EQ(limit("1Gi"), "1280Mi");
  EXPECT_EQ(limit("8Ei"), "8796093022207Mi") << "as much as can be written";
}

TEST_F(SiteTest, ASiteWithEverythingInPlaceIsReady) {
  const json status = Status();
  EXPECT_EQ(ConditionOf(status, "Ready")["status"], "True") << status.dump(1);
  EXPECT_FALSE(status.contains("blockedBy"));
  EXPECT_EQ(status["nodes"]["matched"], 2);
}

TEST_F(SiteTest, AMismatchIsNamedInTheStatusAndBlocks) {
  in_.mismatched = {{"n2", "gpus: 4 of nvidia.com/gpu, the class says 8"}};
  const json status = Status();
  EXPECT_EQ(ConditionOf(status, "Ready")["reason"], "HardwareMismatch");
  EXPECT_EQ(status["nodes"]["mismatches"][0]["node"], "n2");
  EXPECT_EQ(status["blockedBy"][0]["gate"], "NodesMatched");
  EXPECT_THAT(status["blockedBy"][0]["message"].get<std::string>(), HasSubstr("n2: gpus: 4"));
}

// What `why` prints after "unblocked by": somebody, never the message itself.
TEST_F(SiteTest, AFailureNamesWhoCanEndIt) {
  observed_.apply_error = base::PermissionDenied("daemonsets.apps is forbidden");
  EXPECT_EQ(Status()["blockedBy"][0]["unblockedBy"],
            "whoever changes what the message names; it is tried again");
  observed_.apply_error = base::OkStatus();
  in_.site_class = nullptr;
  in_.class_status = base::InvalidArgument("SiteClass edge: spec.agent.memory: no quantity");
  std::string configured;
  const json status = Status();
  for (const json& blocker : status["blockedBy"]) {
    if (blocker["gate"] == "Configured") configured = blocker["unblockedBy"];
  }
  EXPECT_EQ(configured, "whoever changes what the message names; agents keep what they run");
}

TEST_F(SiteTest, UnderARolloutPodsAreReplacedByHandAndReadyMeansAsManyAsItAllows) {
  in_.partition.active = true;
  in_.partition.rollout = "weekly";
  in_.partition.target = 1;
  json strategy;
  for (const WantedObject& object : WantedObjects(in_, options_)) {
    if (object.resource.kind != "DaemonSet") continue;
    const json daemon_set = json::parse(object.json);
    strategy = daemon_set.at("/spec/updateStrategy"_json_pointer);
    EXPECT_EQ(daemon_set.at("/spec/minReadySeconds"_json_pointer), 2);
  }
  EXPECT_EQ(strategy, json({{"type", "OnDelete"}}));
  observed_.agents.updated = 1;
  observed_.moved = Moved{"agent@new", 2, 1, 1, 0, ""};
  json status = Status();
  EXPECT_EQ(ConditionOf(status, "AgentsReady")["status"], "True");
  EXPECT_EQ(status["agents"]["image"], "agent@new");
  EXPECT_EQ(status["agents"]["updatedReady"], 1);
  observed_.agents.updated = 0;
  EXPECT_EQ(ConditionOf(Status(), "AgentsReady")["reason"], "RollingOut");
  in_.partition.problem = "Rollout weekly does not exist";
  status = Status();
  EXPECT_EQ(ConditionOf(status, "AgentsReady")["reason"], "RolloutMissing");
  EXPECT_EQ(status["blockedBy"][0]["gate"], "AgentsReady");
}

TEST_F(SiteTest, AReleaseAtItsEndBlocksAndSaysSo) {
  in_.release = {"agent-1", true, kNow + std::chrono::seconds(1), kNow + std::chrono::seconds(2)};
  EXPECT_EQ(ConditionOf(Status(), "ReleaseSupported")["reason"], "Supported");
  in_.release.supported_until = kNow;
  EXPECT_EQ(ConditionOf(Status(), "ReleaseSupported")["reason"], "SupportEnded");
  EXPECT_EQ(ConditionOf(Status(), "Ready")["status"], "True") << "its life has not ended";
  in_.release.end_of_life = kNow;
  const json status = Status();
  EXPECT_EQ(ConditionOf(status, "ReleaseSupported")["status"], "False");
  EXPECT_EQ(ConditionOf(status, "Ready")["reason"], "EndOfLife");
  EXPECT_EQ(status["blockedBy"][0]["cause"], "EndOfLife");
  in_.release.found = false;
  EXPECT_EQ(ConditionOf(Status(), "ReleaseSupported")["reason"], "ReleaseMissing");
}

TEST_F(SiteTest, AMissingClassIsAConditionAndAgentsKeepRunning) {
  in_.class_status = base::NotFound("SiteClass \"x\", named by spec.classRef, does not exist");
  in_.site_class = nullptr;
  const json status = Status();
  EXPECT_EQ(ConditionOf(status, "ClassResolved")["reason"], "ClassMissing");
  EXPECT_EQ(ConditionOf(status, "Ready")["status"], "False");
}

TEST_F(SiteTest, ARefusedConfigurationIsTold) {
  observed_.fleet.in_step = 1;
  observed_.fleet.nacked = 1;
  observed_.fleet.example_nack = "node n1: disk_paths[0] cannot be written";
  const json status = Status();
  EXPECT_EQ(ConditionOf(status, "Configured")["reason"], "Refused");
  EXPECT_EQ(status["agents"]["refusal"], "node n1: disk_paths[0] cannot be written");
}

TEST_F(SiteTest, WhatAnAgentSaysIsWrongIsToldAndHoldsNothingBack) {
  observed_.fleet.connected = observed_.agents.wanted - 1;
  const json unheard = ConditionOf(Status(), "AgentsHealthy");
  EXPECT_EQ(unheard["status"], "Unknown") << "one that is gone has not become healthy";
  EXPECT_EQ(unheard["reason"], "NotHeard");
  observed_.fleet.connected = observed_.agents.wanted;
  EXPECT_EQ(ConditionOf(Status(), "AgentsHealthy")["status"], "True");
  observed_.fleet.connected = 2;
  observed_.fleet.degraded = 1;
  observed_.fleet.example_problem = "node n1: the disk tier is out; serving without it";
  const json status = Status();
  const json condition = ConditionOf(status, "AgentsHealthy");
  EXPECT_EQ(condition["status"], "False");
  EXPECT_EQ(condition["reason"], "Degraded");
  EXPECT_THAT(condition["message"].get<std::string>(), HasSubstr("1 of 2 agents"));
  EXPECT_THAT(condition["message"].get<std::string>(), HasSubstr("n1: the disk tier is out"));
  EXPECT_EQ(ConditionOf(status, "Ready")["status"], "True");
  EXPECT_FALSE(status.contains("blockedBy"));
}

TEST_F(SiteTest, AStatusBuiltAgainFromItsOwnOutcomeDoesNotChange) {
  const json first = Status();
  auto site = std::make_shared<v1alpha1::Site>(*in_.site);
  json object = in_.object->ToJson();
  object["status"] = first;
  in_.object = *meta::Object::FromJson(object);
  v1alpha1::SiteStatus& status = *site->mutable_status();
  for (const json& condition : first["conditions"]) {
    v1alpha1::Condition& out = *status.add_conditions();
    out.set_type(condition["type"]);
    out.set_status(condition["status"]);
    out.set_reason(condition["reason"]);
    out.set_message(condition.value("message", ""));
    out.set_observed_generation(condition["observedGeneration"]);
    out.set_last_transition_time(condition["lastTransitionTime"]);
  }
  status.mutable_config()->set_version(first["config"]["version"]);
  status.mutable_config()->set_since(first["config"]["since"]);
  in_.site = site;
  const json second =
      BuildStatus(in_, DeriveConfig(in_, {}), observed_, kNow + std::chrono::hours(1));
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace sluice::site
