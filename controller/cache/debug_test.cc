#include "controller/cache/debug.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::cache {
namespace {

TEST(DebugOf, TellsHowLongTheServerHasBeenSilent) {
  InformerStats stats;
  const base::MonoTime now = base::MonoTime{} + std::chrono::hours(1);
  EXPECT_TRUE(DebugOf("pods", stats, now)["heardSecondsAgo"].is_null()) << "it told nothing yet";
  stats.last_heard = now - std::chrono::seconds(90);
  EXPECT_EQ(DebugOf("pods", stats, now)["heardSecondsAgo"], 90);
}

TEST(NameOf, TellsWhatACacheIsNarrowedTo) {
  InformerOptions options;
  options.resource = {"apps", "v1", "Deployment", "deployments", true};
  EXPECT_EQ(NameOf(options), "deployments.apps");
  options.ns = "n";
  options.label_selector = "a=b";
  EXPECT_EQ(NameOf(options), "deployments.apps (namespace n, labels a=b)");
}

}  // namespace
}  // namespace sluice::cache
