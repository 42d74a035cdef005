// The caches of another cluster, as a Site that names one gets them.
#include "reconcilers/site/clusters.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>

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

TEST(SiteClusters, OfANodeElsewhereWhatSitesReadIsKept) {
  const TestCa ca;
  const auto issued = ca.Issue("api", "IP:127.0.0.1");
  const Imposter server(Serve, http::testing::ImposterTls{issued.cert_pem, issued.key_pem, ""});
  base::RealClock clock;
  base::metrics::Registry registry;
  testing_kit::FakeApi api(clock);
  cache::MemoryStore sites(common::kSites, clock), secrets(common::kSecrets, clock);
  const std::string kubeconfig =
      "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
      "clusters: [{name: c, cluster: {server: '" +
      server.url() + "', certificate-authority-data: " + base::Base64Encode(ca.cert_pem()) +
      "}}]\nusers: [{name: u, user: {token: t}}]\n";
  auto put = [&, version = 0](const std::string& text) mutable {
    secrets.Put(*meta::Object::FromJson({{"metadata",
                                          {{"namespace", "sluice-system"},
                                           {"name", "east"},
                                           {"resourceVersion", std::to_string(++version)},
                                           {"labels", {{kClusterLabel, ""}}}}},
                                         {"data", {{"kubeconfig", base::Base64Encode(text)}}}}));
  };
  put(kubeconfig);
  common::SecretReader reader(api, secrets, "sluice-system", clock);
  Leading::End end;
  SiteClusters clusters({sites, reader, clock, registry, Leading(end)});
  const meta::ObjectPtr site = *meta::Object::FromJson(
      {{"metadata", {{"name", "phoenix"}}},
       {"spec", {{"cluster", {{"kubeconfigSecretRef", {{"name", "east"}}}}}}}});
  clusters.Follow(*site);
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clusters.Of(*site).nodes != nullptr; }))
      << clusters.Of(*site).state.ToString();
  Place place = clusters.Of(*site);
  const meta::ObjectPtr kept = place.nodes->Get({"", "n1"});
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(kept->ToJson()["status"], json({{"capacity", {{"memory", "1Gi"}}}}));
  EXPECT_EQ(kept->Label("a"), "1");

  // What is told of the cluster: its requests by its host, its caches on /debug.
  const std::string host = server.url().substr(server.url().rfind('/') + 1);
  EXPECT_NE(registry.Expose().find("rest_client_requests_total{code=\"200\",host=\"" + host + '"'),
            std::string::npos)
      << registry.Expose();
  const json shown = clusters.Debug();
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_EQ(shown[0]["cluster"], "east");
  EXPECT_EQ(shown[0]["caches"][0]["store"], "nodes");
  EXPECT_EQ(shown[0]["caches"][0]["objects"], 1);
  EXPECT_EQ(shown[0]["caches"][1]["store"],
            "namespaces (labels " + std::string(common::kManagedSelector) + ")");

  // What replaces it is refused: told before what else is wrong, and what was read stays.
  EXPECT_EQ(place.state.reason(), "EndpointMissing");
  put("current-context: b\n");
  clusters.Follow(*site);
  place = clusters.Of(*site);
  EXPECT_EQ(place.state.reason(), "KubeconfigRefused") << place.state.ToString();
  EXPECT_NE(place.nodes, nullptr);
  put(kubeconfig);
  clusters.Follow(*site);
  EXPECT_EQ(clusters.Of(*site).state.reason(), "EndpointMissing");

  // Made anew under its name, with another cluster: of the first one nothing is kept.
  json other = site->ToJson();
  other["spec"]["cluster"]["kubeconfigSecretRef"]["name"] = "west";
  place = {};
  end.waits = true;
  auto moved = std::async([&] { clusters.Follow(**meta::Object::FromJson(other)); });
  end.begun.get_future().wait();
  auto others = std::async([&] { return clusters.Enter(*site) != nullptr; });
  EXPECT_EQ(others.wait_for(10s), std::future_status::ready) << "of what goes, only it waits";
  end.may_go.set_value();
  EXPECT_TRUE(others.get());
  moved.get();
  EXPECT_EQ(clusters.Debug(), json::array());
}

}  // namespace
}  // namespace sluice::site
