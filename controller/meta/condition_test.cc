#include "controller/meta/condition.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/meta/limits.h"
#include "controller/meta/semantic.h"

namespace sluice::meta {
namespace {

constexpr base::WallTime kLater = base::WallTime(std::chrono::seconds(1'800'000'000));

ObjectPtr WithStatus(const nlohmann::json& status) {
  return Object::FromJson({{"metadata", {{"name", "a"}, {"generation", 7}}}, {"status", status}})
      .value();
}

nlohmann::json Live(const char* status) {
  return {{"conditions",
           {{{"type", "Other"}, {"status", "True"}, {"lastTransitionTime", "2020-01-01T00:00:00Z"}},
            {{"type", "Ready"},
             {"status", status},
             {"reason", "Made"},
             {"message", ""},
             {"observedGeneration", 7},
             {"lastTransitionTime", "2021-01-01T00:00:00Z"}}}}};
}

TEST(ConditionFor, KeepsTheTimeWhileTheStatusStaysAndMovesItWithTheStatus) {
  const auto same = ConditionFor(*WithStatus(Live("True")), {"Ready", "True", "Made"}, kLater);
  EXPECT_EQ(same["lastTransitionTime"], "2021-01-01T00:00:00Z");
  EXPECT_TRUE(Contains(Live("True"), {{"conditions", {same}}}));
  const auto moved = ConditionFor(*WithStatus(Live("False")), {"Ready", "True", "Made"}, kLater);
  EXPECT_EQ(moved["lastTransitionTime"], "2027-01-15T08:00:00Z");
  EXPECT_EQ(moved["observedGeneration"], 7);
}

TEST(ConditionFor, TakesAnyStatusForOneWithoutTheCondition) {
  for (const char* status : {"null", "[]", R"({"conditions":7})", R"({"conditions":[7,{}]})",
                             R"({"conditions":[{"type":"Ready","status":"True"}]})"}) {
    const auto live = WithStatus(nlohmann::json::parse(status));
    const auto made = ConditionFor(*live, {"Ready", "True", "Made"}, kLater);
    EXPECT_EQ(made["lastTransitionTime"], "2027-01-15T08:00:00Z") << status;
  }
}

TEST(ConditionFor, ItsMessageIsWhatTheApiTakes) {
  std::string text(kMaxConditionMessageBytes - 1, 'x');
  text += "\xc3\xa4\xff";
  const auto made = ConditionFor(*WithStatus(nullptr), {"Ready", "True", "Made", text}, kLater);
  EXPECT_EQ(made["message"], std::string(kMaxConditionMessageBytes - 1, 'x'));
  EXPECT_NO_THROW(made.dump());
}

}  // namespace
}  // namespace sluice::meta
