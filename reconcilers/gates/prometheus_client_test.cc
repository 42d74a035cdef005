#include "reconcilers/gates/prometheus_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/http/testing/imposter.h"
#include "reconcilers/gates/gate_cases.h"

namespace sluice::gates {
namespace {

using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kOne[] =
    R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"7"]}]}})";

std::unique_ptr<Provider> Connect(const std::string& url, const std::string& token = "") {
  auto provider = NewPrometheus({.url = url, .ca_pem = {}, .bearer_token = token});
  EXPECT_TRUE(provider.ok()) << provider.status().ToString();
  return *std::move(provider);
}

TEST(PrometheusClient, PostsTheQueryItsTimeAndTheToken) {
  Imposter imposter([](ImposterConnection& c) {
    while (c.ReadRequest()) c.Send(Answer(200, kOne));
  });
  const auto provider = Connect(imposter.url() + "/prefix/", "secret");
  const auto at = cases::kNow + std::chrono::milliseconds(5);
  const auto answer = provider->Query("sum(x{a=\"b c\"})", at, {});
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_EQ(answer->series.at(0).points.at(0).value, "7");
  ASSERT_TRUE(
      provider->QueryRange("x", at - std::chrono::hours(1), at, std::chrono::milliseconds(1500), {})
          .ok());
  const auto requests = imposter.requests();
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_EQ(requests[0].target, "/prefix/api/v1/query");
  EXPECT_EQ(requests[0].body,
            "query=sum%28x%7Ba%3D%22b%20c%22%7D%29&time=1800000000.005&timeout=5000ms");
  EXPECT_EQ(http::FindHeader(requests[0].headers, "Authorization"), "Bearer secret");
  EXPECT_EQ(requests[1].body,
            "query=x&start=1799996400.005&end=1800000000.005&step=1.500&timeout=5000ms");
}

TEST(PrometheusClient, AProviderThatDoesNotAnswerIsLeftAtTheDeadline) {
  Imposter imposter([](ImposterConnection& c) {
    c.ReadRequest();
    c.WaitForClose();
  });
  const auto provider = Connect(imposter.url());
  Ask ask;
  ask.timeout = std::chrono::milliseconds(50);
  EXPECT_EQ(provider->Query("x", cases::kNow, ask).status().code(), base::Code::kDeadlineExceeded);
}

TEST(PrometheusClient, CutAndForeignAnswersAreErrors) {
  Imposter cut([](ImposterConnection& c) {
    c.ReadRequest();
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\":");
  });
  EXPECT_FALSE(Connect(cut.url())->Query("x", cases::kNow, {}).ok());
  Imposter page([](ImposterConnection& c) {
    while (c.ReadRequest()) c.Send(Answer(502, "<html>"));
  });
  EXPECT_EQ(Connect(page.url())->Query("x", cases::kNow, {}).status().code(),
            base::Code::kDataLoss);
}

TEST(PrometheusClient, RefusesWhatCannotBeSent) {
  EXPECT_FALSE(NewPrometheus({.url = "ftp://x", .ca_pem = {}, .bearer_token = {}}).ok());
  EXPECT_FALSE(NewPrometheus({.url = "https://x:1", .ca_pem = "not PEM", .bearer_token = {}}).ok());
  EXPECT_FALSE(NewPrometheus({.url = "https://x:1", .ca_pem = "", .bearer_token = {}}).ok())
      << "a Secret whose CA is empty means no public one";
  const auto status =
      NewPrometheus({.url = "http://x:1", .ca_pem = {}, .bearer_token = "a\nb: c"}).status();
  EXPECT_THAT(status.message(), ::testing::Not(HasSubstr("b: c")));
}

}  // namespace
}  // namespace sluice::gates
