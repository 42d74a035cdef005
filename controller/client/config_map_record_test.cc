#include "controller/client/config_map_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"

namespace sluice::client {
namespace {

using Data = std::map<std::string, std::string>;

class ConfigMapRecordTest : public ::testing::Test {
 protected:
  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  ConfigMapRecord one_{api_, api_, {"sluice", "record"}, "for the test"};
  ConfigMapRecord two_{api_, api_, {"sluice", "record"}, "for the test"};
};

TEST_F(ConfigMapRecordTest, OfTwoWritersOneWins) {
  EXPECT_EQ(*one_.Read(), nullptr);
  const auto made = one_.Write({{"a", "1"}}, "");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(two_.Write({{"a", "2"}}, "").status().code(), base::Code::kAlreadyExists);
  const auto read = two_.Read();
  ASSERT_TRUE(read.ok() && *read != nullptr);
  EXPECT_EQ(ConfigMapData(**read), (Data{{"a", "1"}}));
  ASSERT_TRUE(two_.Write({{"a", "2"}}, std::string((*read)->resource_version())).ok());
  const auto late = one_.Write({{"a", "3"}}, std::string((*made)->resource_version()));
  EXPECT_EQ(late.status().code(), base::Code::kAborted);
  EXPECT_EQ(ConfigMapData(**one_.Read()), (Data{{"a", "2"}}));
}

TEST_F(ConfigMapRecordTest, ADeletedRecordIsALostRace) {
  const auto made = one_.Write({{"a", "1"}}, "");
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(api_.Delete(ConfigMapResource(), one_.key(), {}).ok());
  const auto late = one_.Write({{"a", "2"}}, std::string((*made)->resource_version()));
  EXPECT_EQ(late.status().code(), base::Code::kAborted);
  EXPECT_EQ(late.status().reason(), "Conflict");
}

TEST_F(ConfigMapRecordTest, WhatIsNoTextIsLeftOut) {
  const auto object =
      meta::Object::FromJson({{"metadata", {{"name", "x"}}}, {"data", {{"a", 1}, {"b", "two"}}}});
  ASSERT_TRUE(object.ok());
  EXPECT_EQ(ConfigMapData(**object), (Data{{"b", "two"}}));
  const auto none = meta::Object::FromJson({{"metadata", {{"name", "x"}}}, {"data", "text"}});
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(ConfigMapData(**none).empty());
}

}  // namespace
}  // namespace sluice::client
