// Two real API servers: the controller's own, which holds the kubeconfigs, and another one, which
// is killed and comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/base/file.h"
#include "controller/client/config.h"
#include "controller/clusters/cluster_set.h"
#include "controller/testing/api_server.h"
#include "controller/testing/wait.h"

namespace sluice::clusters {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::ApiServer;
using testing_kit::WaitUntil;

const meta::Resource kSecrets{"", "v1", "Secret", "secrets", true};
const meta::Resource kConfigMaps{"", "v1", "ConfigMap", "configmaps", true};
const cache::InformerOptions kCached = {.resource = kConfigMaps, .ns = "default"};

json ConfigMap(const std::string& name) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"namespace", "default"}}}};
}

json ClusterSecret(const std::string& name, const std::string& kubeconfig) {
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"metadata",
           {{"name", name}, {"namespace", "default"}, {"labels", {{"sluice.dev/cluster", "x"}}}}},
          {"data", {{"kubeconfig", base::Base64Encode(kubeconfig)}}}};
}

std::unique_ptr<client::Client> ClientOf(const ApiServer& server) {
  return client::NewClient(client::LoadKubeconfig(server.kubeconfig()).value()).value();
}

class TwoClusters : public ::testing::Test {
 protected:
  void SetUp() override {
    auto other = std::async(std::launch::async, [] { return ApiServer::Start(); });
    auto home = ApiServer::Start();
    auto site = other.get();
    ASSERT_TRUE(home.ok() && site.ok()) << home.status().ToString() << site.status().ToString();
    home_ = std::move(home).value();
    site_ = std::move(site).value();
    home_client_ = ClientOf(*home_);
    site_client_ = ClientOf(*site_);
    set_ = std::make_unique<ClusterSet>(
        Options{.set_up = [](Cluster& cluster) { SLUICE_CHECK(cluster.InformerOf(kCached).ok()); },
                .on_state =
                    [this](const std::string& name, const State& state) {
                      const std::lock_guard lock(mutex_);
                      states_[name] = state;
                    },
                .probe_period = 250ms},
        clock_, registry_);
    secrets_ = cache::Informer::New(*home_client_, clock_,
                                    {.resource = kSecrets, .label_selector = "sluice.dev/cluster"})
                   .value();
    secrets_->Subscribe(FollowSecrets(*set_, "kubeconfig"));
    secrets_->Start();
  }
  void TearDown() override {
    if (secrets_) secrets_->Stop();
    if (set_) set_->Stop();
  }

  State StateOf(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return states_[name];
  }
  bool BecomesHealth(const std::string& name, Health health) {
    return WaitUntil([&] { return StateOf(name).health == health; });
  }
  bool Caches(const std::string& cluster, const std::string& name) {
    return WaitUntil([&] {
      const auto found = set_->Find(cluster);
      return found && found->InformerOf(kCached).value()->store().Get({"default", name}) != nullptr;
    });
  }
  static std::string KubeconfigOf(const ApiServer& server) {
    return base::ReadFile(server.kubeconfig()).value();
  }

  base::RealClock clock_;
  base::metrics::Registry registry_;
  std::unique_ptr<ApiServer> home_, site_;
  std::unique_ptr<client::Client> home_client_, site_client_;
  std::mutex mutex_;
  std::map<std::string, State> states_;  // guarded by mutex_
  std::unique_ptr<ClusterSet> set_;
  std::unique_ptr<cache::Informer> secrets_;
};

TEST_F(TwoClusters, OneIsKilledAndComesBackWhileTheOtherGoesOn) {
  // Added while running, by their Secrets.
  ASSERT_TRUE(home_client_->Create(kSecrets, ClusterSecret("east", KubeconfigOf(*home_))).ok());
  ASSERT_TRUE(home_client_->Create(kSecrets, ClusterSecret("west", KubeconfigOf(*site_))).ok());
  ASSERT_TRUE(BecomesHealth("east", Health::kReachable)) << StateOf("east").message;
  ASSERT_TRUE(BecomesHealth("west", Health::kReachable)) << StateOf("west").message;
  ASSERT_TRUE(home_client_->Create(kConfigMaps, ConfigMap("one")).ok());
  ASSERT_TRUE(site_client_->Create(kConfigMaps, ConfigMap("two")).ok());
  EXPECT_TRUE(Caches("east", "one"));
  EXPECT_TRUE(Caches("west", "two"));

  ASSERT_TRUE(site_->StopComponent("kube-apiserver", "KILL").ok());
  ASSERT_TRUE(BecomesHealth("west", Health::kUnreachable));
  EXPECT_FALSE(StateOf("west").reason.empty());
  EXPECT_THAT(registry_.Expose(), HasSubstr("sluice_cluster_reachable{cluster=\"west\"} 0"));
  // The other one is read, written and cached as ever; the lost one's cache stays readable.
  ASSERT_TRUE(set_->Find("east")->client().Create(kConfigMaps, ConfigMap("meanwhile")).ok());
  EXPECT_TRUE(Caches("east", "meanwhile"));
  EXPECT_EQ(StateOf("east").health, Health::kReachable);
  EXPECT_TRUE(Caches("west", "two"));
  EXPECT_FALSE(set_->Find("west")->client().Get(kConfigMaps, {"default", "two"}).ok());

  ASSERT_TRUE(site_->StartComponent("kube-apiserver").ok());
  ASSERT_TRUE(BecomesHealth("west", Health::kReachable)) << StateOf("west").message;
  ASSERT_TRUE(WaitUntil([&] {
    const auto made = site_client_->Create(kConfigMaps, ConfigMap("back"));
    return made.ok() || made.status().reason() == "AlreadyExists";
  }));
  EXPECT_TRUE(Caches("west", "back")) << "its cache catches up by itself";

  // What came from outside must not run anything; the good one stays.
  std::string evil = KubeconfigOf(*site_);
  evil.replace(evil.find("certificate-authority-data"), 26, "certificate-authority");
  ASSERT_TRUE(
      home_client_
          ->Apply(kSecrets, ClusterSecret("west", evil), {.field_manager = "test", .force = true})
          .ok());
  ASSERT_TRUE(BecomesHealth("west", Health::kRefused));
  EXPECT_THAT(StateOf("west").message, HasSubstr("certificate-authority"));
  EXPECT_TRUE(Caches("west", "back"));

  // Removed while running.
  ASSERT_TRUE(home_client_->Delete(kSecrets, {"default", "west"}).ok());
  EXPECT_TRUE(WaitUntil([&] { return set_->Find("west") == nullptr; }));
  EXPECT_NE(set_->Find("east"), nullptr);
}

}  // namespace
}  // namespace sluice::clusters
