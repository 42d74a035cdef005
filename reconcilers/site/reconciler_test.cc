// The Site's reconciler against the API in memory: what it reads, and how a Site goes.
#include "reconcilers/site/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/digest.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/agents/testing.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/testing.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::StartsWith;

class Recorded final : public recorder::Recorder {
 public:
  void Record(const recorder::Reference&, recorder::Type, std::string_view, std::string_view,
              std::string_view) override {}
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
  void PutSiteOfClass() {
    api_.Put(common::kSiteClasses, {{"apiVersion", common::kSiteClasses.ApiVersion()},
                                    {"kind", "SiteClass"},
                                    {"metadata", {{"name", "edge"}}},
                                    {"spec", json::object()}});
    api_.Put(common::kSites, {{"apiVersion", common::kSites.ApiVersion()},
                              {"kind", "Site"},
                              {"metadata", {{"name", "phoenix"}, {"finalizers", {kFinalizer}}}},
                              {"spec", {{"classRef", {{"name", "edge"}}}}}});
  }
  json OwnedBy(const std::string& uid) const {
    return json::array({{{"apiVersion", common::kSites.ApiVersion()},
                         {"kind", "Site"},
                         {"name", "phoenix"},
                         {"uid", uid},
                         {"controller", true}}});
  }
  void PutNamespace(const json& owners) {
    api_.Put(common::kNamespaces,
             {{"apiVersion", "v1"},
              {"kind", "Namespace"},
              {"metadata", {{"name", "sluice-site-phoenix"}, {"ownerReferences", owners}}}});
  }
  void PutDaemonSet(const json& owners, const json& finalizers = json::array()) {
    api_.Put(common::kDaemonSets, {{"apiVersion", "apps/v1"},
                                   {"kind", "DaemonSet"},
                                   {"metadata",
                                    {{"name", kAgentName},
                                     {"namespace", "sluice-site-phoenix"},
                                     {"finalizers", finalizers},
                                     {"ownerReferences", owners}}}});
  }
  void PutOwned() {
    PutNamespace(OwnedBy(Uid()));
    PutDaemonSet(OwnedBy(Uid()));
  }
  json Site() const { return api_.Look(common::kSites, {"", "phoenix"}); }
  std::string Uid() const { return Site()["metadata"]["uid"]; }
  // "STATUS REASON: MESSAGE" of the condition; empty: there is none.
  std::string Condition(const std::string& type) const {
    for (const json& each : Site().value("/status/conditions"_json_pointer, json::array())) {
      if (each["type"] != type) continue;
      return each["status"].get<std::string>() + " " + each["reason"].get<std::string>() + ": " +
             each.value("message", "");
    }
    return "";
  }
  int StatusWrites() const {
    const auto calls = api_.calls();
    return static_cast<int>(std::count_if(
        calls.begin(), calls.end(), [](const auto& call) { return call.verb == "apply-status"; }));
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
                             {caches_.releases, caches_.rollouts},
                             secrets_,
                             api_,
                             publisher_,
                             fleet_,
                             derived_,
                             [] { return AgentOptions(); },
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

TEST_F(ReconcilerTest, ADeletionSaysWhatItWaitsForAndOnlyOnce) {
  PutSite({kFinalizer});
  PutNamespace(OwnedBy(Uid()));
  PutDaemonSet(OwnedBy(Uid()), {"foregroundDeletion"});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kAfter);
  EXPECT_EQ(
      Condition("Deleting"),
      "True WaitingForAgents: the agents drain: DaemonSet sluice-site-phoenix/sluice-agent is "
      "being deleted since 2023-11-14T22:13:20Z");
  EXPECT_THAT(Condition("Ready"), StartsWith("False Deleting: "));
  EXPECT_EQ(StatusWrites(), 1);
  EXPECT_THAT(Deleted(), ElementsAre("daemonsets.apps"));
}

TEST_F(ReconcilerTest, ANodeThatIsGoneHoldsADeletionForTenMinutesOnly) {
  PutSite({kFinalizer});
  PutNamespace(OwnedBy(Uid()));
  PutDaemonSet(OwnedBy(Uid()), {"foregroundDeletion"});
  Reconcile();
  clock_.Advance(std::chrono::minutes(9));
  Reconcile();
  EXPECT_THAT(Condition("Deleting"), Not(HasSubstr("a node gone")));
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kAfter);
  EXPECT_THAT(Condition("Deleting"), HasSubstr("WaitingForAgents"));
  EXPECT_THAT(Condition("Deleting"), HasSubstr("a node gone"));
  EXPECT_TRUE(api_.LookAll(common::kDaemonSets).empty());
  Reconcile();
  EXPECT_THAT(Deleted(), ElementsAre("daemonsets.apps", "daemonsets.apps", "namespaces"));
  EXPECT_THAT(Condition("Deleting"), HasSubstr("WaitingForNamespace"));
}

TEST_F(ReconcilerTest, WhatTheCachesDoNotShowIsDeletedAllTheSame) {
  PutSite({kFinalizer});
  caches_.Fill(api_);
  PutOwned();
  const auto reconcile = [&] { return reconciler_.Reconcile({{"", "phoenix"}}, {}).kind(); };
  EXPECT_EQ(reconcile(), reconcile::Result::Kind::kAfter);
  EXPECT_EQ(reconcile(), reconcile::Result::Kind::kAfter);
  EXPECT_THAT(Deleted(), ElementsAre("daemonsets.apps", "namespaces"));
  EXPECT_EQ(epochs_.record().sites.count("phoenix"), 1u);
}

TEST_F(ReconcilerTest, NothingIsForgottenWhileTheApiServerDoesNotAnswer) {
  PutSite({kFinalizer});
  api_.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "get") return base::Unavailable("away");
    return std::nullopt;
  });
  EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kRetry);
  EXPECT_EQ(epochs_.record().sites.count("phoenix"), 1u);
  EXPECT_FALSE(Site().is_null());
}

TEST_F(ReconcilerTest, ANamespaceOfAnotherOwnerOutlivesTheSite) {
  for (const json& owners : {json::array(), OwnedBy("another")}) {
    PutSite({kFinalizer});
    PutNamespace(owners);
    PutDaemonSet(owners);
    EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kDone);
    EXPECT_THAT(Deleted(), ElementsAre());
    EXPECT_TRUE(Site().is_null());
  }
}

TEST_F(ReconcilerTest, ANamespaceSomebodyElseMadeIsNeverTakenOver) {
  PutSiteOfClass();
  PutNamespace(json::array());
  const json before = api_.LookAll(common::kNamespaces);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Reconcile().kind(), reconcile::Result::Kind::kAfter);
  EXPECT_EQ(json(api_.LookAll(common::kNamespaces)), before);
  EXPECT_EQ(Condition("AgentsReady"),
            "False NamespaceTaken: namespace sluice-site-phoenix exists and was not made for this "
            "Site: delete it, or give the Site another name");
  for (const auto& call : api_.calls()) {
    EXPECT_TRUE(!call.IsWrite() || call.verb == "apply-status") << call.verb << call.resource;
  }
  EXPECT_EQ(StatusWrites(), 1);

  EXPECT_THAT(api_.Delete(common::kNamespaces, {"", "sluice-site-phoenix"}), testing_kit::IsOk());
  Reconcile();
  const json made = api_.Look(common::kNamespaces, {"", "sluice-site-phoenix"});
  EXPECT_EQ(made["metadata"]["ownerReferences"][0]["uid"], Uid());
  EXPECT_THAT(Condition("AgentsReady"), Not(HasSubstr("NamespaceTaken")));
}

TEST_F(ReconcilerTest, NothingIsRepairedThatTheCacheDoesNotShowYet) {
  PutSiteOfClass();
  Reconcile();
  const auto live = api_.Get(common::kDaemonSets, {"sluice-site-phoenix", kAgentName});
  ASSERT_THAT(live.status(), testing_kit::IsOk());
  const json seen = Site()["status"];
  api_.PutStatus(common::kSites, {"", "phoenix"}, json::object());
  api_.ForgetCalls();
  caches_.daemon_sets.ExpectAtLeast(**live);  // as whoever tells of our writes does
  const auto early = reconciler_.Reconcile({{"", "phoenix"}}, {});
  EXPECT_EQ(early.kind(), reconcile::Result::Kind::kLater);
  EXPECT_EQ(early.wait(), kEchoWait);
  for (const auto& call : api_.calls()) EXPECT_NE(call.resource, "daemonsets.apps") << call.verb;
  EXPECT_EQ(Site()["status"]["agents"], seen["agents"]) << "what is seen is told meanwhile";
  EXPECT_NE(Reconcile().kind(), reconcile::Result::Kind::kLater) << "the echo came";
}

TEST_F(ReconcilerTest, NothingIsMadeForASiteOfAnotherCluster) {
  api_.Put(common::kSiteClasses, {{"apiVersion", common::kSiteClasses.ApiVersion()},
                                  {"kind", "SiteClass"},
                                  {"metadata", {{"name", "edge"}}},
                                  {"spec", json::object()}});
  api_.Put(common::kNodes, {{"apiVersion", "v1"},
                            {"kind", "Node"},
                            {"metadata", {{"name", "n1"}, {"labels", {{"gpu", "yes"}}}}}});
  api_.Put(common::kSites, {{"apiVersion", common::kSites.ApiVersion()},
                            {"kind", "Site"},
                            {"metadata", {{"name", "phoenix"}, {"finalizers", {kFinalizer}}}},
                            {"spec",
                             {{"classRef", {{"name", "edge"}}},
                              {"nodeSelector", {{"gpu", "yes"}}},
                              {"cluster", {{"kubeconfigSecretRef", {{"name", "tucson"}}}}}}}});
  for (int i = 0; i < 2; ++i) Reconcile();
  EXPECT_THAT(Condition("ClusterServed"), StartsWith("False OtherCluster: "));
  EXPECT_THAT(Condition("Ready"), StartsWith("False OtherCluster: "));
  EXPECT_EQ(Site()["status"]["nodes"].value("selected", 0), 0);
  for (const auto& call : api_.calls()) {
    EXPECT_TRUE(!call.IsWrite() || call.verb == "apply-status") << call.verb << call.resource;
  }
  EXPECT_EQ(StatusWrites(), 1);
}

TEST_F(ReconcilerTest, ANewLeaderRetiresWhatIsPublishedForSitesThatDoNotExist) {
  const agent::v1::AgentConfig config;
  const agent::v1::Credentials credentials;
  for (const char* name : {"ghost", "late"}) {
    EXPECT_TRUE(publisher_.Publish(name, {&config, &credentials, {}}).ok());
  }
  PutSite({kFinalizer});
  PutOwned();
  caches_.Fill(api_);
  // Made a moment ago: our cache does not show it yet.
  api_.Put(common::kSites, {{"apiVersion", common::kSites.ApiVersion()},
                            {"kind", "Site"},
                            {"metadata", {{"name", "late"}}}});
  reconciler_.Reconcile({{"", "phoenix"}}, {});
  EXPECT_THAT(epochs_.record().sites, ElementsAre(Key("late"), Key("phoenix")));

  // Once under an epoch: no look-ups at every turn.
  EXPECT_TRUE(publisher_.Publish("ghost", {&config, &credentials, {}}).ok());
  reconciler_.Reconcile({{"", "phoenix"}}, {});
  EXPECT_EQ(epochs_.record().sites.count("ghost"), 1u);
  EXPECT_TRUE(publisher_.TakeOver("uid", "me again").ok());
  reconciler_.Reconcile({{"", "phoenix"}}, {});
  EXPECT_EQ(epochs_.record().sites.count("ghost"), 0u);
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
    EXPECT_THAT(read(entry).message(), Not(HasSubstr("hush")));
  }
}

}  // namespace
}  // namespace sluice::site
