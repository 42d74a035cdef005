#include "controller/base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::base::metrics {
namespace {

TEST(Metrics, AreExposedSortedAndFromZeroOn) {
  Registry registry;
  registry.GetCounter("b_total", "Second.", {{"result", "ok"}});
  registry.GetGauge("a", "First\nline.").Set(2.5);
  EXPECT_EQ(registry.Expose(),
            "# HELP a First\\nline.\n# TYPE a gauge\na 2.5\n"
            "# HELP b_total Second.\n# TYPE b_total counter\nb_total{result=\"ok\"} 0\n");
}

TEST(Metrics, TheSameLabelsNameTheSameSeries) {
  Registry registry;
  Counter& one = registry.GetCounter("x_total", "X.", {{"site", "phoenix"}});
  Counter& two = registry.GetCounter("x_total", "X.", {{"site", "phoenix"}});
  EXPECT_EQ(&one, &two);
  one.Add();
  two.Add(2);
  EXPECT_EQ(one.value(), 3);
}

TEST(Metrics, AHistogramCountsAValueAtItsBoundInThatBucket) {
  Registry registry;
  Histogram& histogram = registry.GetHistogram("h", "H.", {0.1, 1}, {{"c", "d"}});
  histogram.Observe(0.1);
  histogram.Observe(0.5);
  histogram.Observe(7);
  EXPECT_THAT(registry.Expose(),
              testing::HasSubstr("h_bucket{c=\"d\",le=\"0.1\"} 1\nh_bucket{c=\"d\",le=\"1\"} 2\n"
                                 "h_bucket{c=\"d\",le=\"+Inf\"} 3\nh_sum{c=\"d\"} 7.6\n"
                                 "h_count{c=\"d\"} 3\n"));
}

TEST(Metrics, LabelValuesAreEscaped) {
  Registry registry;
  registry.GetGauge("g", "G.", {{"why", "a \"b\"\n\\c"}}).Set(1);
  EXPECT_THAT(registry.Expose(), testing::HasSubstr(R"(g{why="a \"b\"\n\\c"} 1)"));
}

TEST(Metrics, AGaugeFunctionIsReadWhenScrapedAndCanBeRemoved) {
  Registry registry;
  double now = 1;
  registry.AddGauge("g", "G.", {{"site", "a"}}, [&] { return now; });
  registry.AddGauge("g", "G.", {{"site", "b"}}, [&] { return now; });
  now = 4;
  EXPECT_THAT(registry.Expose(), testing::HasSubstr("g{site=\"a\"} 4\n"));
  registry.RemoveSeries("g", "site", "a");
  EXPECT_THAT(registry.Expose(), testing::Not(testing::HasSubstr("site=\"a\"")));
  EXPECT_THAT(registry.Expose(), testing::HasSubstr("site=\"b\""));
}

TEST(Metrics, ACounterFunctionIsToldAsACounter) {
  Registry registry;
  registry.AddCounter("x_total", "X.", {}, [] { return 7.0; });
  EXPECT_EQ(registry.Expose(), "# HELP x_total X.\n# TYPE x_total counter\nx_total 7\n");
}

TEST(Metrics, AFamilyOverItsBoundFoldsNewSeriesIntoOne) {
  Registry registry;
  for (std::size_t i = 0; i < kMaxSeriesPerFamily + 5; ++i) {
    registry.GetCounter("x_total", "X.", {{"id", std::to_string(i)}}).Add();
  }
  EXPECT_THAT(registry.Expose(), testing::HasSubstr("x_total{id=\"overflow\"} 5\n"));
}

}  // namespace
}  // namespace sluice::base::metrics
