// The Site's reconciler against the API in memory: what it reads, and how a Site goes.
#include "reconcilers/site/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/digest.h"
#include "controller/cache/memory_store.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/agents/testing.h"
#include "reconcilers/common/resources.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

class Recorded final : public recorder::Recorder {
 public:
  void Record(const recorder::Reference&, recorder::Type, std::string_view, std::string_view,
              std::string_view) override {}
};

// One store a kind, filled from the API by hand: a cache as stale as the test wants it.
struct Caches {
  explicit Caches(base::Clock& clock)
      : sites(common::kSites, clock),
        classes(common::kSiteClasses, clock),
        plans(common::kStagePlans, clock),
        tenants(common::kTenants, clock),
        nodes(common::kNodes, clock),
        secrets(common::kSecrets, clock),
        namespaces(common::kNamespaces, clock),
        accounts(common::kServiceAccounts, clock),
        config_maps(common::kConfigMaps, clock),
        daemon_sets(common::kDaemonSets, clock),
        services(common::kServices, clock),
        objectives(common::kObjectives, clock) {
    tenants.AddIndex(common::kTenantsBySite, common::SitesOfTenant);
  }
  void Fill(testing_kit::FakeApi& api) {
    for (cache::MemoryStore* store :
         {&sites, &classes, &plans, &tenants, &nodes, &secrets, &namespaces, &accounts,
          &config_maps, &daemon_sets, &services, &objectives}) {
      store->BeginState();
      for (const json& object : api.LookAll(store->resource())) {
        store->Put(*meta::Object::FromJson(object));
      }
      store->EndState("");
    }
  }
  cache::MemoryStore sites, classes, plans, tenants, nodes, secrets, namespaces, accounts,
      config_maps, daemon_sets, services, objectives;
};

class ReconcilerTest : public ::testing::Test {
 protected:
  ReconcilerTest() {
    EXPECT_TRUE(publisher_.TakeOver("uid", "me").ok());
    const agent::v1::AgentConfig config;
    const agent::v1::Credentials credentials;
    EXPECT_TRUE(publisher_.Publish("phoenix", {&config, &credentials, {}}).ok());
  }
  // A Site with our finalizer as another manager brought it, say out of a backup.
  void PutSite(json finalizers) {
    api_.Put(common::kSites, {{"apiVersion", common::kSites.ApiVersion()},
                              {"kind", "Site"},
                              {"metadata", {{"name", "phoenix"}, {"finalizers", finalizers}}}});
    EXPECT_THAT(api_.Delete(common::kSites, {"", "phoenix"}), testing_kit::IsOk());
  }
  void PutOwned() {
    api_.Put(common::kNamespaces, {{"apiVersion", "v1"},
                                   {"kind", "Namespace"},
                                   {"metadata", {{"name", "sluice-site-phoenix"}}}});
    api_.Put(common::kDaemonSets,
             {{"apiVersion", "apps/v1"},
              {"kind", "DaemonSet"},
              {"metadata", {{"name", kAgentName}, {"namespace", "sluice-site-phoenix"}}}});
  }
  reconcile::Result Reconcile() {
    caches_.Fill(api_);
    return reconciler_.Reconcile({{"", "phoenix"}}, {});
  }
  std::vector<std::string> Deleted() const {
    std::vector<std::string> kinds;
    for (const auto& call : api_.calls()) {
      if (call.verb == "delete" && call.resource != "sites.sluice.dev") {
        kinds.push_back(call.resource);
      }
    }
    return kinds;
  }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Caches caches_{clock_};
  agents::testing::MemoryEpochStore epochs_;
  agents::ConfigPublisher publisher_{epochs_, "key"};
  agents::FleetView fleet_;
  DerivedConfigs derived_;
  common::SecretReader secrets_{api_, caches_.secrets, "sluice-system", clock_};
  Recorded recorder_;
  base::metrics::Registry registry_;
  const Stores stores_{caches_.sites, caches_.classes, caches_.plans, caches_.tenants,
                       caches_.nodes};
  SiteReconciler reconciler_{stores_,
                             {caches_.namespaces, caches_.accounts, caches_.config_maps,
                              caches_.daemon_sets, caches_.services, caches_.objectives},
                             secrets_,
                             api_,
                             publisher_,
                             fleet_,
                             derived_,
                             {},
                             recorder_,
                             registry_,
                             clock_};
};

TEST_F(ReconcilerTest, AgentsGoBeforeTheNamespaceAndTheConfigurationLast) {
  PutSite({kFinalizer});
  PutOwned();
  EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kAfter);
  EXPECT_THAT(Deleted(), ElementsAre("daemonsets.apps"));
  EXPECT_EQ(epochs_.record().sites.count("phoenix"), 1u);
  EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kAfter);
  EXPECT_THAT(Deleted(), ElementsAre("daemonsets.apps", "namespaces"));
  EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kDone);
  EXPECT_EQ(epochs_.record().sites.count("phoenix"), 0u);
  EXPECT_TRUE(api_.Look(common::kSites, {"", "phoenix"}).is_null());
}

TEST_F(ReconcilerTest, AFinalizerThatAnotherManagerWroteGoesTooAndForeignOnesStay) {
  PutSite({kFinalizer, "example.com/other"});
  EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kDone);
  const json site = api_.Look(common::kSites, {"", "phoenix"});
  ASSERT_FALSE(site.is_null());
  EXPECT_EQ(site["metadata"]["finalizers"], json::array({"example.com/other"}));
}

TEST_F(ReconcilerTest, AFinalizerIsNotTakenOffAnObjectThatChangedMeanwhile) {
  PutSite({kFinalizer});
  caches_.Fill(api_);
  json site = api_.Look(common::kSites, {"", "phoenix"});
  site["metadata"]["finalizers"].push_back("example.com/other");
  api_.Put(common::kSites, site);
  EXPECT_EQ(reconciler_.Reconcile({{"", "phoenix"}}, {}).kind(), reconcile::Result::Kind::kRetry);
  EXPECT_EQ(api_.Look(common::kSites, {"", "phoenix"})["metadata"]["finalizers"].size(), 2u);
}

TEST_F(ReconcilerTest, NothingButCertificatesIsSentToAgentsAsAnOriginsCa) {
  const std::string certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
  const std::string key = "-----BEGIN EC PRIVATE KEY-----\nMA==\n-----END EC PRIVATE KEY-----\n";
  json data;
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"AWS_ACCESS_KEY_ID", "AK"},
                                          {"AWS_SECRET_ACCESS_KEY", "hush"},
                                          {"ca.crt", certificate + certificate},
                                          {"both", certificate + key},
                                          {"tls.key", key}}) {
    data[name] = base::Base64Encode(value);
  }
  api_.Put(common::kSecrets, {{"apiVersion", "v1"},
                              {"kind", "Secret"},
                              {"metadata", {{"name", "lake"}, {"namespace", "sluice-system"}}},
                              {"data", data}});
  const auto read = [&](const char* entry) {
    const json s3 = {{"endpoint", "https://lake"},
                     {"credentialsRef", {{"name", "lake"}}},
                     {"caRef", {{"name", "lake"}, {"key", entry}}}};
    api_.Put(common::kSites,
             {{"apiVersion", common::kSites.ApiVersion()},
              {"kind", "Site"},
              {"metadata", {{"name", "phoenix"}}},
              {"spec", {{"origins", json::array({{{"name", "lake"}, {"s3", s3}}})}}}});
    caches_.Fill(api_);
    const auto in = ReadInputs(caches_.sites.Get({"", "phoenix"}), stores_, secrets_);
    return in.ok() ? in->origin_secrets.at("lake").status() : in.status();
  };
  EXPECT_THAT(read("ca.crt"), testing_kit::IsOk());
  for (const char* entry : {"both", "tls.key", "AWS_SECRET_ACCESS_KEY"}) {
    EXPECT_EQ(read(entry).code(), base::Code::kInvalidArgument) << entry;
    EXPECT_THAT(read(entry).message(), ::testing::Not(::testing::HasSubstr("hush")));
  }
}

}  // namespace
}  // namespace sluice::site
