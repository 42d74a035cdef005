#include "controller/runtime/request_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>

#include "controller/client/config.h"
#include "controller/http/testing/imposter.h"
#include "controller/runtime/limits.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

TEST(RequestMetrics, CountsByCodeHostAndMethodUnderClientGosNames) {
  base::metrics::Registry registry;
  const auto observe = RequestMetrics(registry).request;
  for (int i = 0; i < 3; ++i) observe({"PATCH", "a:443", 200, 4ms});
  observe({"PATCH", "b:443", 200, 4ms});
  observe({"GET", "a:443", 0, 4ms});
  observe({"GET", "a:443", 200, 4ms});
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
}

TEST(RequestMetrics, CountsAWatchWhenItsAnswerBeginsAndTimesNone) {
  using http::testing::ImposterConnection;
  std::promise<void> looked;
  const http::testing::Imposter server([&](ImposterConnection& c) {
    c.ReadRequest();
    if (c.index() == 1) return c.Cut();  // before any answer
    c.Send(http::testing::kChunkedHead);
    looked.get_future().wait();  // open and silent until then
    c.Send(http::testing::Chunk("{\"a\":1}\n"));
    c.Cut();
  });
  base::metrics::Registry registry;
  client::Config config;
  config.server = server.url();
  const auto client = client::NewClient(config).value();
  client->Observe(RequestMetrics(registry));
  const std::string host = server.url().substr(server.url().rfind('/') + 1);
  const auto watch = [&] {
    return client->Watch({"", "v1", "Pod", "pods", true}, {}, [](auto) { return true; }, {});
  };
  const auto requests = [&](const std::string& code) {
    return HasSubstr("rest_client_requests_total{code=\"" + code + "\",host=\"" + host +
                     "\",method=\"GET\"} 1\n");
  };
  auto cut = std::async(watch);
  EXPECT_TRUE(testing_kit::WaitUntil(
      [&] { return registry.Expose().find("code=\"200\"") != std::string::npos; }));
  looked.set_value();
  EXPECT_EQ(cut.get().reason(), "ConnectionCut");
  EXPECT_THAT(registry.Expose(), requests("200"));
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("<error>")));
  EXPECT_EQ(watch().reason(), "ConnectionCut");
  EXPECT_THAT(registry.Expose(), requests("200"));
  EXPECT_THAT(registry.Expose(), requests("<error>"));
  EXPECT_THAT(registry.Expose(), HasSubstr("rest_client_request_duration_seconds_count{host=\"" +
                                           host + "\",verb=\"GET\"} 0\n"));
}

TEST(RequestMetrics, SaysWhatThrottledUsAndForHowLong) {
  base::metrics::Registry registry;
  const auto observe = RequestMetrics(registry).throttle;
  observe({"a:443", 429, "none", 0, 0s});
  const std::string at_start = "{code=\"429\",host=\"a:443\",priority_level=\"none\"} 0\n";
  EXPECT_THAT(registry.Expose(), HasSubstr("rest_client_throttled_total" + at_start));
  EXPECT_THAT(registry.Expose(), HasSubstr("rest_client_throttled_seconds_total" + at_start));
  observe({"a:443", 429, "l-1", 1, 0s});
  observe({"a:443", 429, "l-1", 1, 0s});
  observe({"a:443", 429, "l-1", 0, 2s});
  const std::string level = "{code=\"429\",host=\"a:443\",priority_level=\"l-1\"} 2\n";
  EXPECT_THAT(registry.Expose(), HasSubstr("rest_client_throttled_total" + level));
  EXPECT_THAT(registry.Expose(), HasSubstr("rest_client_throttled_seconds_total" + level));
}

TEST(RequestMetrics, CountsOnWhenMoreSeriesComeThanItKeeps) {
  base::metrics::Registry registry;
  const auto observe = RequestMetrics(registry).request;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < kMaxKeptSeries + 5; ++i) {
      const std::string host = "h" + std::to_string(i);
      observe({"GET", host, 200, 1ms});
    }
  }
  const std::string last = "h" + std::to_string(kMaxKeptSeries + 4);
  EXPECT_THAT(registry.Expose(),
              HasSubstr("{code=\"200\",host=\"" + last + "\",method=\"GET\"} 2\n"));
}

}  // namespace
}  // namespace sluice::runtime
