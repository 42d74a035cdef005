#include "reconcilers/site/metrics.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "api/v1alpha1/site.pb.h"

namespace sluice::site {
namespace {

constexpr int kRounds = 2000;

int SeriesIn(const std::string& text) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find("site=\"phoenix\"", at)) != std::string::npos; ++at) {
    ++count;
  }
  return count;
}

// The controllers of this cluster's Sites and of all others may both tell of one that went.
TEST(SiteMetrics, AreSetAndRemovedWholeWhoeverElseDoes) {
  base::metrics::Registry registry;
  SiteMetrics metrics(registry);
  Inputs in;
  in.name = "phoenix";
  in.site = std::make_shared<v1alpha1::Site>();
  metrics.Set(in, {}, {});
  const int all = SeriesIn(registry.Expose());
  EXPECT_GT(all, 1);
  std::atomic<bool> over{false};
  std::thread other([&] {
    for (int round = 0; round < kRounds; ++round) metrics.Remove("phoenix");
    over = true;
  });
  while (!over) metrics.Set(in, {}, {});
  other.join();
  const int left = SeriesIn(registry.Expose());
  EXPECT_TRUE(left == 0 || left == all) << left;
  metrics.Remove("phoenix");
  EXPECT_EQ(SeriesIn(registry.Expose()), 0);
}

}  // namespace
}  // namespace sluice::site
