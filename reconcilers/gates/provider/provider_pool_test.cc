#include "reconcilers/gates/provider/provider_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "controller/base/digest.h"
#include "controller/cache/memory_store.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/common/resources.h"

namespace sluice::gates {
namespace {

using ::testing::HasSubstr;

class ProviderPoolTest : public ::testing::Test {
 protected:
  void PutSecret(const std::string& key, const std::string& value, const char* version) {
    store_.BeginState();
    auto secret = meta::Object::FromJson({{"metadata",
                                           {{"name", "prom"},
                                            {"namespace", "sluice-system"},
                                            {"uid", "1"},
                                            {"resourceVersion", version}}},
                                          {"data", {{key, base::Base64Encode(value)}}}});
    ASSERT_TRUE(secret.ok());
    store_.Put(*secret);
    store_.EndState(version);
  }
  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  cache::MemoryStore store_{common::kSecrets, clock_};
  common::SecretReader secrets_{api_, store_, "sluice-system", clock_};
  ProviderPool pool_{secrets_};
  v1alpha1::SiteSpec spec_;
};

TEST_F(ProviderPoolTest, ASiteWithoutPrometheusIsMisconfigured) {
  const Source source = pool_.Find("phoenix", spec_);
  EXPECT_EQ(source.provider, nullptr);
  EXPECT_THAT(source.misconfigured, HasSubstr("spec.prometheus"));
}

TEST_F(ProviderPoolTest, KeepsAProviderUntilTheSettingsChange) {
  spec_.mutable_prometheus()->set_url("http://127.0.0.1:9");
  spec_.mutable_prometheus()->set_scrape_interval_seconds(1);
  const Source first = pool_.Find("phoenix", spec_);
  ASSERT_NE(first.provider, nullptr);
  EXPECT_EQ(first.scrape_interval, std::chrono::seconds(1));
  EXPECT_EQ(pool_.Find("phoenix", spec_).provider, first.provider);
  EXPECT_NE(pool_.Find("tucson", spec_).provider, first.provider);
  spec_.mutable_prometheus()->set_url("http://127.0.0.1:10");
  EXPECT_NE(pool_.Find("phoenix", spec_).provider, first.provider);
}

TEST_F(ProviderPoolTest, SendsTheTokenOfTheSecretAndTakesUpANewOne) {
  http::testing::Imposter imposter([](http::testing::ImposterConnection& c) {
    while (c.ReadRequest()) {
      c.Send(http::testing::Answer(
          200, R"({"status":"success","data":{"resultType":"vector","result":[]}})"));
    }
  });
  spec_.mutable_prometheus()->set_url(imposter.url());
  spec_.mutable_prometheus()->mutable_bearer_token_ref()->set_name("prom");
  EXPECT_THAT(pool_.Find("phoenix", spec_).error, HasSubstr("bearerTokenRef"));
  PutSecret("other", "x", "1");
  EXPECT_THAT(pool_.Find("phoenix", spec_).error, HasSubstr("token"));
  for (const char* token : {"first", "second"}) {
    PutSecret("token", std::string(token) + "\n", token[0] == 'f' ? "2" : "3");
    const Source source = pool_.Find("phoenix", spec_);
    ASSERT_NE(source.provider, nullptr) << source.error;
    ASSERT_TRUE(source.provider->Query("up", clock_.Wall(), {}).ok());
    EXPECT_EQ(http::FindHeader(imposter.requests().back().headers, "Authorization"),
              "Bearer " + std::string(token));
  }
}

TEST_F(ProviderPoolTest, ACertificateThatIsNoneIsAnError) {
  spec_.mutable_prometheus()->set_url("https://127.0.0.1:9");
  spec_.mutable_prometheus()->mutable_ca_ref()->set_name("prom");
  PutSecret("ca.crt", "not PEM", "1");
  EXPECT_FALSE(pool_.Find("phoenix", spec_).error.empty());
  PutSecret("ca.crt", "", "2");
  EXPECT_THAT(pool_.Find("phoenix", spec_).error, HasSubstr("CA")) << "not the system's roots";
}

}  // namespace
}  // namespace sluice::gates
