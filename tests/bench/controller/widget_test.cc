#include "tests/bench/controller/widget.h"

#include <gtest/gtest.h>

#include "controller/meta/json_scanner.h"

namespace sluice::bench {
namespace {

base::Status Read(std::string_view json, Widget* widget) {
  return ReadWidget(meta::FindMember(json, "spec"), meta::FindMember(json, "status"), widget);
}

std::string HashOf(std::string_view json, std::string_view salt = "s") {
  Widget widget;
  const base::Status status = Read(json, &widget);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return Observed(salt, widget);
}

// Expected values: computed by an independent implementation (harness/widgets.py).
TEST(Widget, TheHashOfAnEmptySpecCoversSaltZerosAndFalse) {
  EXPECT_EQ(HashOf(R"({"spec":{}})"), "f5ac7ce15a5336a3");
}

TEST(Widget, EveryFieldEntersTheHashInTheProtocolsOrder) {
  EXPECT_EQ(HashOf(R"({"metadata":{"name":"w"},"spec":{"capacityBytes":9007199254740993,
      "enabled":true,"image":"i","owner":"o","params":{"b":"2","a":"1"},"replicas":3,"stamp":-4,
      "tags":["x","y"],"tier":"Gold","title":"t","weight":-7,"zone":"z"},
      "status":{"observed":"0","observedGeneration":5}})"),
            "545fc7a7f3d58473");
}

TEST(Widget, ParamsAreSortedAndEscapesMeanWhatTheyStandFor) {
  EXPECT_EQ(HashOf(R"({"spec":{"params":{"b":"2","\u0061":"\n1"}}})"),
            HashOf("{\"spec\":{\"params\":{\"a\":\"\\n1\",\"b\":\"2\"}}}"));
  EXPECT_EQ(HashOf(R"({"spec":{"params":{"b":"2","\u0061":"\n1"}}})"), "1712aea690cc8c0b");
}

TEST(Widget, AnotherSaltGivesAnotherHash) {
  EXPECT_NE(HashOf(R"({"spec":{}})", "a"), HashOf(R"({"spec":{}})", "b"));
}

TEST(Widget, WhatIsNoObjectCountsAsAbsent) {
  EXPECT_EQ(HashOf(R"({"spec":null,"status":[]})"), HashOf(R"({"spec":{}})"));
  EXPECT_EQ(HashOf("{}"), HashOf(R"({"spec":{}})"));
}

TEST(Widget, AFieldOfAnotherTypeIsAnError) {
  Widget widget;
  EXPECT_EQ(Read(R"({"spec":{"replicas":"3"}})", &widget).code(), base::Code::kInvalidArgument);
}

TEST(Widget, NothingOfTheOneReadBeforeStays) {
  Widget widget;
  ASSERT_TRUE(Read(R"({"spec":{"title":"t","tags":["a"],"params":{"k":"v"}},
      "status":{"observed":"ab"}})",
                   &widget)
                  .ok());
  ASSERT_TRUE(Read(R"({"spec":{}})", &widget).ok());
  EXPECT_EQ(Observed("s", widget), "f5ac7ce15a5336a3");
  EXPECT_FALSE(widget.observed.Is("ab"));
}

TEST(Widget, StatusIsRead) {
  Widget widget;
  ASSERT_TRUE(
      Read(R"({"spec":{},"status":{"observed":"ab","observedGeneration":2}})", &widget).ok());
  EXPECT_TRUE(widget.observed.Is("ab"));
  EXPECT_EQ(widget.observed_generation, 2);
}

}  // namespace
}  // namespace sluice::bench
