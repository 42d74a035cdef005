#include "controller/client/apply.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"

namespace sluice::client {
namespace {

const meta::Resource kThings{"example.com", "v1", "Thing", "things", true};
const meta::Key kThing{"ns", "a"};

nlohmann::json Thing(int size) {
  return {{"metadata", {{"name", "a"}, {"namespace", "ns"}}}, {"spec", {{"size", size}}}};
}

class ApplyIfDifferentTest : public ::testing::Test {
 protected:
  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
};

TEST_F(ApplyIfDifferentTest, WritesWhatIsMissingAndNothingThatIsThere) {
  ASSERT_THAT(ApplyIfDifferent(api_, kThings, Thing(1), nullptr, "us"), testing_kit::IsOk());
  const meta::ObjectPtr live = api_.Get(kThings, kThing).value();
  EXPECT_EQ(api_.writes(), 1);
  ASSERT_THAT(ApplyIfDifferent(api_, kThings, Thing(1), live, "us"), testing_kit::IsOk());
  EXPECT_EQ(api_.writes(), 1);
  ASSERT_THAT(ApplyIfDifferent(api_, kThings, Thing(2), live, "us"), testing_kit::IsOk());
  EXPECT_EQ(api_.writes(), 2);
  EXPECT_EQ(api_.Look(kThings, kThing)["spec"]["size"], 2);
}

TEST_F(ApplyIfDifferentTest, AStatusIsWrittenOnceAndOneThatReachedAnotherObjectIsTold) {
  api_.Put(kThings, Thing(1));
  const meta::ObjectPtr first = api_.Get(kThings, kThing).value();
  const nlohmann::json status = {{"ready", true}};
  ASSERT_THAT(ApplyStatusIfDifferent(api_, kThings, *first, status, "us"), testing_kit::IsOk());
  const meta::ObjectPtr told = api_.Get(kThings, kThing).value();
  EXPECT_EQ(told->status_json(), R"({"ready":true})");
  ASSERT_THAT(ApplyStatusIfDifferent(api_, kThings, *told, status, "us"), testing_kit::IsOk());
  EXPECT_EQ(api_.writes(), 1);
  ASSERT_TRUE(api_.Delete(kThings, kThing).ok());
  api_.Put(kThings, Thing(1));
  EXPECT_THAT(ApplyStatusIfDifferent(api_, kThings, *first, status, "us"),
              testing_kit::HasCode(base::Code::kAborted));
}

}  // namespace
}  // namespace sluice::client
