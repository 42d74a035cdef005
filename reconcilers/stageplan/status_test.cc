#include "reconcilers/stageplan/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"

namespace sluice::stageplan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const base::WallTime kNow{std::chrono::seconds(1'800'000'000)};

v1alpha1::StagePlan Plan(const std::string& gates) {
  v1alpha1::StagePlan plan;
  const auto status = types::FromJson(
      nlohmann::json::parse(R"({"spec": {"stages": [{"name": "Walk", "tenancy": "CustomerTenant",
          "entryGates": )" + gates +
                            "}]}}"),
      &plan);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return plan;
}

constexpr char kGood[] = R"json([{"name": "soak", "soak": {"seconds": 30}},
    {"name": "agents", "metric": {"query": "min(a{site=\"$site\"}) / max(b > 0)", "op": "gte",
     "threshold": "1", "freshnessSelector": "a{site=\"$site\"}"}}])json";

TEST(StagePlan, AGoodPlanIsReadyAndCarriesItsHash) {
  EXPECT_THAT(Problems(Plan(kGood)), IsEmpty());
  const auto status = BuildStatus(Plan(kGood), 3, kNow);
  EXPECT_EQ(status->conditions(0).status(), "True");
  EXPECT_EQ(status->observed_generation(), 3);
  EXPECT_EQ(status->hash().size(), 64U);
}

TEST(StagePlan, EachProblemNamesItsField) {
  EXPECT_THAT(Problems(Plan("[]")), ElementsAre(HasSubstr("stages[Walk].entryGates: none")));
  EXPECT_THAT(Problems(Plan(R"([{"name": "a", "soak": {"seconds": 1}},
                                {"name": "a", "soak": {"seconds": 1}}])")),
              ElementsAre("stages[Walk].entryGates[a]: the name is used twice"));
  EXPECT_THAT(Problems(Plan(R"([{"name": "a"}])")), ElementsAre(HasSubstr("kind of gate")));
  EXPECT_THAT(Problems(Plan(R"([{"name": "a", "burnRate": {"template": "x", "below": "y"}}])")),
              ElementsAre(HasSubstr("entryGates[a]: burnRate.below")));
  const auto metric = [](const std::string& query, const std::string& selector) {
    nlohmann::json gate = {
        {"name", "m"},
        {"metric",
         {{"query", query}, {"op", "lte"}, {"threshold", "1"}, {"freshnessSelector", selector}}}};
    return Problems(Plan("[" + gate.dump() + "]"));
  };
  EXPECT_THAT(metric("x{site=\"$sit\"}", "x"), ElementsAre(HasSubstr("metric.query")));
  EXPECT_THAT(metric("vector(1)", "x"), ElementsAre(HasSubstr("reads no series")));
  EXPECT_THAT(metric("x", "rate(x[5m])"), ElementsAre(HasSubstr("one plain series selector")));
  EXPECT_THAT(metric("x", "x + y"), ElementsAre(HasSubstr("one plain series selector")));
}

TEST(StagePlan, ABadPlanIsNotReadyAndSaysWhy) {
  const auto status = BuildStatus(Plan("[]"), 1, kNow);
  EXPECT_EQ(status->conditions(0).status(), "False");
  EXPECT_EQ(status->conditions(0).reason(), "Misconfigured");
  EXPECT_THAT(status->conditions(0).message(), HasSubstr("stages[Walk]"));
}

TEST(StagePlan, ConditionsKeepTheirTransitionTime) {
  auto plan = Plan(kGood);
  *plan.mutable_status() = *BuildStatus(plan, 1, kNow);
  const auto later = BuildStatus(plan, 1, kNow + std::chrono::hours(1));
  EXPECT_EQ(later->conditions(0).last_transition_time(),
            plan.status().conditions(0).last_transition_time());
}

}  // namespace
}  // namespace sluice::stageplan
