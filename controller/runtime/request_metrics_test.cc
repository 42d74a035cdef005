#include "controller/runtime/request_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "controller/runtime/limits.h"

namespace sluice::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

TEST(RequestMetrics, CountsByCodeHostAndMethodUnderClientGosNames) {
  base::metrics::Registry registry;
  const auto observe = RequestMetrics(registry);
  for (int i = 0; i < 3; ++i) observe({"PATCH", "a:443", 200, 4ms, 0ns});
  observe({"PATCH", "b:443", 200, 4ms, 0ns});
  observe({"GET", "a:443", 0, 4ms, 0ns});
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("rest_client_throttled_seconds_total")));
  observe({"GET", "a:443", 200, 4ms, 2s});
  const std::string text = registry.Expose();
  EXPECT_THAT(
      text,
      HasSubstr("rest_client_requests_total{code=\"200\",host=\"a:443\",method=\"PATCH\"} 3\n"));
  EXPECT_THAT(
      text,
      HasSubstr("rest_client_requests_total{code=\"200\",host=\"b:443\",method=\"PATCH\"} 1\n"));
  EXPECT_THAT(
      text,
      HasSubstr("rest_client_requests_total{code=\"<error>\",host=\"a:443\",method=\"GET\"} 1\n"));
  EXPECT_THAT(
      text,
      HasSubstr("rest_client_request_duration_seconds_count{host=\"a:443\",verb=\"GET\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("rest_client_throttled_seconds_total{host=\"a:443\"} 2\n"));
}

TEST(RequestMetrics, CountsOnWhenMoreSeriesComeThanItKeeps) {
  base::metrics::Registry registry;
  const auto observe = RequestMetrics(registry);
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < kMaxKeptSeries + 5; ++i) {
      const std::string host = "h" + std::to_string(i);
      observe({"GET", host, 200, 1ms, 0ns});
    }
  }
  const std::string last = "h" + std::to_string(kMaxKeptSeries + 4);
  EXPECT_THAT(registry.Expose(),
              HasSubstr("{code=\"200\",host=\"" + last + "\",method=\"GET\"} 2\n"));
}

}  // namespace
}  // namespace sluice::runtime
