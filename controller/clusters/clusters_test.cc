#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <future>
#include <latch>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/client/config.h"
#include "controller/clusters/cluster_set.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/wait.h"

namespace sluice::clusters {
namespace {

using namespace std::chrono_literals;
using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::ImposterTls;
using http::testing::TestCa;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_kit::WaitUntil;

constexpr char kVersion[] = R"({"major":"1","minor":"36"})";

class ClustersTest : public ::testing::Test {
 protected:
  ImposterTls Tls() const {
    const auto issued = ca_.Issue("api", "IP:127.0.0.1");
    return {issued.cert_pem, issued.key_pem, ""};
  }
  std::string Kubeconfig(const std::string& url, const std::string& user = "token: t") const {
    return "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
           "clusters: [{name: c, cluster: {server: '" +
           url + "', certificate-authority-data: " + base::Base64Encode(ca_.cert_pem()) +
           "}}]\nusers: [{name: u, user: {" + user + "}}]\n";
  }
  Options Told() {
    return {.on_state = [this](const std::string& name, const State& state) {
      const std::lock_guard lock(mutex_);
      told_.push_back(name + " " + state.reason);
    }};
  }
  std::vector<std::string> told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  static Health HealthOf(const ClusterSet& set, const std::string& name) {
    const auto found = set.Find(name);
    return found ? found->state().health : Health::kRefused;
  }

  TestCa ca_;
  base::FakeClock clock_;
  base::metrics::Registry registry_;
  std::mutex mutex_;
  std::vector<std::string> told_;  // guarded by mutex_
};

TEST_F(ClustersTest, AnAnswerIsReachableAndARefusedTokenIsNamed) {
  Imposter good(
      [](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(Answer(200, kVersion));
      },
      Tls());
  Imposter bad(
      [](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(Answer(401, R"({"kind":"Status","reason":"Unauthorized"})"));
      },
      Tls());
  ClusterSet set(Told(), clock_, registry_);
  ASSERT_TRUE(set.Set("east", Kubeconfig(good.url())).ok());
  ASSERT_TRUE(set.Set("west", Kubeconfig(bad.url())).ok());
  ASSERT_TRUE(WaitUntil([&] { return told().size() == 2; }));
  EXPECT_THAT(told(), ::testing::UnorderedElementsAre("east Reachable", "west CredentialsRefused"));
  EXPECT_EQ(HealthOf(set, "west"), Health::kUnreachable);
  EXPECT_EQ(http::FindHeader(good.requests()[0].headers, "Authorization"), "Bearer t");
  EXPECT_THAT(registry_.Expose(), HasSubstr("sluice_cluster_reachable{cluster=\"east\"} 1"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("sluice_cluster_reachable{cluster=\"west\"} 0"));
}

TEST_F(ClustersTest, OneLostAnswerIsNoNewsAndTwoAre) {
  std::atomic<bool> up{true};
  Imposter server(
      [&](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(up ? Answer(200, kVersion) : Answer(500, "{}"));
      },
      Tls());
  ClusterSet set(Told(), clock_, registry_);
  ASSERT_TRUE(set.Set("east", Kubeconfig(server.url())).ok());
  const auto look_again = [&] {
    ASSERT_TRUE(WaitUntil([&] { return clock_.waiters() == 1; }));
    clock_.Advance(kProbePeriod);
    ASSERT_TRUE(WaitUntil([&] { return clock_.waiters() == 1; }));
  };
  ASSERT_TRUE(WaitUntil([&] { return HealthOf(set, "east") == Health::kReachable; }));
  up = false;
  look_again();
  EXPECT_EQ(HealthOf(set, "east"), Health::kReachable);
  const base::WallTime before = clock_.Wall();
  look_again();
  EXPECT_EQ(HealthOf(set, "east"), Health::kUnreachable);
  EXPECT_GT(set.Find("east")->state().since, before);
  up = true;
  look_again();
  EXPECT_EQ(HealthOf(set, "east"), Health::kReachable);
  EXPECT_EQ(told().size(), 3U);
}

TEST_F(ClustersTest, WhatWouldRunOrReadSomethingHereIsRefusedByNameAndReplacesNothing) {
  Imposter server(
      [](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(Answer(200, kVersion));
      },
      Tls());
  ClusterSet set(Told(), clock_, registry_);
  ASSERT_TRUE(set.Set("east", Kubeconfig(server.url())).ok());
  const auto kept = set.Find("east");
  for (const auto& [user, field] : std::vector<std::pair<std::string, std::string>>{
           {"exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/SECRET}", "exec"},
           {"tokenFile: /SECRET", "tokenFile"},
           {"client-certificate: /SECRET, client-key: /SECRET", "client-certificate"}}) {
    const auto status = set.Set("east", Kubeconfig(server.url(), user));
    EXPECT_EQ(status.reason(), "KubeconfigRefused");
    EXPECT_THAT(status.message(), HasSubstr(field));
    EXPECT_THAT(status.message(), ::testing::Not(HasSubstr("SECRET")));
    EXPECT_EQ(set.Find("east"), kept);
  }
  EXPECT_THAT(set.Set("new", Kubeconfig("http://127.0.0.1:1")).message(), HasSubstr("https"));
  EXPECT_EQ(set.Find("new"), nullptr);
  EXPECT_THAT(told(), ::testing::Contains("new KubeconfigRefused"));
}

TEST_F(ClustersTest, OneThatHangsDelaysNobodyAndIsRemovedWithoutWaiting) {
  std::latch asked{1};
  Imposter hangs(
      [&](ImposterConnection& c) {
        if (c.ReadRequest()) {
          asked.count_down();
          c.WaitForClose();
        }
      },
      Tls());
  Imposter good(
      [](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(Answer(200, kVersion));
      },
      Tls());
  ClusterSet set(Told(), clock_, registry_);
  ASSERT_TRUE(set.Set("hangs", Kubeconfig(hangs.url())).ok());
  const auto held = set.Find("hangs");
  asked.wait();
  ASSERT_TRUE(set.Set("good", Kubeconfig(good.url())).ok());
  EXPECT_TRUE(WaitUntil([&] { return HealthOf(set, "good") == Health::kReachable; }));
  EXPECT_NE(held->state().health, Health::kReachable);
  set.Remove("hangs");
  EXPECT_EQ(set.Find("hangs"), nullptr);
  // Whoever still holds it is told, and its series goes.
  EXPECT_TRUE(WaitUntil([&] {
    return held->client().Get({"", "v1", "Node", "nodes", false}, {"", "n"}).status().code() ==
           base::Code::kCancelled;
  }));
  EXPECT_TRUE(WaitUntil([&] { return registry_.Expose().find("\"hangs\"") == std::string::npos; }));
  EXPECT_THAT(told(), ::testing::Contains("good Reachable"));
}

// Takes connections and says nothing, not even in TLS.
class BlackHole {
 public:
  BlackHole() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    SLUICE_CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    SLUICE_CHECK(listen(socket_, 8) == 0);
    SLUICE_CHECK(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    url_ = "https://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  BlackHole(const BlackHole&) = delete;
  ~BlackHole() { close(socket_); }
  const std::string& url() const { return url_; }

 private:
  const int socket_;
  std::string url_;
};

TEST_F(ClustersTest, FiftySilentOnesDelayNobodyAndAreStoppedWhileTheirCallsHang) {
  constexpr int kSilent = 50;
  std::deque<BlackHole> holes;
  Imposter good(
      [](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(Answer(200, kVersion));
      },
      Tls());
  ClusterSet set(Told(), clock_, registry_);
  for (int i = 0; i < kSilent; ++i) {
    const std::string url = holes.emplace_back().url();
    ASSERT_TRUE(set.Set("silent-" + std::to_string(i), Kubeconfig(url)).ok());
  }
  ASSERT_TRUE(set.Set("good", Kubeconfig(good.url())).ok());
  ASSERT_TRUE(WaitUntil([&] { return HealthOf(set, "good") == Health::kReachable; }));
  EXPECT_NE(HealthOf(set, "silent-0"), Health::kReachable);
  for (int i = 0; i < kSilent; ++i) set.Remove("silent-" + std::to_string(i));
  EXPECT_EQ(set.Find("silent-0"), nullptr);
  EXPECT_TRUE(WaitUntil([&] { return registry_.Expose().find("\"silent-") == std::string::npos; }));
}

TEST_F(ClustersTest, AChangedKubeconfigMakesItAnewAndTheSameOneDoesNothing) {
  Imposter first(
      [](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(Answer(200, kVersion));
      },
      Tls());
  int set_up = 0;
  ClusterSet set({.set_up = [&](Cluster&) { ++set_up; }}, clock_, registry_);
  ASSERT_TRUE(set.Set("east", Kubeconfig(first.url())).ok());
  const auto before = set.Find("east");
  ASSERT_TRUE(set.Set("east", Kubeconfig(first.url())).ok());
  EXPECT_EQ(set.Find("east"), before);
  ASSERT_TRUE(set.Set("east", Kubeconfig(first.url(), "token: u")).ok());
  EXPECT_NE(set.Find("east"), before);
  EXPECT_EQ(set_up, 2);
  EXPECT_TRUE(WaitUntil([&] { return HealthOf(set, "east") == Health::kReachable; }));
  set.Stop();
  EXPECT_EQ(set.Find("east"), nullptr);
  EXPECT_EQ(set.Set("late", Kubeconfig(first.url())).code(), base::Code::kCancelled);
}

TEST_F(ClustersTest, TheKubeconfigInUseThatComesBackAfterARefusedOneIsTold) {
  Imposter server(
      [](ImposterConnection& c) {
        while (c.ReadRequest()) c.Send(Answer(200, kVersion));
      },
      Tls());
  const std::string good = Kubeconfig(server.url());
  ClusterSet set(Told(), clock_, registry_);
  ASSERT_TRUE(set.Set("east", good).ok());
  ASSERT_TRUE(WaitUntil([&] { return told().size() == 1; }));
  const auto kept = set.Find("east");
  EXPECT_FALSE(set.Set("east", "none").ok());
  ASSERT_TRUE(set.Set("east", good).ok());
  ASSERT_TRUE(set.Set("east", good).ok());
  EXPECT_THAT(told(), ElementsAre("east Reachable", "east KubeconfigRefused", "east Reachable"));
  EXPECT_EQ(set.Find("east"), kept);
}

TEST_F(ClustersTest, OneThatWasStoppedBeforeItWasBegunBeginsNothing) {
  BlackHole hole;
  auto config = client::ParseKubeconfig(Kubeconfig(hole.url()), {.inline_only = true}).value();
  Cluster cluster("east", client::NewClient(config, clock_).value(), clock_, kProbePeriod, {});
  cluster.Stop();
  cluster.Start();
  EXPECT_EQ(cluster.state().health, Health::kConnecting);
}

TEST_F(ClustersTest, OneWhoseEndWaitsIsNotWaitedForByTheOthers) {
  std::promise<void> ending, may_end;
  // The client goes with the last hold of its cluster, and this with the client.
  auto blocks = std::shared_ptr<void>(this, [&](void*) {
    ending.set_value();
    may_end.get_future().wait();
  });
  BlackHole hole;
  ClusterSet set(
      {.set_up =
           [&](Cluster& cluster) {
             if (cluster.name() != "goes") return;
             cluster.client().Observe({.request = [held = std::move(blocks)](const auto&) {}});
           }},
      clock_, registry_);
  ASSERT_TRUE(set.Set("goes", Kubeconfig(hole.url())).ok());
  set.Remove("goes");
  ending.get_future().wait();
  auto others = std::async([&] {
    set.Find("other");
    return set.Set("other", Kubeconfig(hole.url())).ok() && set.Debug().size() == 1;
  });
  const bool waited = others.wait_for(10s) != std::future_status::ready;
  may_end.set_value();
  EXPECT_TRUE(others.get());
  EXPECT_FALSE(waited);
}

TEST_F(ClustersTest, SecretsComeAndGo) {
  ClusterSet set(Told(), clock_, registry_);
  const auto handler = FollowSecrets(set, "kubeconfig");
  const auto secret = [&](const json& data) {
    return meta::Object::FromJson({{"apiVersion", "v1"},
                                   {"kind", "Secret"},
                                   {"metadata", {{"name", "east"}, {"namespace", "ns"}}},
                                   {"data", data}})
        .value();
  };
  const auto good = secret({{"kubeconfig", base::Base64Encode(Kubeconfig("https://127.0.0.1:1"))}});
  handler({.before = nullptr, .after = good});
  const auto kept = set.Find("east");
  EXPECT_NE(kept, nullptr);
  handler({.before = good, .after = secret({{"other", "eA=="}})});
  EXPECT_THAT(told(), ::testing::Contains("east KubeconfigRefused"));
  EXPECT_EQ(set.Find("east"), kept) << "the good one stays";
  handler({.before = good, .after = nullptr});
  EXPECT_EQ(set.Find("east"), nullptr);
}

}  // namespace
}  // namespace sluice::clusters
