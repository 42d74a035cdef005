// The Site's reconciler against the API in memory: what it reads, and how a Site goes.
#include "reconcilers/site/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/agent/v1/agent.pb.h"
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
        objectives(common::kObjectives, clock) {}
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

}  // namespace
}  // namespace sluice::site
