// The whole climb against a real API server and a real Prometheus. Each hold is caused, seen, and
// healed; the controller is restarted in the middle; at rest nothing is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/gates/climb_world.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

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

class ClimbTest : public ClimbWorld {
 protected:
  ClimbTest() : ClimbWorld(kObjects) {}
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

  // The target goes away before Walk is asked for: the query still answers from its window.
  exporter_.Break(true);
  EXPECT_TRUE(Becomes("False StaleData", measurable));
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
