// Agents of a Site in another cluster: one proves itself with a token of that cluster and is
// configured, and goes on being so while its cluster's API server is away; tokens of this cluster
// and nodes of nobody's are refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"
#include "datapath/control/source.h"
#include "reconcilers/common/release_resources.h"
#include "tests/integration/controller/other_clusters.h"

namespace sluice::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_kit::IsOk;
using testing_kit::WaitUntil;

constexpr const char* kAgentNamespace = "sluice-site-tucson";
constexpr const char* kAgentAccount = "sluice-agent";

// The agent's end of the stream, without what it serves.
class StreamAgent {
 public:
  StreamAgent(const std::string& folder, const std::string& node, const std::string& token,
              const std::string& ca_pem, const Replica& replica) {
    std::filesystem::create_directories(folder);
    SLUICE_CHECK(base::WriteFileAtomic(folder + "/token", token, 0600).ok());
    SLUICE_CHECK(base::WriteFileAtomic(folder + "/ca.pem", ca_pem).ok());
    control::StreamOptions options;
    options.site = "tucson";
    options.node = node;
    options.agent_version = "test";
    options.endpoints = {fmt::format("127.0.0.1:{}", replica.Logged("control_port"))};
    options.enrolment_endpoints = {fmt::format("127.0.0.1:{}", replica.Logged("enrolment_port"))};
    options.token_file = folder + "/token";
    options.ca_file = folder + "/ca.pem";
    options.state_dir = folder + "/state";
    options.secrets_dir = folder + "/secrets";
    options.backoff_first = std::chrono::milliseconds(50);
    options.backoff_most = std::chrono::milliseconds(500);
    source_ = control::MakeStreamSource(std::move(options), clock_);
    const base::Status started = source_->Start([this](const control::ConfigPtr& config) {
      const std::lock_guard lock(mutex_);
      prefix_ = config->mounts.empty() ? "" : config->mounts.front().prefix;
      return base::OkStatus();
    });
    EXPECT_THAT(started, IsOk());
  }
  ~StreamAgent() { source_->Stop(); }

  // Of the first mount of the configuration in force.
  std::string prefix() const {
    const std::lock_guard lock(mutex_);
    return prefix_;
  }
  control::StreamState state() const { return source_->state(); }

 private:
  base::RealClock clock_;
  mutable std::mutex mutex_;
  std::string prefix_;  // guarded by mutex_
  std::unique_ptr<control::StreamSource> source_;
};

class AgentsElsewhere : public OtherClusters {
 protected:
  void PutTucson(const std::string& prefix) {
    ASSERT_THAT(home_->server().Apply(SiteText("tucson", "tucson", 30) + fmt::format(R"(
  origins:
  - name: lake
    s3: {{endpoint: "http://127.0.0.1:1", region: us-east-1, credentialsRef: {{name: lake-agent}}}}
  mounts:
  - {{path: /datasets, origin: lake, bucket: training, prefix: {}}}
)",
                                                                                     prefix)),
                IsOk());
  }
  // As the kubelet has it made for an agent on `node`: bound to a pod there, for audience sluice.
  static std::string TokenOf(client::Client& api, const std::string& node) {
    const std::string pod = "agent-" + node;
    const auto made = api.Create(
        common::kPods, {{"apiVersion", "v1"},
                        {"kind", "Pod"},
                        {"metadata", {{"name", pod}, {"namespace", kAgentNamespace}}},
                        {"spec",
                         {{"serviceAccountName", kAgentAccount},
                          {"nodeName", node},
                          {"containers", json::array({{{"name", "agent"}, {"image", "none"}}})}}}});
    EXPECT_THAT(made, IsOk());
    if (!made.ok()) return "";
    const json request = {
        {"apiVersion", "authentication.k8s.io/v1"},
        {"kind", "TokenRequest"},
        {"spec",
         {{"audiences", {"sluice"}},
          {"expirationSeconds", 3600},
          {"boundObjectRef",
           {{"apiVersion", "v1"}, {"kind", "Pod"}, {"name", pod}, {"uid", (*made)->uid()}}}}}};
    const auto answer = api.Raw("POST",
                                fmt::format("/api/v1/namespaces/{}/serviceaccounts/{}/token",
                                            kAgentNamespace, kAgentAccount),
                                request.dump());
    EXPECT_THAT(answer, IsOk());
    return answer.ok() ? json::parse(*answer)["status"]["token"].get<std::string>() : "";
  }
  static base::Status MakeNode(client::Client& api, const std::string& name) {
    return api
        .Create(common::kNodes,
                {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", name}}}})
        .status();
  }
  std::string TrustThere() {
    const json map = There(common::kConfigMaps, {kAgentNamespace, "sluice-ca"});
    return map.is_object() ? map["data"]["ca.crt"].get<std::string>() : "";
  }
  std::string Folder(const std::string& name) { return home_->folder() + "/" + name; }
};

TEST_F(AgentsElsewhere, AnAgentOfAnotherClusterEnrolsThereAndIsConfiguredWhileThatClusterIsAway) {
  ASSERT_THAT(home_->server().Apply(R"(
apiVersion: v1
kind: Secret
metadata: {name: lake-agent, namespace: sluice-system}
stringData: {AWS_ACCESS_KEY_ID: origin, AWS_SECRET_ACCESS_KEY: origin-secret}
)"),
              IsOk());
  PutSecret("tucson", KubeconfigOf("first"));
  PutTucson("one/");
  ASSERT_TRUE(DrainBecomes("tucson", 30)) << Served("tucson") << replica_->Log();
  ASSERT_NE(replica_->Logged("enrolment_port"), 0) << replica_->Log();
  const std::string trust = TrustThere();
  ASSERT_NE(trust, "");

  const StreamAgent agent(Folder("n1"), "n1", TokenOf(*other_client_, "n1"), trust, *replica_);
  ASSERT_TRUE(WaitUntil([&] { return agent.prefix() == "one/"; }, kPatience))
      << agent.state().last_error << replica_->Log();
  EXPECT_EQ(agent.state().enrolments, 1);
  EXPECT_TRUE(
      WaitUntil([&] { return Counted("tucson", "/status/agents/configured") == 1; }, kPatience))
      << Site("tucson").dump(1);
  EXPECT_EQ(Counted("tucson", "/status/nodes/selected"), 1);

  // A pod of the same name, account and node, but of this cluster: its token says nothing there.
  ASSERT_THAT(home_->server().Apply(fmt::format(R"(
apiVersion: v1
kind: Namespace
metadata: {{name: {0}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {1}, namespace: {0}}}
)",
                                                kAgentNamespace, kAgentAccount)),
              IsOk());
  ASSERT_THAT(MakeNode(home_->client(), "n1"), IsOk());
  const StreamAgent stranger(Folder("stranger"), "n1", TokenOf(home_->client(), "n1"), trust,
                             *replica_);
  EXPECT_TRUE(WaitUntil([&] { return stranger.state().last_error != ""; }, kPatience));
  EXPECT_THAT(stranger.state().last_error, HasSubstr("token was refused"));
  // Of the right cluster, on a node that is not the Site's.
  ASSERT_THAT(MakeNode(*other_client_, "n2"), IsOk());
  const StreamAgent misplaced(Folder("n2"), "n2", TokenOf(*other_client_, "n2"), trust, *replica_);
  EXPECT_TRUE(WaitUntil(
      [&] { return misplaced.state().last_error.find("does not select") != std::string::npos; },
      kPatience))
      << misplaced.state().last_error;
  EXPECT_EQ(stranger.state().enrolments + misplaced.state().enrolments, 0);

  // Changed, then changed while the cluster's API server is away: the stream needs only us.
  PutTucson("two/");
  EXPECT_TRUE(WaitUntil([&] { return agent.prefix() == "two/"; }, kPatience));
  ASSERT_THAT(other_->StopComponent("kube-apiserver", "KILL"), IsOk());
  ASSERT_TRUE(AwayIs("tucson")) << replica_->Log();
  PutTucson("three/");
  EXPECT_TRUE(WaitUntil([&] { return agent.prefix() == "three/"; }, kPatience)) << replica_->Log();
  EXPECT_TRUE(
      WaitUntil([&] { return Counted("tucson", "/status/agents/configured") == 1; }, kPatience))
      << Site("tucson").dump(1);
  EXPECT_EQ(agent.state().enrolments, 1);
}

}  // namespace
}  // namespace sluice::integration
