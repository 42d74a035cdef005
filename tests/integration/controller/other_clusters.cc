#include "tests/integration/controller/other_clusters.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/client/config.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::integration {

using nlohmann::json;
using testing_kit::ApiServer;
using testing_kit::IsOk;
using testing_kit::WaitUntil;

namespace {

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

// The shipped role's subject is a service account; these stand in for it.
constexpr const char* kRemoteBinding = R"(
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: test}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sluice-site-cluster}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: first}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: second}
)";

}  // namespace

void OtherClusters::SetUp() {
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
  ASSERT_THAT(
      other_->Kubectl({"apply", "--server-side", "-f", "deploy/manifests/site-cluster/rbac.yaml"}),
      IsOk());
  ASSERT_THAT(other_->Apply(kRemoteBinding), IsOk());
  ASSERT_THAT(other_client_->Create(
                  common::kNodes,
                  {{"apiVersion", "v1"},
                   {"kind", "Node"},
                   {"metadata", {{"name", "n1"}, {"labels", {{"sluice.dev/site", "gpu"}}}}}}),
              IsOk());
  replica_ = std::make_unique<Replica>("replica", home_->folder(), home_->controller_kubeconfig());
}

std::string OtherClusters::SiteText(const std::string& name, const std::string& secret, int drain) {
  std::string extra;
  if (!secret.empty()) {
    extra = fmt::format(
        "  cluster: {{kubeconfigSecretRef: {{name: {}}}}}\n"
        "  control: {{endpoint: \"127.0.0.1:9443\"}}\n",
        secret);
  }
  return fmt::format(R"(
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
                     name, drain, extra);
}

void OtherClusters::PutSite(const std::string& name, const std::string& secret, int drain) {
  ASSERT_THAT(home_->server().Apply(SiteText(name, secret, drain)), IsOk());
}

void OtherClusters::PutSecret(const std::string& name, const std::string& kubeconfig) {
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

std::string OtherClusters::KubeconfigOf(const std::string& user, const std::string& server) {
  json config = json::parse(other_->Kubectl({"config", "view", "--raw", "-o", "json"}).value());
  for (json& each : config["users"]) each["user"] = {{"token", other_->token(user)}};
  if (!server.empty()) {
    for (json& each : config["clusters"]) each["cluster"]["server"] = server;
  }
  return config.dump();
}

std::string OtherClusters::OtherServer() {
  const json config =
      json::parse(other_->Kubectl({"config", "view", "--raw", "-o", "json"}).value());
  return config.at("/clusters/0/cluster/server"_json_pointer).get<std::string>();
}

json OtherClusters::There(const meta::Resource& resource, const meta::Key& key) {
  const auto object = other_client_->Get(resource, key);
  return object.ok() ? (*object)->ToJson() : json();
}

json OtherClusters::DaemonSetThere(const std::string& site) {
  return There(common::kDaemonSets, {"sluice-site-" + site, "sluice-agent"});
}

int OtherClusters::DrainOf(const json& daemon_set) {
  if (!daemon_set.is_object()) return -1;
  const json& args = daemon_set.at("/spec/template/spec/containers/0/args"_json_pointer);
  const auto at = std::find(args.begin(), args.end(), "--drain-seconds");
  return std::stoi((at + 1)->get<std::string>());
}

bool OtherClusters::DrainBecomes(const std::string& site, int drain) {
  return WaitUntil([&] { return DrainOf(DaemonSetThere(site)) == drain; }, kPatience);
}

std::string OtherClusters::Served(const std::string& site) {
  return Said(site, "ClusterServed", "status") + " " + Said(site, "ClusterServed", "reason");
}

bool OtherClusters::Becomes(const std::string& site, const std::string& served) {
  return WaitUntil([&] { return Served(site) == served; }, kPatience);
}

bool OtherClusters::AwayIs(const std::string& site) {
  return WaitUntil([&] { return Served(site).rfind("False ", 0) == 0; }, kPatience);
}

std::string OtherClusters::Said(const std::string& site, const std::string& type,
                                const char* field) {
  const json condition = home_->Condition(common::kSites, site, type);
  return condition.is_object() ? condition.value(field, "") : "";
}

int OtherClusters::Counted(const std::string& site, const std::string& pointer) {
  const json object = Site(site);
  return object.is_object() ? object.value(json::json_pointer(pointer), 0) : 0;
}

}  // namespace sluice::integration
