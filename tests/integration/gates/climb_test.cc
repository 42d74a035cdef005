// The whole climb against a real API server and a real Prometheus: the controllers of Promotions,
// objectives and plans in a Manager, an exporter that plays the site's agents. Each hold is caused,
// seen, and healed; the controller is restarted in the middle; at rest nothing is written.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "controller/client/config.h"
#include "controller/runtime/manager.h"
#include "controller/testing/api_server.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/gates/testing/exporter.h"
#include "reconcilers/gates/testing/prometheus_process.h"
#include "reconcilers/promotion/register.h"
#include "reconcilers/slo/register.h"
#include "reconcilers/stageplan/register.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using gates::testing::Exporter;
using gates::testing::PrometheusProcess;
using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::WaitUntil;

constexpr auto kPatience = 60s;

constexpr char kObjects[] = R"yaml(
apiVersion: sluice.dev/v1alpha1
kind: StagePlan
metadata: {name: short}
spec:
  stages:
  - name: Crawl
    tenancy: SingleTenant
    maxTenants: 1
    entryGates:
    - name: agents
      metric:
        query: min(sluice_site_agents_ready{site="$site"}) / max(sluice_site_agents_wanted{site="$site"} > 0)
        op: gte
        threshold: "1"
        freshnessSelector: sluice_site_agents_ready{site="$site"}
      validForSeconds: 30
  - name: Walk
    tenancy: CustomerTenant
    entryGates:
    - name: soak
      soak: {seconds: 5}
    - name: availability
      slo: {template: availability, minBudgetRemaining: "0.5"}
      validForSeconds: 30
  - name: Run
    tenancy: ProviderTenant
    entryGates:
    - name: soak
      soak: {seconds: 3}
    - name: availability
      slo: {template: availability, minBudgetRemaining: "0.5"}
      validForSeconds: 30
    - name: burn
      burnRate: {template: availability, below: "1"}
      validForSeconds: 30
---
apiVersion: sluice.dev/v1alpha1
kind: SiteClass
metadata: {name: small}
spec:
  hardware: {gpusPerNode: 8, dram: 1Gi, disks: [{kind: NVMe, count: 1, size: 1Gi}]}
  facility: {cooling: Air, rackKilowatts: 10}
  agent: {memory: 192Mi, disk: 1Gi, protocols: [S3]}
  stagePlanRef: {name: short}
---
apiVersion: sluice.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: phoenix-availability}
spec:
  subjectRef: {kind: Site, name: phoenix}
  indicator:
    ratio:
      good: sum(rate(requests_total{site="$site",outcome="ok"}[$window]))
      total: sum(rate(requests_total{site="$site"}[$window]))
  budgetingMethod: Occurrences
  window: 20s
  target: "0.95"
  minEvents: 100
  alertWindows:
  - {severity: Page, longWindow: 10s, shortWindow: 4s, factor: "2"}
)yaml";

std::string SiteYaml(const std::string& prometheus, const std::string& stage) {
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

// One life of the controller: made, run on a thread, stopped.
class ControllerLife {
 public:
  explicit ControllerLife(const std::string& kubeconfig) {
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
    manager_ = runtime::Manager::New(options, *api_, clock_);
    secrets_ = std::make_unique<common::SecretReader>(
        *api_, manager_->StoreOf(common::kSecrets, {.ns = "sluice-system"}), "sluice-system",
        clock_);
    promotion_deps_.emplace(promotion::Deps{manager_->fenced_client(), *secrets_, audit_, clock_});
    slo_deps_.emplace(slo::Deps{manager_->fenced_client(), *secrets_, clock_});
    plan_deps_.emplace(stageplan::Deps{manager_->fenced_client(), clock_});
    promotion::Register(*manager_, *promotion_deps_);
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
  base::RealClock clock_;
  std::unique_ptr<client::Client> api_;
  std::unique_ptr<runtime::Manager> manager_;
  std::unique_ptr<common::SecretReader> secrets_;
  audit::NoAudit audit_;
  std::optional<promotion::Deps> promotion_deps_;
  std::optional<slo::Deps> slo_deps_;
  std::optional<stageplan::Deps> plan_deps_;
  std::jthread thread_;
};

class ClimbTest : public ::testing::Test {
 protected:
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
    const base::Status applied = server_->Apply(kObjects);
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
  void Start() { life_ = std::make_unique<ControllerLife>(server_->kubeconfig()); }

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

  Exporter exporter_;
  std::unique_ptr<PrometheusProcess> prometheus_;
  std::unique_ptr<testing_kit::ApiServer> server_;
  std::unique_ptr<client::Client> api_;
  std::unique_ptr<ControllerLife> life_;
};

TEST_F(ClimbTest, ASiteClimbsOnlyOnEvidenceAndSurvivesWhatHappensMeanwhile) {
  const auto stage = [this] { return Stage(); };
  const auto cause = [this] { return Cause(); };
  EXPECT_TRUE(Becomes("Crawl", stage));
  EXPECT_TRUE(
      Becomes("True Valid", [&] { return Condition(common::kStagePlans, "short", "Ready"); }));
  const auto measurable = [&] {
    return Condition(common::kObjectives, "phoenix-availability", "Measurable");
  };
  EXPECT_TRUE(Becomes("True Measured", measurable));
  const json rules =
      api_->Get(common::kConfigMaps, {"sluice-system", "sluice-rules-phoenix-availability"})
          .value()
          ->ToJson();
  EXPECT_THAT(rules["data"]["phoenix-availability.yaml"].get<std::string>(),
              HasSubstr("SluiceSloBurnsFast"));

  // The target goes away while Walk is asked for: the query still answers from its window.
  exporter_.Break(true);
  Want("Run");
  EXPECT_TRUE(Becomes("StaleData", cause));
  EXPECT_EQ(Stage(), "Crawl");
  exporter_.Break(false);
  EXPECT_TRUE(Becomes("Walk", stage));

  // Errors: the budget is used up and the step to Run is held with the numbers; a restart of the
  // controller changes nothing, neither does a Prometheus that does not answer.
  exporter_.Grow("requests_total{outcome=\"error\"}", 100);
  EXPECT_TRUE(Becomes("BudgetExhausted", cause));
  life_.reset();
  prometheus_->Stop();
  Start();
  const std::string run = Look(common::kSites, "phoenix")["status"].value("promotion", "");
  EXPECT_TRUE(WaitUntil(
      [&] {
        const json object = Look(common::kPromotions, run);
        for (const json& gate : object.value(json::json_pointer("/status/gates"), json::array())) {
          const json causes = gate.value("causes", json::array());
          const auto has = [&](const char* c) {
            return std::find(causes.begin(), causes.end(), c) != causes.end();
          };
          if (has("BudgetExhausted") && has("ProviderError")) return true;
        }
        return false;
      },
      kPatience))
      << Look(common::kPromotions, run).dump(1);
  EXPECT_EQ(Cause(), "BudgetExhausted") << "what was judged stands while nothing newer answers";
  EXPECT_EQ(Stage(), "Walk");
  prometheus_->Resume();
  exporter_.Grow("requests_total{outcome=\"error\"}", 0);
  EXPECT_TRUE(Becomes("Run", stage));
  EXPECT_TRUE(Becomes("True Reached",
                      [&] { return Condition(common::kSites, "phoenix", "StageReached"); }));

  const json promotion = Look(common::kPromotions, run);
  EXPECT_EQ(promotion["status"]["outcome"], "Promoted");
  for (const json& gate : promotion["status"]["gates"]) {
    EXPECT_EQ(gate["verdict"], "Pass");
    EXPECT_EQ(gate["evidenceHash"].get<std::string>().size(), 64U);
  }
  EXPECT_LT(promotion.dump().size(), 10'000U) << "objects stay below 10 kB";
}

TEST_F(ClimbTest, AtRestNothingIsWrittenAboutTheSite) {
  EXPECT_TRUE(Becomes("Crawl", [this] { return Stage(); }));
  EXPECT_TRUE(Becomes("True Reached",
                      [&] { return Condition(common::kSites, "phoenix", "StageReached"); }));
  const auto ours = [&] {
    std::size_t count = 0;
    const auto writes = server_->Writes();
    if (!writes.ok()) return std::size_t{0};
    for (const std::string& line : *writes) {
      if (line.find(" sites") != std::string::npos ||
          line.find(" promotions") != std::string::npos) {
        ++count;
      }
    }
    return count;
  };
  const std::size_t before = ours();
  ASSERT_GT(before, 0U);
  // Several looks of every controller: the objective is read every five seconds.
  const int scrapes = exporter_.scrapes();
  ASSERT_TRUE(WaitUntil([&] { return exporter_.scrapes() >= scrapes + 12; }, kPatience));
  EXPECT_EQ(ours(), before);
}

}  // namespace
}  // namespace sluice
