// More clusters fall silent at once than there are workers kept: each holds a worker of its own for
// as long as a call may take, and Sites of a cluster that answers are served meanwhile.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"
#include "tests/integration/controller/freezing_proxy.h"
#include "tests/integration/controller/other_clusters.h"

namespace sluice::integration {
namespace {

using testing_kit::IsOk;
using testing_kit::WaitUntil;

constexpr int kSilentClusters = 12;
constexpr int kTries = 5;

class SilentClusters : public OtherClusters {
 protected:
  static std::string Name(int i) { return fmt::format("away-{}", i); }
  void PutSilent(int drain) {
    std::string all;
    for (int i = 0; i < kSilentClusters; ++i) all += "---" + SiteText(Name(i), Name(i), drain);
    ASSERT_THAT(home_->server().Apply(all), IsOk());
  }
  int Inside() const {
    return static_cast<int>(
        replica_->Metric("controller_runtime_active_workers", "controller=\"site-elsewhere\""));
  }
};

TEST_F(SilentClusters, ADozenThatFallSilentTogetherDelayNobody) {
  FreezingProxy proxy(kSilentClusters, OtherServer());
  for (int i = 0; i < kSilentClusters; ++i) PutSecret(Name(i), KubeconfigOf("first", proxy.url(i)));
  PutSecret("tucson", KubeconfigOf("first"));
  PutSilent(30);
  PutSite("tucson", "tucson", 30);
  ASSERT_TRUE(DrainBecomes("tucson", 30)) << replica_->Log();

  // A call lasts 15 s, and a silent cluster is known to be away after two; on a slow machine that
  // may pass before all are inside. Then they come back, and it is tried again.
  int drain = 30;
  bool all_inside = false;
  for (int i = 0; i < kTries && !all_inside; ++i) {
    proxy.SetFrozen(false);
    for (int j = 0; j < kSilentClusters; ++j) {
      ASSERT_TRUE(Becomes(Name(j), "True Reachable")) << Served(Name(j)) << replica_->Log();
      ASSERT_TRUE(DrainBecomes(Name(j), drain)) << replica_->Log();
    }
    proxy.SetFrozen(true);
    PutSilent(++drain);
    all_inside = WaitUntil([&] { return Inside() >= kSilentClusters; }, std::chrono::seconds(15));
    PutSite("tucson", "tucson", drain);
    ASSERT_TRUE(DrainBecomes("tucson", drain)) << replica_->Log();
  }
  EXPECT_TRUE(all_inside) << "each waits for its own cluster, at the same time";

  // And they catch up.
  proxy.SetFrozen(false);
  for (int j = 0; j < kSilentClusters; ++j) {
    EXPECT_TRUE(DrainBecomes(Name(j), drain)) << Served(Name(j)) << replica_->Log();
  }
}

}  // namespace
}  // namespace sluice::integration
