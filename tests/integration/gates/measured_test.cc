// The gates whose limit was measured or counted, capacity and gpuIdle, and a freeze in the way of a
// step down; on a real API server with a real Prometheus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/time_format.h"
#include "reconcilers/common/people_resources.h"
#include "tests/integration/gates/climb_world.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr char kMeasuredObjects[] = R"yaml(
apiVersion: sluice.dev/v1alpha1
kind: StagePlan
metadata: {name: short}
spec:
  stages:
  - name: Crawl
    tenancy: SingleTenant
    maxTenants: 1
    entryGates:
    - {name: room, capacity: {minReadyAgents: 2}, validForSeconds: 30}
  - name: Walk
    tenancy: CustomerTenant
    entryGates:
    - name: idle
      gpuIdle:
        query: avg(avg_over_time(gpu_wait_share{site="$site"}[$window]))
        freshnessSelector: gpu_wait_share{site="$site"}
        window: 3s
        baselineItem: gpu-idle-baseline
        minReduction: "0.5"
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
)yaml";

class MeasuredTest : public ClimbWorld {
 protected:
  MeasuredTest() : ClimbWorld(kMeasuredObjects) { exporter_.Set("gpu_wait_share", "0.3"); }

  // As the Site's own reconciler counts them.
  void Ready(int agents) {
    ASSERT_TRUE(server_
                    ->Kubectl({"patch", "site", "phoenix", "--subresource=status", "--type=merge",
                               "-p", json{{"status", {{"agents", {{"ready", agents}}}}}}.dump()})
                    .ok());
  }
  json Gate(const std::string& gate) {
    const std::string open =
        Look(common::kSites, "phoenix").value(json::json_pointer("/status/promotion"), "");
    const json promotion = Look(common::kPromotions, open);
    for (const json& each : promotion.value(json::json_pointer("/status/gates"), json::array())) {
      if (each.value("name", "") == gate) return each;
    }
    return json::object();
  }
  std::string Message(const std::string& gate) { return Gate(gate).value("message", ""); }
  std::string Causes(const std::string& gate) {
    return Gate(gate).value("causes", json::array()).dump();
  }
  // What was measured at phoenix before, verified an hour ago.
  void Baseline(const std::string& share) {
    const base::Status applied = server_->Apply(fmt::format(
        R"yaml(
apiVersion: sluice.dev/v1alpha1
kind: ReadinessReview
metadata: {{name: phoenix-walk}}
spec:
  siteRef: {{name: phoenix}}
  stage: Walk
  items:
  - {{name: gpu-idle-baseline, owner: ana@example.com, evidence: "https://wiki.example.com/b",
     verifiedBy: kubernetes-admin, verifiedAt: "{}", validFor: 90d, value: "{}"}}
)yaml",
        base::FormatRfc3339(std::chrono::system_clock::now() - 1h), share));
    ASSERT_TRUE(applied.ok()) << applied.ToString();
  }
};

TEST_F(MeasuredTest, CapacityAndGpuIdleHoldOnWhatWasCountedAndMeasured) {
  const auto stage = [this] { return Stage(); };
  const auto cause = [this] { return Cause(); };
  // One agent where two are wanted.
  Ready(1);
  EXPECT_TRUE(Becomes("WaitingForCapacity", cause));
  EXPECT_TRUE(
      WaitUntil([this] { return Message("room") == "1 agents ready (needs 2)"; }, kPatience))
      << Message("room");
  EXPECT_EQ(Stage(), "");
  Ready(2);
  EXPECT_TRUE(Becomes("Crawl", stage));

  // Nothing was measured before: no limit, no Pass.
  Want("Walk");
  EXPECT_TRUE(Becomes("ReadinessMissing", cause));
  // 0.3 is below what it was, but not by half; NaN is never below anything.
  Baseline("0.4");
  EXPECT_TRUE(Becomes("GateFailed", cause));
  EXPECT_THAT(Message("idle"), HasSubstr("needs <= 0.2"));
  exporter_.Set("gpu_wait_share", "NaN");
  EXPECT_TRUE(
      WaitUntil([this] { return Causes("idle").find("NoData") != std::string::npos; }, kPatience));
  EXPECT_EQ(Stage(), "Crawl");
  exporter_.Set("gpu_wait_share", "0.1");
  EXPECT_TRUE(Becomes("Walk", stage));
}

TEST_F(MeasuredTest, AFreezeHoldsAStepDownUntilItReopens) {
  const auto stage = [this] { return Stage(); };
  exporter_.Set("gpu_wait_share", "0.1");
  Ready(2);
  Baseline("0.4");
  EXPECT_TRUE(Becomes("Crawl", stage));
  Want("Walk");
  ASSERT_TRUE(Becomes("Walk", stage));
  const auto now = std::chrono::system_clock::now();
  ASSERT_TRUE(server_
                  ->Apply(fmt::format(R"yaml(
apiVersion: sluice.dev/v1alpha1
kind: FreezeWindow
metadata: {{name: golden-run}}
spec:
  reason: Golden run.
  once: {{from: "{}", to: "{}"}}
)yaml",
                                      base::FormatRfc3339(now - 1h), base::FormatRfc3339(now + 1h)))
                  .ok());
  Want("Crawl");
  EXPECT_TRUE(Becomes("Frozen", [this] { return Cause(); }));
  EXPECT_EQ(Stage(), "Walk");
  const json site = Look(common::kSites, "phoenix");
  EXPECT_THAT(site["status"]["blockedBy"][0].value("message", ""), HasSubstr("golden-run"));
  EXPECT_THAT(site["status"]["blockedBy"][0].value("unblockedBy", ""), HasSubstr("time: "));
  ASSERT_TRUE(server_->Kubectl({"delete", "freezewindow", "golden-run"}).ok());
  EXPECT_TRUE(Becomes("Crawl", stage));
}

}  // namespace
}  // namespace sluice
