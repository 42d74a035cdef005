// A Rollout whose gates ask a real Prometheus: before each step after the canary, and between
// waves. The sites' controllers are played: as many nodes have the release as the Rollout allows.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "reconcilers/common/release_resources.h"
#include "tests/integration/gates/climb_world.h"

namespace sluice {
namespace {

constexpr char kRolloutObjects[] = R"yaml(
apiVersion: v1
kind: ConfigMap
metadata: {name: nothing, namespace: sluice-system}
)yaml";
constexpr int kNodes = 4;

class RolloutGatesTest : public ClimbWorld {
 protected:
  RolloutGatesTest() : ClimbWorld(kRolloutObjects) {
    exporter_.Set("errors", "0");
    exporter_.Grow("canary_all", 100);
    exporter_.Grow("canary_bad", 0);
  }
  static std::string Image(char digit) { return "agent@sha256:" + std::string(64, digit); }
  void Release(const std::string& name, const char* version, char digit) {
    Put(common::kReleases, name, {{"version", version}, {"image", Image(digit)}});
  }
  void Prepare() {
    Release("old", "1.0.0", 'a');
    Release("new", "2.0.0", 'b');
    for (const char* site : {"canary", "next"}) {
      Put(common::kSites, site,
          {{"classRef", {{"name", "small"}}},
           {"nodeSelector", {{"sluice.dev/site", site}}},
           {"prometheus", {{"url", prometheus_->url()}, {"scrapeIntervalSeconds", 1}}},
           {"release", {{"image", Image('a')}}},
           {"stage", "Crawl"},
           {"requestedBy", "kubernetes-admin"}});
      Obey(site);
    }
    Put(common::kObjectives, "canary-availability",
        {{"subjectRef", {{"kind", "Site"}, {"name", "canary"}}},
         {"indicator",
          {{"ratio",
            {{"bad", "sum(rate(canary_bad[$window]))"},
             {"total", "sum(rate(canary_all[$window]))"}}}}},
         {"window", "20s"},
         {"target", "0.9"},
         {"minEvents", 10}});
  }
  static json Errors(const char* on_fail) {
    return {{"name", "errors"},
            {"onFail", on_fail},
            {"metric",
             {{"query", "errors"},
              {"op", "lt"},
              {"threshold", "1"},
              {"freshnessSelector", "errors"},
              {"learningWindow", "5m"}}}};
  }
  void Ask(const std::string& name, const std::string& release, const char* on_fail) {
    const json budget = {{"name", "budget"},
                         {"slo", {{"template", "availability"}, {"minBudgetRemaining", "0.5"}}}};
    Put(common::kRollouts, name,
        {{"releaseRef", {{"name", release}}},
         {"requestedBy", "kubernetes-admin"},
         {"waves", json::array({{{"name", "first"},
                                 {"sites", {{"names", {"canary"}}}},
                                 {"stepPercent", 50},
                                 {"soakSeconds", 0},
                                 {"gatesAt", "Step"},
                                 {"gates", json::array({Errors(on_fail)})}},
                                {{"name", "rest"},
                                 {"sites", {{"names", {"next"}}}},
                                 {"stepPercent", 100},
                                 {"soakSeconds", 0},
                                 {"gates", json::array({budget})}}})}});
  }
  json Status() { return Look(common::kRollouts, rollout_).value("status", json::object()); }
  json Entry(const std::string& site) {
    for (const json& each : Status().value("sites", json::array())) {
      if (each.value("name", "") == site) return each;
    }
    return json::object();
  }
  void Obey(const std::string& site) {
    const json object = Look(common::kSites, site);
    const json release = object["spec"]["release"];
    int target = kNodes;
    if (release.contains("rolloutRef")) target = Entry(site).value("targetNodes", 0);
    const json status = {{"observedGeneration", object["metadata"]["generation"]},
                         {"agents",
                          {{"wanted", kNodes},
                           {"ready", kNodes},
                           {"image", release["image"]},
                           {"updated", target},
                           {"updatedReady", target}}}};
    if (told_[site] == status) return;
    PutStatus(common::kSites, site, status);
    told_[site] = status;
  }
  bool Comes(const std::function<bool()>& fact) {
    return WaitUntil(
        [&] {
          for (const char* site : {"canary", "next"}) Obey(site);
          return fact();
        },
        120s);
  }
  std::vector<std::string> Causes(const std::string& gate) {
    for (const json& each : Status().value("gates", json::array())) {
      if (each.value("name", "") == gate) return each.value("causes", std::vector<std::string>());
    }
    return {};
  }
  // In force once Prometheus has it; no step is taken meanwhile, since nobody obeys.
  void SetErrors(const char* value) {
    exporter_.Set("errors", value);
    const int until = exporter_.scrapes() + 2;
    ASSERT_TRUE(WaitUntil([&] { return exporter_.scrapes() >= until; }, kPatience));
  }
  bool IsHeldBy(const std::string& gate, const std::string& cause) {
    const json first = Status().value(json::json_pointer("/blockedBy/0"), json::object());
    return first.value("gate", "") == gate && first.value("cause", "") == cause;
  }

  std::string rollout_;
  std::map<std::string, json> told_;
};

TEST_F(RolloutGatesTest, StepsAndWavesWaitForWhatPrometheusSaysOfTheSiteAcrossARestart) {
  Prepare();
  rollout_ = "weekly";
  Ask(rollout_, "new", "Hold");
  // The canary node shows errors before it is given to more.
  ASSERT_TRUE(Comes([&] { return Entry("canary").value("targetNodes", 0) >= 1; }));
  SetErrors("5");
  ASSERT_TRUE(Comes([&] { return IsHeldBy("canary/errors", "GateFailed"); })) << Status().dump(1);
  const int given = Entry("canary")["targetNodes"];
  life_.reset();
  prometheus_->Stop();
  Start();
  EXPECT_TRUE(Comes([&] {
    const auto causes = Causes("canary/errors");
    return std::find(causes.begin(), causes.end(), "ProviderError") != causes.end();
  })) << Status().dump(1);
  EXPECT_TRUE(IsHeldBy("canary/errors", "GateFailed")) << "what was judged stands";
  EXPECT_EQ(Entry("canary")["targetNodes"], given);
  EXPECT_EQ(Status().value("direction", ""), "Forward") << "blindness never reverts";
  prometheus_->Resume();
  // The budget of the first site is used up before the second is asked about.
  exporter_.Grow("canary_bad", 80);
  exporter_.Set("errors", "0");
  EXPECT_TRUE(Comes([&] { return IsHeldBy("canary/budget", "BudgetExhausted"); }))
      << Status().dump(1);
  EXPECT_EQ(Entry("canary")["state"], "Done");
  EXPECT_EQ(Look(common::kSites, "next")["spec"]["release"]["image"], Image('a'));
  exporter_.Grow("canary_bad", 0);
  EXPECT_TRUE(Comes([&] { return Status().value("outcome", "") == "Completed"; }))
      << Status().dump(1);
  EXPECT_EQ(Look(common::kSites, "next")["spec"]["release"]["image"], Image('b'));
}

TEST_F(RolloutGatesTest, AGateThatFailsOnRealDataBringsBackWhatWasMoved) {
  Prepare();
  rollout_ = "risky";
  Ask(rollout_, "new", "Revert");
  ASSERT_TRUE(Comes([&] { return Entry("canary").value("targetNodes", 0) >= 1; }));
  SetErrors("5");
  EXPECT_TRUE(Comes([&] { return Status().value("outcome", "") != ""; })) << Status().dump(1);
  EXPECT_EQ(Status()["outcome"], "Reverted") << Status().dump(1);
  EXPECT_TRUE(Comes([&] {
    const json release = Look(common::kSites, "canary")["spec"]["release"];
    return release["image"] == Image('a') && !release.contains("rolloutRef");
  }));
}

}  // namespace
}  // namespace sluice
