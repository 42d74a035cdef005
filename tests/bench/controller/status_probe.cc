// What a reconciler's status write costs: the Applier of every kind, the real client, a real API
// server of its own with our kinds; a Site's status as large as a real one's, another each time.
//
//   valgrind --tool=callgrind build/release/bin/status_probe WRITES [LOOKS]
//
// WRITES statuses are written, then LOOKS times it is found that nothing need be. Instructions of
// one write: those of a run with many less those of a run with none, by their number. The result
// stands in docs/performance.md.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/client/config.h"
#include "controller/testing/api_server.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/resources.h"

namespace sluice {
namespace {

constexpr const char* kSite = R"({"apiVersion":"sluice.dev/v1alpha1","kind":"Site",
  "metadata":{"name":"phoenix"},"spec":{"classRef":{"name":"gpu"},"stage":"Crawl",
  "requestedBy":"ana","nodeSelector":{"sluice.dev/site":"phoenix"}}})";

nlohmann::json StatusNumber(int number) {
  nlohmann::json conditions = nlohmann::json::array();
  for (const char* type : {"Ready", "ClassResolved", "NodesMatched", "CredentialsResolved",
                           "AgentsReady", "Configured"}) {
    conditions.push_back({{"type", type},
                          {"status", "True"},
                          {"reason", "Measured"},
                          {"message", fmt::format("{} of 5000 agents are what they are", number)},
                          {"observedGeneration", 1},
                          {"lastTransitionTime", "2026-01-01T00:00:00Z"}});
  }
  return {{"observedGeneration", 1},
          {"nodes", {{"selected", 5000}, {"matched", number}}},
          {"agents", {{"wanted", 5000}, {"ready", number}, {"updated", number}}},
          {"conditions", std::move(conditions)}};
}

int Probe(int writes, int looks) {
  const auto server = testing_kit::ApiServer::Start({.crds = "deploy/crds"});
  SLUICE_CHECK(server.ok());
  const auto config = client::LoadKubeconfig((*server)->kubeconfig());
  SLUICE_CHECK(config.ok());
  const auto client = client::NewClient(*config);
  SLUICE_CHECK(client.ok());
  common::Applier applier(**client, "status-probe");
  auto live = (*client)->Create(common::kSites, nlohmann::json::parse(kSite));
  SLUICE_CHECK(live.ok());
  // What starting up costs is paid before the count begins.
  SLUICE_CHECK(applier.ApplyStatus(common::kSites, **live, StatusNumber(0)).ok());
  int wrote = 0;
  for (int i = 1; i <= writes; ++i) {
    const auto written = applier.ApplyStatus(common::kSites, **live, StatusNumber(i));
    SLUICE_CHECK(written.ok());
    wrote += written->wrote ? 1 : 0;
  }
  live = (*client)->Get(common::kSites, {"", "phoenix"});
  SLUICE_CHECK(live.ok());
  for (int i = 0; i < looks; ++i) {
    const auto written = applier.ApplyStatus(common::kSites, **live, StatusNumber(writes));
    SLUICE_CHECK(written.ok() && !written->wrote);
  }
  std::printf("%d statuses written, %d times nothing was to be written\n", wrote, looks);
  return wrote == writes ? 0 : 1;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  return sluice::Probe(argc > 1 ? std::atoi(argv[1]) : 300, argc > 2 ? std::atoi(argv[2]) : 0);
}
