// Sites whose nodes are in another cluster, on two real API servers: made so there and not here,
// kept so, and gone from there. A third cluster takes connections and never answers; it holds up
// nobody.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"
#include "tests/integration/controller/other_clusters.h"

namespace sluice::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_kit::IsOk;
using testing_kit::WaitUntil;

// Takes connections, and says nothing.
class Silent {
 public:
  Silent() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    SLUICE_CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    SLUICE_CHECK(listen(socket_, 64) == 0);
    SLUICE_CHECK(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~Silent() { close(socket_); }
  std::string url() const { return fmt::format("https://127.0.0.1:{}", port_); }

 private:
  const int socket_;
  int port_ = 0;
};

TEST_F(OtherClusters, ASiteElsewhereIsMadeSoThereAndASilentClusterHoldsUpNobody) {
  const Silent silent;
  PutSecret("silent", KubeconfigOf("first", silent.url()));
  PutSite("lost", "silent", 30);
  PutSecret("tucson", KubeconfigOf("first"));
  PutSite("tucson", "tucson", 30);
  PutSite("phoenix", "", 30);
  ASSERT_TRUE(Becomes("tucson", "True Reachable")) << Served("tucson") << replica_->Log();
  ASSERT_TRUE(DrainBecomes("tucson", 30)) << replica_->Log();
  for (const auto& [resource, key] : std::vector<std::pair<meta::Resource, meta::Key>>{
           {common::kNamespaces, {"", "sluice-site-tucson"}},
           {common::kServiceAccounts, {"sluice-site-tucson", "sluice-agent"}},
           {common::kConfigMaps, {"sluice-site-tucson", "sluice-ca"}},
           {common::kServices, {"sluice-site-tucson", "s3"}}}) {
    ASSERT_TRUE(WaitUntil([&] { return There(resource, key).is_object(); }, kPatience));
    EXPECT_FALSE(There(resource, key)["metadata"].contains("ownerReferences"))
        << "the garbage collector there knows no Site and would take it";
    EXPECT_TRUE(home_->Get(resource, key.ns, key.name).is_null()) << "nothing of it is here";
  }
  EXPECT_TRUE(
      WaitUntil([&] { return Counted("tucson", "/status/nodes/selected") == 1; }, kPatience))
      << "nodes are those of its own cluster";
  EXPECT_EQ(Counted("phoenix", "/status/nodes/selected"), 0);

  // What others break there is repaired.
  ASSERT_THAT(other_client_->Delete(common::kServices, {"sluice-site-tucson", "s3"}), IsOk());
  EXPECT_TRUE(WaitUntil(
      [&] {
        return There(common::kServices, {"sluice-site-tucson", "s3"}).is_object();
      },
      kPatience));

  ASSERT_TRUE(AwayIs("lost")) << Served("lost");
  ASSERT_NE(Said("lost", "ClusterServed", "message"), "");
  PutSite("tucson", "tucson", 40);
  EXPECT_TRUE(DrainBecomes("tucson", 40));
  EXPECT_THAT(replica_->Metrics(), HasSubstr("sluice_cluster_reachable{cluster=\"silent\"} 0"));
  EXPECT_THAT(replica_->Metrics(), HasSubstr("sluice_cluster_reachable{cluster=\"tucson\"} 1"));
  // Nothing was ever made there, so nothing has to be taken away.
  ASSERT_THAT(home_->client().Delete(common::kSites, {"", "lost"}), IsOk());
  EXPECT_TRUE(WaitUntil([&] { return Site("lost").is_null(); }, kPatience));
  EXPECT_THAT(replica_->Log(), testing::Not(HasSubstr("Forbidden"))) << "the shipped roles suffice";
}

TEST_F(OtherClusters, AClusterGoesAwayComesBackChangesItsCredentialsAndIsLeftClean) {
  PutSecret("tucson", KubeconfigOf("first"));
  PutSite("tucson", "tucson", 30);
  ASSERT_TRUE(DrainBecomes("tucson", 30)) << Served("tucson") << replica_->Log();

  // Away: the condition says so, Sites of this cluster are made as ever.
  ASSERT_THAT(other_->StopComponent("kube-apiserver", "KILL"), IsOk());
  ASSERT_TRUE(AwayIs("tucson")) << replica_->Log();
  PutSite("phoenix", "", 30);
  EXPECT_TRUE(WaitUntil(
      [&] {
        return home_->Get(common::kDaemonSets, "sluice-site-phoenix", "sluice-agent").is_object();
      },
      kPatience));
  PutSite("tucson", "tucson", 40);
  ASSERT_THAT(other_->StartComponent("kube-apiserver"), IsOk());
  // Which collects garbage there: elsewhere it has a Lease, and so ends and starts anew. This one
  // would only try again more and more rarely, for minutes.
  ASSERT_THAT(other_->StopComponent("controller-manager", "KILL"), IsOk());
  ASSERT_THAT(other_->StartComponent("controller-manager"), IsOk());
  ASSERT_TRUE(Becomes("tucson", "True Reachable")) << replica_->Log();
  ASSERT_TRUE(DrainBecomes("tucson", 40)) << "what was missed is made up for";

  // Other credentials, while running.
  PutSecret("tucson", KubeconfigOf("second"));
  PutSite("tucson", "tucson", 50);
  ASSERT_TRUE(DrainBecomes("tucson", 50));
  EXPECT_TRUE(WaitUntil(
      [&] {
        const auto writes = other_->Writes();
        return writes.ok() && std::any_of(writes->begin(), writes->end(), [](const auto& line) {
                 return line.rfind("second ", 0) == 0;
               });
      },
      kPatience));

  // The Secret goes: nothing is done there any more, and what runs goes on. A deletion waits.
  ASSERT_THAT(home_->client().Delete(common::kSecrets, {kNamespace, "tucson"}), IsOk());
  ASSERT_TRUE(Becomes("tucson", "False KubeconfigMissing")) << Served("tucson");
  EXPECT_TRUE(DaemonSetThere().is_object());
  ASSERT_THAT(home_->client().Delete(common::kSites, {"", "tucson"}), IsOk());
  ASSERT_TRUE(WaitUntil([&] { return Said("tucson", "Deleting", "reason") == "WaitingForCluster"; },
                        kPatience));
  EXPECT_TRUE(DaemonSetThere().is_object());

  // It comes back, and everything of the Site goes from there, and then the Site.
  PutSecret("tucson", KubeconfigOf("second"));
  EXPECT_TRUE(WaitUntil([&] { return Site("tucson").is_null(); }, kPatience * 3))
      << Site("tucson").dump(1) << replica_->Log();
  EXPECT_TRUE(There(common::kNamespaces, {"", "sluice-site-tucson"}).is_null());
}

}  // namespace
}  // namespace sluice::integration
