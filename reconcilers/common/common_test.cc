#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/clock.h"
#include "controller/base/digest.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/binding.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/status_write.h"

namespace sluice::common {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_kit::IsOk;

v1alpha1::StagePlan Ladder() {
  v1alpha1::StagePlan plan;
  v1alpha1::Stage& crawl = *plan.mutable_spec()->add_stages();
  crawl.set_name("Crawl");
  crawl.set_tenancy("SingleTenant");
  v1alpha1::Stage& walk = *plan.mutable_spec()->add_stages();
  walk.set_name("Walk");
  walk.set_tenancy("CustomerTenant");
  walk.set_max_tenants(2);
  return plan;
}

TEST(BindTenants, CrawlTakesTheOldestAndSaysWhoHoldsThePlace) {
  const v1alpha1::StagePlan plan = Ladder();
  const auto bindings =
      BindTenants("phoenix", "Crawl", &plan,
                  {{"later", "2026-01-02T00:00:00Z"}, {"falcon", "2026-01-01T00:00:00Z"}});
  ASSERT_EQ(bindings.size(), 2u);
  EXPECT_EQ(bindings[0].tenant, "falcon");
  EXPECT_TRUE(bindings[0].bound);
  EXPECT_FALSE(bindings[1].bound);
  EXPECT_EQ(bindings[1].reason, "StageFull");
  EXPECT_EQ(bindings[1].message, "stage Crawl of site phoenix takes 1 tenant, held by falcon");
}

TEST(BindTenants, ABoundTenantKeepsItsPlaceBeforeAnOlderOne) {
  const v1alpha1::StagePlan plan = Ladder();
  const auto bindings = BindTenants(
      "phoenix", "Crawl", &plan,
      {{"older", "2026-01-01T00:00:00Z", false}, {"holder", "2026-01-02T00:00:00Z", true}});
  EXPECT_EQ(bindings[0].tenant, "holder");
  EXPECT_FALSE(bindings[1].bound);
}

TEST(BindTenants, AStepDownNamesTheTenantsBeyondButKeepsThem) {
  const v1alpha1::StagePlan plan = Ladder();
  const auto bindings =
      BindTenants("phoenix", "Crawl", &plan,
                  {{"a", "2026-01-01T00:00:00Z", true}, {"b", "2026-01-02T00:00:00Z", true}});
  EXPECT_TRUE(bindings[1].bound);
  EXPECT_TRUE(bindings[1].beyond);
  EXPECT_EQ(bindings[1].reason, "BeyondStage");
}

TEST(BindTenants, BeforeTheFirstStageNobodyIsBound) {
  const v1alpha1::StagePlan plan = Ladder();
  EXPECT_EQ(BindTenants("phoenix", "", &plan, {{"a", ""}})[0].reason, "NoStageReached");
  EXPECT_EQ(BindTenants("phoenix", "Gone", &plan, {{"a", ""}})[0].reason, "StageUnknown");
  EXPECT_EQ(BindTenants("phoenix", "Crawl", nullptr, {{"a", ""}})[0].reason, "StageUnknown");
}

json SecretOf(json data) {
  for (auto& [key, value] : data.items()) value = base::Base64Encode(value.get<std::string>());
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"metadata", {{"name", "keys"}, {"namespace", "ns"}}},
          {"data", data}};
}

TEST(S3Keys, AreReadWithThePreviousOnesWhileTheyRotate) {
  const auto secret = meta::Object::FromJson(SecretOf({{"AWS_ACCESS_KEY_ID", "new"},
                                                       {"AWS_SECRET_ACCESS_KEY", "s1"},
                                                       {"AWS_ACCESS_KEY_ID_PREVIOUS", "old"},
                                                       {"AWS_SECRET_ACCESS_KEY_PREVIOUS", "s2"}}));
  const auto keys = ParseS3Keys(**secret);
  ASSERT_THAT(keys, IsOk());
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].access_key_id, "new");
  EXPECT_EQ((*keys)[1].secret_access_key, "s2");
}

TEST(S3Keys, AMissingKeyIsNamedAndNoValueIsTold) {
  const auto secret = meta::Object::FromJson(SecretOf({{"AWS_ACCESS_KEY_ID", "verysecret"}}));
  const auto keys = ParseS3Keys(**secret);
  ASSERT_FALSE(keys.ok());
  EXPECT_THAT(keys.status().message(), HasSubstr("AWS_SECRET_ACCESS_KEY is missing"));
  EXPECT_THAT(keys.status().message(), Not(HasSubstr("verysecret")));
  EXPECT_FALSE(ParseS3Keys(**meta::Object::FromJson(SecretOf(json::object()))).ok());
}

TEST(S3Keys, WhatAgentsWouldRefuseForTheWholeSiteIsRefusedForItsTenantAlone) {
  for (const char* id : {"AKIA\n", "AK IA", "AK/IA", "AK,IA", "AK\"IA"}) {
    const auto secret = meta::Object::FromJson(
        SecretOf({{"AWS_ACCESS_KEY_ID", id}, {"AWS_SECRET_ACCESS_KEY", "verysecret"}}));
    const auto keys = ParseS3Keys(**secret);
    ASSERT_FALSE(keys.ok()) << id;
    EXPECT_EQ(keys.status().code(), base::Code::kInvalidArgument);
    EXPECT_THAT(keys.status().message(), HasSubstr("Secret ns/keys: key AWS_ACCESS_KEY_ID is"));
    EXPECT_THAT(keys.status().message(), Not(HasSubstr("verysecret")));
  }
  const auto secret = meta::Object::FromJson(
      SecretOf({{"AWS_ACCESS_KEY_ID", "AKIA"}, {"AWS_SECRET_ACCESS_KEY", std::string(1025, 'x')}}));
  EXPECT_FALSE(ParseS3Keys(**secret).ok());
}

TEST(S3Keys, APreviousKeyUnderTheSameIdIsNoSecondKey) {
  const auto secret = meta::Object::FromJson(SecretOf({{"AWS_ACCESS_KEY_ID", "same"},
                                                       {"AWS_SECRET_ACCESS_KEY", "new"},
                                                       {"AWS_ACCESS_KEY_ID_PREVIOUS", "same"},
                                                       {"AWS_SECRET_ACCESS_KEY_PREVIOUS", "old"}}));
  const auto keys = ParseS3Keys(**secret);
  ASSERT_THAT(keys, IsOk());
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ((*keys)[0].secret_access_key, "new");
}

class ApplierTest : public ::testing::Test {
 protected:
  json Wanted(const std::string& value) {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"name", "x"}, {"namespace", "ns"}}},
            {"data", {{"key", value}}}};
  }
  meta::ObjectPtr Live() {
    const auto live = api_.Get(kConfigMaps, {"ns", "x"});
    return live.ok() ? *live : nullptr;
  }
  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Applier applier_{api_, "test"};
};

TEST_F(ApplierTest, WritesOnceAndThenOnlyWhatDiffers) {
  ASSERT_TRUE(applier_.Apply(kConfigMaps, Wanted("a"), Live())->wrote);
  EXPECT_FALSE(applier_.Apply(kConfigMaps, Wanted("a"), Live())->wrote);
  EXPECT_TRUE(applier_.Apply(kConfigMaps, Wanted("b"), Live())->wrote);
}

TEST_F(ApplierTest, ForgetsANamespaceThatIsGoneAndNoOther) {
  json space = {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "ns"}}}};
  json other = Wanted("a");
  other["metadata"]["namespace"] = "ns-2";
  const auto live = [&](const meta::Resource& kind, const meta::Key& key) {
    return *api_.Get(kind, key);
  };
  ASSERT_THAT(applier_.Apply(kNamespaces, space, nullptr), IsOk());
  ASSERT_THAT(applier_.Apply(kConfigMaps, Wanted("a"), nullptr), IsOk());
  ASSERT_THAT(applier_.Apply(kConfigMaps, other, nullptr), IsOk());
  applier_.ForgetNamespace("ns");
  EXPECT_TRUE(applier_.Apply(kNamespaces, space, live(kNamespaces, {"", "ns"}))->wrote);
  EXPECT_TRUE(applier_.Apply(kConfigMaps, Wanted("a"), Live())->wrote);
  EXPECT_FALSE(applier_.Apply(kConfigMaps, other, live(kConfigMaps, {"ns-2", "x"}))->wrote);
}

TEST_F(ApplierTest, AfterALostAnswerWhatIsNotWantedAnyMoreIsGivenUp) {
  ASSERT_THAT(applier_.Apply(kConfigMaps, Wanted("a"), Live()), IsOk());
  json more = Wanted("a");
  more["data"]["extra"] = "x";
  api_.FailAfter([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "apply") return base::Unavailable("the answer was lost");
    return std::nullopt;
  });
  EXPECT_FALSE(applier_.Apply(kConfigMaps, more, Live()).ok());
  api_.FailAfter(nullptr);
  ASSERT_EQ(api_.Look(kConfigMaps, {"ns", "x"})["data"]["extra"], "x");
  EXPECT_TRUE(applier_.Apply(kConfigMaps, Wanted("a"), Live())->wrote);
  EXPECT_FALSE(api_.Look(kConfigMaps, {"ns", "x"})["data"].contains("extra"));
}

TEST_F(ApplierTest, RepairsDriftAndLeavesForeignFieldsAlone) {
  ASSERT_THAT(applier_.Apply(kConfigMaps, Wanted("a"), Live()), IsOk());
  json edited = api_.Look(kConfigMaps, {"ns", "x"});
  edited["data"]["key"] = "drifted";
  edited["metadata"]["labels"] = {{"team", "theirs"}};
  api_.Put(kConfigMaps, edited);
  EXPECT_TRUE(applier_.Apply(kConfigMaps, Wanted("a"), Live())->wrote);
  const json now = api_.Look(kConfigMaps, {"ns", "x"});
  EXPECT_EQ(now["data"]["key"], "a");
  EXPECT_EQ(now["metadata"]["labels"]["team"], "theirs");
  EXPECT_FALSE(applier_.Apply(kConfigMaps, Wanted("a"), Live())->wrote);
}

TEST_F(ApplierTest, AStatusIsWrittenOnceAndAgainOnlyWhenItIsNotThere) {
  api_.Put(kConfigMaps, Wanted("a"));
  const json status = {{"observedGeneration", 1}, {"conditions", json::array()}};
  ASSERT_TRUE(applier_.ApplyStatus(kConfigMaps, *Live(), status)->wrote);
  EXPECT_FALSE(applier_.ApplyStatus(kConfigMaps, *Live(), status)->wrote);
  EXPECT_FALSE(applier_.ApplyStatus(kConfigMaps, *Live(), status)->wrote) << "known by its text";
  json edited = api_.Look(kConfigMaps, {"ns", "x"});
  edited["status"]["stage"] = "Walk";  // another writer's part
  api_.Put(kConfigMaps, edited);
  EXPECT_FALSE(applier_.ApplyStatus(kConfigMaps, *Live(), status)->wrote);
  edited["status"]["observedGeneration"] = 0;
  api_.Put(kConfigMaps, edited);
  EXPECT_TRUE(applier_.ApplyStatus(kConfigMaps, *Live(), status)->wrote) << "drift";
}

TEST_F(ApplierTest, AStatusThatReachedAnotherObjectOfTheNameIsAConflict) {
  api_.Put(kConfigMaps, Wanted("a"));
  const meta::ObjectPtr before = Live();
  ASSERT_THAT(api_.Delete(kConfigMaps, {"ns", "x"}), IsOk());
  api_.Put(kConfigMaps, Wanted("a"));
  EXPECT_EQ(applier_.ApplyStatus(kConfigMaps, *before, {{"ready", 1}}).status().reason(),
            "Conflict");
}

TEST_F(ApplierTest, AStatusOfAnOlderVersionIsRefusedWhereThatIsAsked) {
  api_.Put(kConfigMaps, Wanted("a"));
  const meta::ObjectPtr before = Live();
  const auto write = [&] {
    return WriteStatus(api_, kConfigMaps, *before, R"({"stage":"Walk"})", "test",
                       StatusPrecondition::kSameVersion);
  };
  ASSERT_THAT(write(), IsOk());
  EXPECT_EQ(write().status().reason(), "Conflict");
}

}  // namespace
}  // namespace sluice::common
