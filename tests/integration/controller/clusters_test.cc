// Sites whose nodes are in another cluster, on two real API servers, under exactly the shipped
// roles in both: made so there and not here, kept so, and gone from there. A third cluster takes
// connections and never answers; it holds up nobody.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <future>

#include "controller/base/digest.h"
#include "controller/client/config.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/resources.h"
#include "tests/integration/controller/world.h"

namespace sluice::integration {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing_kit::ApiServer;
using testing_kit::IsOk;
using testing_kit::WaitUntil;

constexpr const char* kShared = R"(
apiVersion: sluice.dev/v1alpha1
kind: StagePlan
metadata: {name: ladder}
spec:
  stages:
  - {name: Crawl, tenancy: SingleTenant, maxTenants: 1, entryGates: [{name: soak, soak: {seconds: 3600}}]}
---
apiVersion: sluice.dev/v1alpha1
kind: SiteClass
metadata: {name: small}
spec:
  hardware: {gpusPerNode: 0}
  agent: {memory: 256Mi, protocols: [S3]}
  stagePlanRef: {name: ladder}
)";
constexpr auto kPatience = 120s;

// Takes connections, and says nothing.
class Silent {
 public:
  Silent() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    SLUICE_CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    SLUICE_CHECK(listen(socket_, 64) == 0);
    SLUICE_CHECK(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~Silent() { close(socket_); }
  std::string url() const { return fmt::format("https://127.0.0.1:{}", port_); }

 private:
  const int socket_;
  int port_ = 0;
};

class OtherClusters : public testing::Test {
 protected:
  void SetUp() override {
    auto started = std::async(std::launch::async, [] {
      return ApiServer::Start({.controller_manager = true, .users = {"first", "second"}});
    });
    auto made = World::Make();
    auto other = started.get();
    ASSERT_THAT(made, IsOk());
    ASSERT_THAT(other, IsOk());
    home_ = std::move(made).value();
    other_ = std::move(other).value();
    other_client_ = client::NewClient(client::LoadKubeconfig(other_->kubeconfig()).value()).value();
    ASSERT_THAT(home_->server().Apply(kShared), IsOk());
    ASSERT_THAT(other_->Kubectl(
                    {"apply", "--server-side", "-f", "deploy/manifests/site-cluster/rbac.yaml"}),
                IsOk());
    // The shipped role's subject is a service account; these stand in for it.
    ASSERT_THAT(other_->Apply(R"(
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: test}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sluice-site-cluster}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: first}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: second}
)"),
                IsOk());
    ASSERT_THAT(other_client_->Create(
                    common::kNodes,
                    {{"apiVersion", "v1"},
                     {"kind", "Node"},
                     {"metadata", {{"name", "n1"}, {"labels", {{"sluice.dev/site", "gpu"}}}}}}),
                IsOk());
    replica_ =
        std::make_unique<Replica>("replica", home_->folder(), home_->controller_kubeconfig());
  }

  void PutSite(const std::string& name, const std::string& secret, int drain) {
    std::string extra;
    if (!secret.empty()) {
      extra = fmt::format(
          "  cluster: {{kubeconfigSecretRef: {{name: {}}}}}\n"
          "  control: {{endpoint: \"127.0.0.1:9443\"}}\n",
          secret);
    }
    ASSERT_THAT(home_->server().Apply(fmt::format(R"(
apiVersion: sluice.dev/v1alpha1
kind: Site
metadata: {{name: {}}}
spec:
  classRef: {{name: small}}
  nodeSelector: {{sluice.dev/site: gpu}}
  stage: Crawl
  requestedBy: test
  updates: {{drainSeconds: {}}}
{})",
                                                  name, drain, extra)),
                IsOk());
  }
  void PutSecret(const std::string& name, const std::string& kubeconfig) {
    const json secret = {
        {"apiVersion", "v1"},
        {"kind", "Secret"},
        {"metadata",
         {{"name", name}, {"namespace", kNamespace}, {"labels", {{"sluice.dev/cluster", "true"}}}}},
        {"data", {{"kubeconfig", base::Base64Encode(kubeconfig)}}}};
    ASSERT_THAT(
        home_->client().Apply(common::kSecrets, secret, {.field_manager = "test", .force = true}),
        IsOk());
  }
  // The other cluster's kubeconfig for a user by token; of another server when one is named.
  std::string KubeconfigOf(const std::string& user, const std::string& server = "") {
    json config = json::parse(other_->Kubectl({"config", "view", "--raw", "-o", "json"}).value());
    for (json& each : config["users"]) each["user"] = {{"token", other_->token(user)}};
    if (!server.empty()) {
      for (json& each : config["clusters"]) each["cluster"]["server"] = server;
    }
    return config.dump();
  }
  json There(const meta::Resource& resource, const meta::Key& key) {
    const auto object = other_client_->Get(resource, key);
    return object.ok() ? (*object)->ToJson() : json();
  }
  json DaemonSetThere() {
    return There(common::kDaemonSets, {"sluice-site-tucson", "sluice-agent"});
  }
  static int DrainOf(const json& daemon_set) {
    if (!daemon_set.is_object()) return -1;
    const json& args = daemon_set.at("/spec/template/spec/containers/0/args"_json_pointer);
    const auto at = std::find(args.begin(), args.end(), "--drain-seconds");
    return std::stoi((at + 1)->get<std::string>());
  }
  std::string Served(const std::string& site) {
    return Said(site, "ClusterServed", "status") + " " + Said(site, "ClusterServed", "reason");
  }
  bool Becomes(const std::string& site, const std::string& served) {
    return WaitUntil([&] { return Served(site) == served; }, kPatience);
  }
  bool AwayIs(const std::string& site) {
    return WaitUntil([&] { return Served(site).rfind("False ", 0) == 0; }, kPatience);
  }
  // Of the Site's status; empty or 0 while it is not there.
  std::string Said(const std::string& site, const std::string& type, const char* field) {
    const json condition = home_->Condition(common::kSites, site, type);
    return condition.is_object() ? condition.value(field, "") : "";
  }
  int SelectedNodes(const std::string& site) {
    const json object = Site(site);
    return object.is_object() ? object.value("/status/nodes/selected"_json_pointer, 0) : 0;
  }
  json Site(const std::string& name) { return home_->Get(common::kSites, "", name); }

  Silent silent_;
  std::unique_ptr<World> home_;
  std::unique_ptr<ApiServer> other_;
  std::unique_ptr<client::Client> other_client_;
  std::unique_ptr<Replica> replica_;
};

TEST_F(OtherClusters, ASiteElsewhereIsMadeSoThereAndASilentClusterHoldsUpNobody) {
  PutSecret("silent", KubeconfigOf("first", silent_.url()));
  PutSite("lost", "silent", 30);
  PutSecret("tucson", KubeconfigOf("first"));
  PutSite("tucson", "tucson", 30);
  PutSite("phoenix", "", 30);
  ASSERT_TRUE(Becomes("tucson", "True Reachable")) << Served("tucson") << replica_->Log();
  ASSERT_TRUE(WaitUntil([&] { return DrainOf(DaemonSetThere()) == 30; }, kPatience))
      << replica_->Log();
  for (const auto& [resource, key] : std::vector<std::pair<meta::Resource, meta::Key>>{
           {common::kNamespaces, {"", "sluice-site-tucson"}},
           {common::kServiceAccounts, {"sluice-site-tucson", "sluice-agent"}},
           {common::kConfigMaps, {"sluice-site-tucson", "sluice-ca"}},
           {common::kServices, {"sluice-site-tucson", "s3"}}}) {
    ASSERT_TRUE(WaitUntil([&] { return There(resource, key).is_object(); }, kPatience));
    EXPECT_FALSE(There(resource, key)["metadata"].contains("ownerReferences"))
        << "the garbage collector there knows no Site and would take it";
    EXPECT_TRUE(home_->Get(resource, key.ns, key.name).is_null()) << "nothing of it is here";
  }
  EXPECT_TRUE(WaitUntil([&] { return SelectedNodes("tucson") == 1; }, kPatience))
      << "nodes are those of its own cluster";
  EXPECT_EQ(SelectedNodes("phoenix"), 0);

  // What others break there is repaired.
  ASSERT_THAT(other_client_->Delete(common::kServices, {"sluice-site-tucson", "s3"}), IsOk());
  EXPECT_TRUE(WaitUntil(
      [&] {
        return There(common::kServices, {"sluice-site-tucson", "s3"}).is_object();
      },
      kPatience));

  ASSERT_TRUE(AwayIs("lost")) << Served("lost");
  ASSERT_NE(Said("lost", "ClusterServed", "message"), "");
  PutSite("tucson", "tucson", 40);
  EXPECT_TRUE(WaitUntil([&] { return DrainOf(DaemonSetThere()) == 40; }, kPatience));
  EXPECT_THAT(replica_->Metrics(), HasSubstr("sluice_cluster_reachable{cluster=\"silent\"} 0"));
  EXPECT_THAT(replica_->Metrics(), HasSubstr("sluice_cluster_reachable{cluster=\"tucson\"} 1"));
  // Nothing was ever made there, so nothing has to be taken away.
  ASSERT_THAT(home_->client().Delete(common::kSites, {"", "lost"}), IsOk());
  EXPECT_TRUE(WaitUntil([&] { return Site("lost").is_null(); }, kPatience));
  EXPECT_THAT(replica_->Log(), testing::Not(HasSubstr("Forbidden"))) << "the shipped roles suffice";
}

TEST_F(OtherClusters, AClusterGoesAwayComesBackChangesItsCredentialsAndIsLeftClean) {
  PutSecret("tucson", KubeconfigOf("first"));
  PutSite("tucson", "tucson", 30);
  ASSERT_TRUE(WaitUntil([&] { return DrainOf(DaemonSetThere()) == 30; }, kPatience))
      << Served("tucson") << replica_->Log();

  // Away: the condition says so, Sites of this cluster are made as ever.
  ASSERT_THAT(other_->StopComponent("kube-apiserver", "KILL"), IsOk());
  ASSERT_TRUE(AwayIs("tucson")) << replica_->Log();
  PutSite("phoenix", "", 30);
  EXPECT_TRUE(WaitUntil(
      [&] {
        return home_->Get(common::kDaemonSets, "sluice-site-phoenix", "sluice-agent").is_object();
      },
      kPatience));
  PutSite("tucson", "tucson", 40);
  ASSERT_THAT(other_->StartComponent("kube-apiserver"), IsOk());
  ASSERT_TRUE(Becomes("tucson", "True Reachable")) << replica_->Log();
  ASSERT_TRUE(WaitUntil([&] { return DrainOf(DaemonSetThere()) == 40; }, kPatience))
      << "what was missed is made up for";

  // Other credentials, while running.
  PutSecret("tucson", KubeconfigOf("second"));
  PutSite("tucson", "tucson", 50);
  ASSERT_TRUE(WaitUntil([&] { return DrainOf(DaemonSetThere()) == 50; }, kPatience));
  EXPECT_TRUE(WaitUntil(
      [&] {
        const auto writes = other_->Writes();
        return writes.ok() && std::any_of(writes->begin(), writes->end(), [](const auto& line) {
                 return line.rfind("second ", 0) == 0;
               });
      },
      kPatience));

  // The Secret goes: nothing is done there any more, and what runs goes on. A deletion waits.
  ASSERT_THAT(home_->client().Delete(common::kSecrets, {kNamespace, "tucson"}), IsOk());
  ASSERT_TRUE(Becomes("tucson", "False KubeconfigMissing")) << Served("tucson");
  EXPECT_TRUE(DaemonSetThere().is_object());
  ASSERT_THAT(home_->client().Delete(common::kSites, {"", "tucson"}), IsOk());
  ASSERT_TRUE(WaitUntil([&] { return Said("tucson", "Deleting", "reason") == "WaitingForCluster"; },
                        kPatience));
  EXPECT_TRUE(DaemonSetThere().is_object());

  // It comes back, and everything of the Site goes from there, and then the Site.
  PutSecret("tucson", KubeconfigOf("second"));
  EXPECT_TRUE(WaitUntil([&] { return Site("tucson").is_null(); }, kPatience * 3))
      << Site("tucson").dump(1) << replica_->Log();
  EXPECT_TRUE(There(common::kNamespaces, {"", "sluice-site-tucson"}).is_null());
}

}  // namespace
}  // namespace sluice::integration
