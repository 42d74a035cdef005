// The API client and the cache against a real API server of the test's own.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "controller/cache/informer.h"
#include "controller/client/client.h"
#include "controller/client/config.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using cache::Informer;
using nlohmann::json;
using ::testing::HasSubstr;

const meta::Resource kConfigMaps{"", "v1", "ConfigMap", "configmaps", true};

// Programs, started once for all tests of the binary; gone with it.
class Cluster : public ::testing::Environment {
 public:
  void SetUp() override {
    std::string folder = (std::filesystem::temp_directory_path() / "sluice-it-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    state_ = folder + "/cluster";
    const std::string up = fmt::format(
        "deploy/local/cluster up --profile api --state {} --owner-pid {} >{}/up.log 2>&1 ||"
        " (cat {}/up.log; false)",
        state_, getpid(), folder, folder);
    ASSERT_EQ(std::system(up.c_str()), 0);
  }
  void TearDown() override {
    const std::string down = fmt::format("deploy/local/cluster down --state {} >/dev/null", state_);
    if (std::system(down.c_str()) == 0) std::filesystem::remove_all(folder_);
  }
  static std::unique_ptr<client::Client> NewClient() {
    auto config = client::LoadKubeconfig(state_ + "/kubeconfig");
    SLUICE_CHECK(config.ok());
    auto made = client::NewClient(*config);
    SLUICE_CHECK(made.ok());
    return std::move(made).value();
  }
  // The administrator's in the name that `who` says.
  static std::unique_ptr<client::Client> NewClientAs(const client::Config& who) {
    auto config = client::LoadKubeconfig(state_ + "/kubeconfig").value();
    config.impersonate = who.impersonate;
    return client::NewClient(config).value();
  }
  // Another client of the same server: a service account by its token. Not an administrator's:
  // API priority and fairness exempts those.
  static std::unique_ptr<client::Client> NewClient(const std::string& token) {
    auto config = client::LoadKubeconfig(state_ + "/kubeconfig").value();
    config.cert_pem = config.key_pem = config.cert_file = config.key_file = "";
    config.token = token;
    return client::NewClient(config).value();
  }
  static bool Component(const std::string& command) {
    const std::string line = fmt::format(
        "deploy/local/cluster {} --state {} kube-apiserver >/dev/null", command, state_);
    return std::system(line.c_str()) == 0;
  }

 private:
  static inline std::string folder_;
  static inline std::string state_;
};

const auto* const kCluster = ::testing::AddGlobalTestEnvironment(new Cluster);

json ConfigMap(const std::string& name, const std::string& value) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"namespace", "default"}, {"labels", {{"test", "cache"}}}}},
          {"data", {{"k", value}}}};
}

template <typename Ready>
bool Eventually(Ready&& ready) {
  const auto deadline =
      std::chrono::steady_clock::now() + 120s;  // back-offs are up to half a minute
  while (!ready()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class ClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<client::Client> client_ = Cluster::NewClient();
  base::RealClock clock_;
};

TEST_F(ClientTest, WritesReadsAndDeletesWithPreconditions) {
  const auto made = client_->Create(kConfigMaps, ConfigMap("life", "1"));
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ((*made)->json().find("managedFields"), std::string_view::npos);
  EXPECT_EQ(client_->Create(kConfigMaps, ConfigMap("life", "1")).status().reason(),
            "AlreadyExists");

  json changed = (*made)->ToJson();
  changed["data"]["k"] = "2";
  ASSERT_TRUE(client_->Update(kConfigMaps, changed).ok());
  const auto conflict = client_->Update(kConfigMaps, changed);
  EXPECT_EQ(conflict.status().reason(), "Conflict");
  EXPECT_EQ(conflict.status().code(), base::Code::kAborted);

  const meta::Key key{"default", "life"};
  const auto stale = client_->Delete(
      kConfigMaps, key,
      {.preconditions = {.resource_version = std::string((*made)->resource_version())}});
  EXPECT_EQ(stale.reason(), "Conflict") << stale.ToString();
  EXPECT_TRUE(
      client_->Delete(kConfigMaps, key, {.preconditions = {.uid = std::string((*made)->uid())}})
          .ok());
  EXPECT_EQ(client_->Get(kConfigMaps, key).status().code(), base::Code::kNotFound);
}

TEST_F(ClientTest, AnApplyConflictNamesTheOtherManager) {
  ASSERT_TRUE(
      client_->Apply(kConfigMaps, ConfigMap("owned", "1"), {.field_manager = "first"}).ok());
  const auto conflict =
      client_->Apply(kConfigMaps, ConfigMap("owned", "2"), {.field_manager = "second"});
  EXPECT_EQ(conflict.status().reason(), "Conflict");
  EXPECT_THAT(conflict.status().message(), HasSubstr("first"));
  const auto forced = client_->Apply(kConfigMaps, ConfigMap("owned", "2"),
                                     {.field_manager = "second", .force = true});
  ASSERT_TRUE(forced.ok());
  const auto again = client_->Apply(kConfigMaps, ConfigMap("owned", "2"),
                                    {.field_manager = "second", .force = true});
  EXPECT_EQ((*again)->resource_version(), (*forced)->resource_version())
      << "a no-op writes nothing";
  EXPECT_TRUE(client_->Delete(kConfigMaps, {"default", "owned"}).ok());
}

// A priority level without a seat lets one request in at a time and refuses the others.
TEST_F(ClientTest, ARefusalByAPriorityLevelIsWaitedForAndToldByItsName) {
  const std::string flow = "/apis/flowcontrol.apiserver.k8s.io/v1";
  const auto post = [&](const std::string& path, const json& body) {
    const auto answer = client_->Raw("POST", path, body.dump());
    EXPECT_TRUE(answer.ok()) << answer.status().ToString();
    return json::parse(answer.ok() ? *answer : "{}");
  };
  post("/api/v1/namespaces/default/serviceaccounts", {{"metadata", {{"name", "busy"}}}});
  post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
       json::parse(R"({"metadata":{"name":"busy"},"roleRef":{"apiGroup":
           "rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":
           [{"kind":"ServiceAccount","name":"busy","namespace":"default"}]})"));
  const json token =
      post("/api/v1/namespaces/default/serviceaccounts/busy/token", {{"spec", json::object()}});
  const json level = post(flow + "/prioritylevelconfigurations",
                          json::parse(R"({"metadata":{"name":"no-seats"},"spec":{"type":"Limited",
      "limited":{"nominalConcurrencyShares":0,"lendablePercent":0,"borrowingLimitPercent":0,
      "limitResponse":{"type":"Reject"}}}})"));
  post(flow + "/flowschemas", json::parse(R"({"metadata":{"name":"no-seats"},"spec":{
      "matchingPrecedence":100,"priorityLevelConfiguration":{"name":"no-seats"},"rules":[{
      "subjects":[{"kind":"ServiceAccount","serviceAccount":{"name":"busy","namespace":"default"}}],
      "resourceRules":[{"verbs":["get"],"apiGroups":[""],"resources":["configmaps"],
      "namespaces":["*"]}]}]}})"));

  const auto busy = Cluster::NewClient(token["status"]["token"]);
  std::mutex mutex;
  std::set<std::string> levels;
  int refusals = 0;
  base::Duration waited{0};
  busy->Observe({nullptr, [&](const client::ThrottleRecord& record) {
                   if (record.refusals == 0 && record.waited == 0s) return;
                   const std::lock_guard lock(mutex);
                   levels.emplace(record.priority_level);
                   refusals += record.refusals;
                   waited += record.waited;
                 }});
  // Of two at once one is refused; the server takes new flow schemas within moments.
  EXPECT_TRUE(Eventually([&] {
    std::vector<std::future<base::Status>> calls;
    for (int i = 0; i < 8; ++i) {
      calls.push_back(std::async([&] {
        return busy->Get(kConfigMaps, {"default", "none"}).status();
      }));
    }
    for (auto& call : calls) EXPECT_EQ(call.get().code(), base::Code::kNotFound);
    return refusals > 0;
  }));
  EXPECT_EQ(levels, std::set<std::string>{level["metadata"]["uid"]});
  EXPECT_GE(waited, refusals * 1s) << "as long as Retry-After said";
  EXPECT_TRUE(busy->List(kConfigMaps, {.ns = "default"}).ok()) << "another level's";
  for (const char* kind : {"/flowschemas", "/prioritylevelconfigurations"}) {
    EXPECT_TRUE(client_->Raw("DELETE", flow + kind + "/no-seats", "").ok());
  }
}

TEST_F(ClientTest, AnImpersonationArrivesAsTheKubeconfigSaysIt) {
  const auto who = client::ParseKubeconfig(
      "{current-context: a, contexts: [{name: a, context: {cluster: c, user: u}}], "
      "clusters: [{name: c, cluster: {server: 'https://h'}}], users: [{name: u, user: {as: falcon, "
      "as-uid: 7-7, as-groups: [pilots, 'system:authenticated'], "
      "as-user-extra: {Acme.com/Scopes: [view, 'two words'], 'a%b': [x]}}}]}",
      {});
  ASSERT_TRUE(who.ok()) << who.status().ToString();
  const auto review = Cluster::NewClientAs(*who)->Raw(
      "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
      R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"})");
  ASSERT_TRUE(review.ok()) << review.status().ToString();
  EXPECT_EQ(json::parse(*review)["status"]["userInfo"],
            json::parse(R"({"username": "falcon", "uid": "7-7",
                            "groups": ["pilots", "system:authenticated"],
                            "extra": {"acme.com/scopes": ["view", "two words"], "a%b": ["x"]}})"));
}

TEST_F(ClientTest, TheVersionTellsWhetherVersionsCompare) {
  const auto version = client::GetServerVersion(*client_);
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(version->major, 1);
  EXPECT_TRUE(version->ComparableVersions());
}

class CacheTest : public ClientTest, public ::testing::WithParamInterface<bool> {
 protected:
  void TearDown() override {
    const auto left = client_->List(kConfigMaps, {.ns = "default", .label_selector = "test=cache"});
    for (const auto& object : left->items) {
      EXPECT_TRUE(client_->Delete(kConfigMaps, object->key()).ok());
    }
  }
  std::unique_ptr<Informer> Start() {
    cache::InformerOptions options{.resource = kConfigMaps, .label_selector = "test=cache"};
    options.watch_list = GetParam();
    options.page_size = 3;
    auto informer = Informer::New(*client_, clock_, options).value();
    informer->Start();
    EXPECT_TRUE(informer->WaitUntilSynced(clock_.Mono() + 30s));
    return informer;
  }
};

INSTANTIATE_TEST_SUITE_P(StreamedAndPaged, CacheTest, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "Streamed" : "Paged"; });

TEST_P(CacheTest, SyncsThenFollowsEveryChange) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(client_->Create(kConfigMaps, ConfigMap(fmt::format("c{}", i), "1")).ok());
  }
  const auto informer = Start();
  cache::Store& store = informer->store();
  EXPECT_EQ(store.size(), 10u);
  EXPECT_EQ(informer->Stats().streams, GetParam() ? 1u : 0u);
  EXPECT_EQ(informer->Stats().lists, GetParam() ? 0u : 1u) << "the server refused WatchList";
  EXPECT_EQ(store.Get({"default", "c3"})->ToJson()["kind"], "ConfigMap");

  const auto written =
      client_->Apply(kConfigMaps, ConfigMap("c3", "2"), {.field_manager = "m", .force = true});
  ASSERT_TRUE(written.ok());
  store.ExpectAtLeast(**written);
  ASSERT_TRUE(Eventually([&] { return !store.IsStale({"default", "c3"}); }));
  EXPECT_EQ(store.Get({"default", "c3"})->ToJson()["data"]["k"], "2");
  // One object however it came: by list, watch or as an answer.
  EXPECT_EQ(store.Get({"default", "c3"})->ToJson(), (*written)->ToJson());

  ASSERT_TRUE(client_->Delete(kConfigMaps, {"default", "c4"}).ok());
  EXPECT_TRUE(Eventually([&] { return store.Get({"default", "c4"}) == nullptr; }));
}

TEST_P(CacheTest, SurvivesARestartOfTheApiServer) {
  ASSERT_TRUE(client_->Create(kConfigMaps, ConfigMap("before", "1")).ok());
  const auto informer = Start();
  ASSERT_TRUE(Cluster::Component("stop"));
  ASSERT_TRUE(Eventually([&] { return informer->Stats().failures > 0; }));
  EXPECT_NE(informer->store().Get({"default", "before"}), nullptr) << "reads go on";
  ASSERT_TRUE(Cluster::Component("start"));
  ASSERT_TRUE(Eventually([&] {
    return client_->Create(kConfigMaps, ConfigMap("after", "1")).status().code() !=
           base::Code::kUnavailable;
  }));
  EXPECT_TRUE(Eventually([&] { return informer->store().Get({"default", "after"}) != nullptr; }));
}

TEST_F(ClientTest, AMetadataOnlyCacheHoldsNoData) {
  ASSERT_TRUE(client_->Create(kConfigMaps, ConfigMap("meta-only", std::string(5000, 'x'))).ok());
  for (const bool streamed : {true, false}) {
    cache::InformerOptions options{
        .resource = kConfigMaps, .label_selector = "test=cache", .metadata_only = true};
    options.watch_list = streamed;
    const auto informer = Informer::New(*client_, clock_, options).value();
    informer->Start();
    ASSERT_TRUE(informer->WaitUntilSynced(clock_.Mono() + 30s));
    const auto object = informer->store().Get({"default", "meta-only"});
    ASSERT_NE(object, nullptr);
    EXPECT_LT(object->json().size(), 1000u);
    EXPECT_EQ(object->Label("test"), "cache");
  }
  EXPECT_TRUE(client_->Delete(kConfigMaps, {"default", "meta-only"}).ok());
}

TEST_F(ClientTest, AStopTokenEndsAWatchOverTls) {
  std::stop_source stop;
  auto ended = std::async([&] {
    return client_->Watch(
        kConfigMaps, {.ns = "default", .send_initial_events = true},
        [&](std::string_view) {
          stop.request_stop();
          return true;
        },
        stop.get_token());
  });
  ASSERT_EQ(ended.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(ended.get().code(), base::Code::kCancelled);
}

}  // namespace
}  // namespace sluice
