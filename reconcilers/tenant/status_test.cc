#include "reconcilers/tenant/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::tenant {
namespace {

using nlohmann::json;

constexpr auto kNow = base::WallTime(std::chrono::seconds(1'800'000'000));

// A Tenant that is looked at again and again: each look finds the status of the one before.
class TenantTest : public ::testing::Test {
 protected:
  json Look(const base::Status& credentials, bool bound = true) {
    Facts facts;
    facts.credentials = credentials;
    facts.sites["phoenix"] = {"falcon", bound, false, bound ? "Bound" : "StageFull", ""};
    tenant_["status"] = BuildStatus(**meta::Object::FromJson(tenant_), facts, kNow);
    return tenant_["status"];
  }
  // "STATUS REASON" of a condition about the site; empty: it is not there.
  static std::string AboutSite(const json& status, const std::string& type) {
    for (const json& condition : status["sites"][0]["conditions"]) {
      if (condition["type"] != type) continue;
      return condition["status"].get<std::string>() + " " + condition["reason"].get<std::string>();
    }
    return "";
  }

  json tenant_ = {{"apiVersion", "sluice.dev/v1alpha1"},
                  {"kind", "Tenant"},
                  {"metadata", {{"name", "falcon"}, {"generation", 1}}},
                  {"spec", {{"sites", {"phoenix"}}}}};
};

TEST_F(TenantTest, ASecretThatCannotBeUsedIsNamedInConditionAndBlocker) {
  const json status = Look(base::InvalidArgument("Secret falcon/keys: key X is missing"));
  EXPECT_EQ(status["conditions"][0]["reason"], "SecretInvalid");
  EXPECT_EQ(status["blockedBy"][0]["gate"], "credentials");
  EXPECT_EQ(status["blockedBy"][0]["message"], "Secret falcon/keys: key X is missing");
}

TEST_F(TenantTest, KeysThatWorkedStayInForceWhateverBecomesOfTheSecretsContent) {
  EXPECT_EQ(AboutSite(Look(base::OkStatus()), "KeysInForce"), "True FromSecret");
  EXPECT_EQ(AboutSite(Look(base::InvalidArgument("a typo")), "KeysInForce"), "True LastGood");
  const json once = tenant_["status"]["sites"];
  Look(base::Unavailable("connection refused"));
  EXPECT_EQ(tenant_["status"]["sites"], once) << "nothing new, nothing written";
  EXPECT_EQ(AboutSite(Look(base::OkStatus()), "KeysInForce"), "True FromSecret");
}

TEST_F(TenantTest, WithdrawnKeysAreNotInForceAndNoTypoBringsThemBack) {
  Look(base::OkStatus());
  EXPECT_EQ(AboutSite(Look(base::NotFound("gone")), "KeysInForce"), "");
  EXPECT_EQ(AboutSite(Look(base::InvalidArgument("a typo")), "KeysInForce"), "");
  Look(base::OkStatus());
  EXPECT_EQ(AboutSite(Look(base::PermissionDenied("no role")), "KeysInForce"), "");
}

TEST_F(TenantTest, ATenantWithoutAPlaceHasNoKeysInForce) {
  const json status = Look(base::OkStatus(), false);
  EXPECT_EQ(AboutSite(status, "KeysInForce"), "");
  EXPECT_EQ(AboutSite(status, "Bound"), "False StageFull");
}

}  // namespace
}  // namespace sluice::tenant
