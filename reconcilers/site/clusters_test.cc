// The caches of another cluster, as a Site that names one gets them.
#include "reconcilers/site/clusters.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "controller/base/digest.h"
#include "controller/cache/memory_store.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/resources.h"

namespace sluice::site {
namespace {

using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::TestCa;
using nlohmann::json;
using namespace std::chrono_literals;

// An API server with one node, which knows nothing of streamed lists and lets watches hang.
void Serve(ImposterConnection& connection) {
  const json node = {
      {"metadata", {{"name", "n1"}, {"resourceVersion", "3"}, {"labels", {{"a", "1"}}}}},
      {"status", {{"capacity", {{"memory", "1Gi"}}}, {"images", {1, 2}}}}};
  while (const auto request = connection.ReadRequest()) {
    const std::string& target = request->target;
    if (target.find("sendInitialEvents") != std::string::npos) {
      connection.Send(Answer(400, R"({"kind":"Status","reason":"BadRequest","code":400})"));
    } else if (target.find("watch=") != std::string::npos) {
      return connection.WaitForClose();
    } else if (target.starts_with("/version")) {
      connection.Send(Answer(200, R"({"major":"1","minor":"36"})"));
    } else {
      json items = json::array();
      if (target.starts_with("/api/v1/nodes")) items.push_back(node);
      connection.Send(
          Answer(200, json{{"metadata", {{"resourceVersion", "5"}}}, {"items", items}}.dump()));
    }
  }
}

// Asked whether we lead; its end can be made to wait.
class Leading {
 public:
  struct End {
    std::atomic<bool> waits{false};
    std::promise<void> begun, may_go;
  };
  explicit Leading(End& end) : end_(&end) {}
  Leading(const Leading&) = default;
  ~Leading() {
    if (!end_->waits.exchange(false)) return;
    end_->begun.set_value();
    end_->may_go.get_future().wait();
  }
  bool operator()() const { return true; }

 private:
  End* end_;
};

meta::ObjectPtr SiteNamed(const std::string& name, const std::string& cluster) {
  return *meta::Object::FromJson(
      {{"metadata", {{"name", name}}},
       {"spec", {{"cluster", {{"kubeconfigSecretRef", {{"name", cluster}}}}}}}});
}

class SiteClustersTest : public ::testing::Test {
 protected:
  SiteClustersTest() { Put(kubeconfig_); }
  // The kubeconfig in the Secret "east".
  void Put(const std::string& text) {
    secrets_.Put(*meta::Object::FromJson({{"metadata",
                                           {{"namespace", "sluice-system"},
                                            {"name", "east"},
                                            {"resourceVersion", std::to_string(++version_)},
                                            {"labels", {{kClusterLabel, ""}}}}},
                                          {"data", {{"kubeconfig", base::Base64Encode(text)}}}}));
  }

  const TestCa ca_;
  const TestCa::Issued issued_ = ca_.Issue("api", "IP:127.0.0.1");
  const Imposter server_{Serve, http::testing::ImposterTls{issued_.cert_pem, issued_.key_pem, ""}};
  const std::string kubeconfig_ =
      "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
      "clusters: [{name: c, cluster: {server: '" +
      server_.url() + "', certificate-authority-data: " + base::Base64Encode(ca_.cert_pem()) +
      "}}]\nusers: [{name: u, user: {token: t}}]\n";
  base::RealClock clock_;
  base::metrics::Registry registry_;
  testing_kit::FakeApi api_{clock_};
  cache::MemoryStore sites_{common::kSites, clock_}, secrets_{common::kSecrets, clock_};
  common::SecretReader reader_{api_, secrets_, "sluice-system", clock_};
  Leading::End end_;
  SiteClusters clusters_{{sites_, reader_, clock_, registry_, Leading(end_)}};

 private:
  int version_ = 0;
};

TEST_F(SiteClustersTest, OfANodeElsewhereWhatSitesReadIsKept) {
  const meta::ObjectPtr site = SiteNamed("phoenix", "east");
  clusters_.Follow(*site);
  // Its caches may be filled before it was found to answer.
  ASSERT_TRUE(testing_kit::WaitUntil([&] {
    return clusters_.Of(*site).state.reason() == "EndpointMissing";
  })) << clusters_.Of(*site).state.ToString();
  Place place = clusters_.Of(*site);
  const meta::ObjectPtr kept = place.nodes->Get({"", "n1"});
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(kept->ToJson()["status"], json({{"capacity", {{"memory", "1Gi"}}}}));
  EXPECT_EQ(kept->Label("a"), "1");

  // What is told of the cluster: its requests by its host, its caches on /debug.
  const std::string host = server_.url().substr(server_.url().rfind('/') + 1);
  EXPECT_NE(registry_.Expose().find("rest_client_requests_total{code=\"200\",host=\"" + host + '"'),
            std::string::npos)
      << registry_.Expose();
  const json shown = clusters_.Debug();
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_EQ(shown[0]["cluster"], "east");
  EXPECT_EQ(shown[0]["caches"][0]["store"], "nodes");
  EXPECT_EQ(shown[0]["caches"][0]["objects"], 1);
  EXPECT_EQ(shown[0]["caches"][1]["store"],
            "namespaces (labels " + std::string(common::kManagedSelector) + ")");

  // What replaces it is refused: told before what else is wrong, and what was read stays.
  EXPECT_EQ(place.state.reason(), "EndpointMissing");
  Put("current-context: b\n");
  clusters_.Follow(*site);
  place = clusters_.Of(*site);
  EXPECT_EQ(place.state.reason(), "KubeconfigRefused") << place.state.ToString();
  EXPECT_NE(place.nodes, nullptr);
  Put(kubeconfig_);
  clusters_.Follow(*site);
  EXPECT_EQ(clusters_.Of(*site).state.reason(), "EndpointMissing");

  // Made anew under its name, with another cluster: of the first one nothing is kept.
  place = {};
  end_.waits = true;
  auto moved = std::async([&] { clusters_.Follow(*SiteNamed("phoenix", "west")); });
  end_.begun.get_future().wait();
  auto others = std::async([&] { return clusters_.Enter(*site) != nullptr; });
  EXPECT_EQ(others.wait_for(10s), std::future_status::ready) << "of what goes, only it waits";
  end_.may_go.set_value();
  EXPECT_TRUE(others.get());
  moved.get();
  EXPECT_EQ(clusters_.Debug(), json::array());
}

TEST_F(SiteClustersTest, SitesThatShareOneMakeItOnce) {
  std::barrier together(4);
  std::vector<std::jthread> workers;
  ::testing::internal::CaptureStderr();
  for (const char* name : {"a", "b", "c", "d"}) {
    workers.emplace_back([&, site = SiteNamed(name, "east")] {
      together.arrive_and_wait();
      clusters_.Follow(*site);
    });
  }
  workers.clear();
  const std::string said = ::testing::internal::GetCapturedStderr();
  const std::size_t first = said.find("cluster was added");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(said.find("cluster was added", first + 1), std::string::npos) << said;
}

TEST_F(SiteClustersTest, OneThatAnotherSiteNamesWhileTheLastLeavesIsThereAfterwards) {
  const meta::ObjectPtr leaves = SiteNamed("a", "east"), comes = SiteNamed("b", "east");
  clusters_.Follow(*leaves);
  clusters_.Of(*leaves);
  end_.waits = true;
  auto left = std::async([&] { clusters_.Forget("a"); });
  end_.begun.get_future().wait();  // nobody names it, so it goes
  auto came = std::async([&] { clusters_.Follow(*comes); });
  came.wait_for(200ms);  // time to find it in use still, if that could be
  end_.may_go.set_value();
  left.get();
  came.get();
  EXPECT_EQ(clusters_.Of(*comes).state.message().find("not looked at"), std::string::npos);
  EXPECT_EQ(clusters_.Debug().size(), 1u);
}

}  // namespace
}  // namespace sluice::site
