// A climb against a real API server and a real Prometheus: the controllers of Promotions, Rollouts,
// objectives and plans in a Manager, an exporter that plays the site's agents. Include only from
// the tests of this folder.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "controller/base/time_format.h"
#include "controller/client/config.h"
#include "controller/runtime/manager.h"
#include "controller/testing/api_server.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/gates/testing/exporter.h"
#include "reconcilers/gates/testing/prometheus_process.h"
#include "reconcilers/promotion/register.h"
#include "reconcilers/rollout/register.h"
#include "reconcilers/slo/register.h"
#include "reconcilers/stageplan/register.h"

namespace sluice {

using namespace std::chrono_literals;
using gates::testing::Exporter;
using gates::testing::PrometheusProcess;
using nlohmann::json;
using testing_kit::WaitUntil;

inline constexpr auto kPatience = 60s;

inline std::string At(base::WallTime time) { return base::FormatRfc3339(time); }

inline std::string SiteYaml(const std::string& prometheus, const std::string& stage) {
  return fmt::format(R"yaml(
apiVersion: sluice.dev/v1alpha1
kind: Site
metadata: {{name: phoenix}}
spec:
  classRef: {{name: small}}
  nodeSelector: {{sluice.dev/site: phoenix}}
  prometheus: {{url: "{}", scrapeIntervalSeconds: 1}}
  stage: {}
  requestedBy: {}
)yaml",
                     prometheus, stage, "kubernetes-admin");
}

// What outlives a life of the controller; null: the real clock, no audit log, no external gates.
struct LifeOptions {
  base::Clock* clock = nullptr;
  audit::Appender* audit = nullptr;
  gates::ExternalAsker* external = nullptr;
};

// One life of the controller: made, run on a thread, stopped.
class ControllerLife {
 public:
  ControllerLife(const std::string& kubeconfig, const LifeOptions& outer) {
    base::Clock& clock = outer.clock == nullptr ? own_clock_ : *outer.clock;
    audit::Appender& audit = outer.audit == nullptr ? no_audit_ : *outer.audit;
    auto config = client::LoadKubeconfig(kubeconfig);
    SLUICE_CHECK(config.ok());
    auto api = client::NewClient(*config);
    SLUICE_CHECK(api.ok());
    api_ = *std::move(api);
    runtime::Options options;
    options.name = "sluice-controller";
    options.identity = "test";
    options.metrics_address = "127.0.0.1:0";
    options.health_address.clear();
    manager_ = runtime::Manager::New(options, *api_, clock);
    secrets_ = std::make_unique<common::SecretReader>(
        *api_, manager_->StoreOf(common::kSecrets, {.ns = "sluice-system"}), "sluice-system",
        clock);
    client::Client& fenced = manager_->fenced_client();
    promotion_deps_.emplace(promotion::Deps{fenced, *secrets_, audit, clock, outer.external});
    rollout_deps_.emplace(rollout::Deps{
        fenced, *secrets_, audit, clock, {"agent:1", "IfNotPresent"}, outer.external});
    slo_deps_.emplace(slo::Deps{fenced, *secrets_, clock});
    plan_deps_.emplace(stageplan::Deps{fenced, clock});
    promotion::Register(*manager_, *promotion_deps_);
    rollout::Register(*manager_, *rollout_deps_);
    slo::Register(*manager_, *slo_deps_);
    stageplan::Register(*manager_, *plan_deps_);
    thread_ = std::jthread([this](std::stop_token stop) {
      const base::Status status = manager_->Run(stop);
      EXPECT_TRUE(status.ok()) << status.ToString();
    });
  }
  ~ControllerLife() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  base::RealClock own_clock_;
  audit::NoAudit no_audit_;
  std::unique_ptr<client::Client> api_;
  std::unique_ptr<runtime::Manager> manager_;
  std::unique_ptr<common::SecretReader> secrets_;
  std::optional<promotion::Deps> promotion_deps_;
  std::optional<rollout::Deps> rollout_deps_;
  std::optional<slo::Deps> slo_deps_;
  std::optional<stageplan::Deps> plan_deps_;
  std::jthread thread_;
};

// `objects` is applied before the controller starts; a Site phoenix then wants Crawl.
class ClimbWorld : public ::testing::Test {
 protected:
  explicit ClimbWorld(const char* objects) : objects_(objects) {}
  void SetUp() override {
    exporter_.Set("sluice_site_agents_ready", "1");
    exporter_.Set("sluice_site_agents_wanted", "1");
    exporter_.Grow("requests_total{outcome=\"ok\"}", 100);
    exporter_.Grow("requests_total{outcome=\"error\"}", 0);
    auto prometheus = PrometheusProcess::Start(exporter_.port(), "");
    ASSERT_TRUE(prometheus.ok()) << prometheus.status().ToString();
    prometheus_ = *std::move(prometheus);
    testing_kit::ApiServerOptions options;
    options.crds = "deploy/crds";
    auto server = testing_kit::ApiServer::Start(options);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
    ASSERT_TRUE(server_->Kubectl({"create", "namespace", "sluice-system"}).ok());
    const base::Status applied = server_->Apply(objects_);
    ASSERT_TRUE(applied.ok()) << applied.ToString();
    Want("Crawl");
    auto config = client::LoadKubeconfig(server_->kubeconfig());
    api_ = *client::NewClient(*config);
    Start();
  }
  void TearDown() override {
    life_.reset();
    if (api_) api_->Stop();
  }

  void Want(const std::string& stage) {
    const base::Status status = server_->Apply(SiteYaml(prometheus_->url(), stage));
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Start() { life_ = std::make_unique<ControllerLife>(server_->kubeconfig(), outer_); }
  void Restart() {
    life_.reset();
    Start();
  }

  // Makes the object, or changes it; our part of it is replaced.
  void Put(const meta::Resource& resource, const std::string& name, json spec) {
    Write(resource, name, "spec", std::move(spec));
  }
  // As the object's own controller would.
  void PutStatus(const meta::Resource& resource, const std::string& name, json status) {
    Write(resource, name, "status", std::move(status));
  }

  json Look(const meta::Resource& resource, const std::string& name) {
    const auto object = api_->Get(resource, {"", name});
    return object.ok() ? (*object)->ToJson() : json::object();
  }
  std::string Stage() {
    return Look(common::kSites, "phoenix").value(json::json_pointer("/status/stage"), "");
  }
  // The first cause that holds the site, as its status says.
  std::string Cause() {
    return Look(common::kSites, "phoenix")
        .value(json::json_pointer("/status/blockedBy/0/cause"), "");
  }
  std::string Condition(const meta::Resource& resource, const std::string& name,
                        const std::string& type) {
    const json object = Look(resource, name);
    for (const json& c : object.value(json::json_pointer("/status/conditions"), json::array())) {
      if (c.value("type", "") == type) return c.value("status", "") + " " + c.value("reason", "");
    }
    return "";
  }
  ::testing::AssertionResult Becomes(const std::string& wanted,
                                     const std::function<std::string()>& read) {
    if (WaitUntil([&] { return read() == wanted; }, kPatience)) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "wanted " << wanted << ", got " << read() << "\n"
                                         << Look(common::kSites, "phoenix").dump(1);
  }

  void Write(const meta::Resource& resource, const std::string& name, const char* part,
             json content) {
    const json body = {{"apiVersion", resource.ApiVersion()},
                       {"kind", resource.kind},
                       {"metadata", {{"name", name}}},
                       {part, std::move(content)}};
    client::ApplyOptions options;
    options.field_manager = "test";
    options.force = true;
    const auto answer = std::string(part) == "status" ? api_->ApplyStatus(resource, body, options)
                                                      : api_->Apply(resource, body, options);
    EXPECT_TRUE(answer.ok()) << resource.kind << " " << name << ": " << answer.status().ToString();
  }

  const char* const objects_;
  LifeOptions outer_;  // set before SetUp starts the first life
  Exporter exporter_;
  std::unique_ptr<PrometheusProcess> prometheus_;
  std::unique_ptr<testing_kit::ApiServer> server_;
  std::unique_ptr<client::Client> api_;
  std::unique_ptr<ControllerLife> life_;
};

}  // namespace sluice
