// The real sluice-controller with Sites in other clusters: its own API server and another one,
// under exactly the shipped roles in both.
//
// Thread rule: the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "reconcilers/common/resources.h"
#include "tests/integration/controller/world.h"

namespace sluice::integration {

inline constexpr std::chrono::seconds kPatience{120};

class OtherClusters : public testing::Test {
 protected:
  // Two API servers, the class "small" and one replica; node n1 of the other cluster is a gpu node.
  void SetUp() override;

  // A Site of class small with the gpu nodes as its own; `secret` names its cluster's kubeconfig,
  // empty: this cluster.
  static std::string SiteText(const std::string& name, const std::string& secret, int drain);
  void PutSite(const std::string& name, const std::string& secret, int drain);
  void PutSecret(const std::string& name, const std::string& kubeconfig);
  // The other cluster's kubeconfig for a user by token; of another server when one is named.
  std::string KubeconfigOf(const std::string& user, const std::string& server = "");
  // The other cluster's API server.
  std::string OtherServer();

  // An object of the other cluster, or null.
  nlohmann::json There(const meta::Resource& resource, const meta::Key& key);
  nlohmann::json DaemonSetThere(const std::string& site = "tucson");
  static int DrainOf(const nlohmann::json& daemon_set);  // -1: there is none
  bool DrainBecomes(const std::string& site, int drain);

  // What the Site says of its cluster: status and reason of ClusterServed.
  std::string Served(const std::string& site);
  bool Becomes(const std::string& site, const std::string& served);
  bool AwayIs(const std::string& site);
  // Of the Site's status; empty or 0 while it is not there.
  std::string Said(const std::string& site, const std::string& type, const char* field);
  int Counted(const std::string& site, const std::string& pointer);
  nlohmann::json Site(const std::string& name) { return home_->Get(common::kSites, "", name); }

  std::unique_ptr<World> home_;
  std::unique_ptr<testing_kit::ApiServer> other_;
  std::unique_ptr<client::Client> other_client_;
  std::unique_ptr<Replica> replica_;
};

}  // namespace sluice::integration
