#include "reconcilers/gates/prometheus_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Vector(std::string_view result) {
  return R"({"status":"success","data":{"resultType":"vector","result":[)" + std::string(result) +
         "]}}";
}

TEST(PrometheusAnswer, ReadsAVectorAndKeepsValuesAsText) {
  const auto answer = ParseAnswer(200, Vector(R"({"metric":{"site":"phoenix"},
      "value":[1435781451.781,"0.30000000000000004"]},{"metric":{},"value":[1,"NaN"]})"));
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  ASSERT_THAT(answer->series, SizeIs(2));
  EXPECT_EQ(answer->series[0].labels.at("site"), "phoenix");
  EXPECT_THAT(answer->series[0].points, ElementsAre(Point{1435781451781, "0.30000000000000004"}));
  EXPECT_EQ(answer->series[1].points[0].value, "NaN");
  EXPECT_THAT(answer->warnings, IsEmpty());
}

TEST(PrometheusAnswer, ReadsAMatrixAScalarAndNothing) {
  const auto matrix = ParseAnswer(200, R"({"status":"success","data":{"resultType":"matrix",
      "result":[{"metric":{},"values":[[1,"1"],[2.5,"+Inf"]]}]}})");
  ASSERT_TRUE(matrix.ok());
  EXPECT_THAT(matrix->series[0].points, ElementsAre(Point{1000, "1"}, Point{2500, "+Inf"}));
  const auto scalar =
      ParseAnswer(200, R"({"status":"success","data":{"resultType":"scalar","result":[3,"7"]}})");
  ASSERT_TRUE(scalar.ok());
  EXPECT_THAT(scalar->series[0].points, ElementsAre(Point{3000, "7"}));
  const auto nothing = ParseAnswer(200, Vector(""));
  ASSERT_TRUE(nothing.ok());
  EXPECT_THAT(nothing->series, IsEmpty());
}

TEST(PrometheusAnswer, KeepsWarnings) {
  const auto answer = ParseAnswer(200, R"({"status":"success","warnings":["remote read failed"],
      "data":{"resultType":"vector","result":[]}})");
  ASSERT_TRUE(answer.ok());
  EXPECT_THAT(answer->warnings, ElementsAre("remote read failed"));
}

TEST(PrometheusAnswer, TellsABadQueryFromAProviderThatCannotAnswer) {
  const auto bad = ParseAnswer(
      400, R"({"status":"error","errorType":"bad_data","error":"parse error: unexpected end"})");
  EXPECT_EQ(bad.status().code(), base::Code::kInvalidArgument);
  EXPECT_EQ(bad.status().reason(), "BadQuery");
  EXPECT_THAT(bad.status().message(), HasSubstr("parse error"));
  const auto slow =
      ParseAnswer(503, R"({"status":"error","errorType":"timeout","error":"query timed out"})");
  EXPECT_EQ(slow.status().code(), base::Code::kDeadlineExceeded);
  const auto broken =
      ParseAnswer(422, R"({"status":"error","errorType":"execution","error":"too many samples"})");
  EXPECT_EQ(broken.status().code(), base::Code::kUnavailable);
}

TEST(PrometheusAnswer, APageThatIsNotPrometheusIsNotAnAnswer) {
  EXPECT_EQ(ParseAnswer(502, "<html>bad gateway</html>").status().code(), base::Code::kDataLoss);
  EXPECT_EQ(ParseAnswer(401, "Unauthorized").status().code(), base::Code::kPermissionDenied);
  EXPECT_EQ(ParseAnswer(200, "").status().code(), base::Code::kDataLoss);
  EXPECT_EQ(ParseAnswer(200, "[]").status().code(), base::Code::kDataLoss);
  EXPECT_EQ(ParseAnswer(500, Vector("")).status().code(), base::Code::kDataLoss);
  const std::string whole = Vector(R"({"metric":{},"value":[1,"1"]})");
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    EXPECT_FALSE(ParseAnswer(200, whole.substr(0, cut)).ok()) << cut;
  }
}

TEST(PrometheusAnswer, RefusesMalformedSamples) {
  for (const char* item :
       {R"({"metric":{},"value":[1]})", R"({"metric":{},"value":["1","1"]})",
        R"({"metric":{},"value":[1,1]})", R"({"metric":{}})", R"({"value":[1,"1"]})",
        R"({"metric":{"a":1},"value":[1,"1"]})", R"({"metric":{},"value":[1e300,"1"]})", "7"}) {
    EXPECT_FALSE(ParseAnswer(200, Vector(item)).ok()) << item;
  }
  const auto text =
      ParseAnswer(200, R"({"status":"success","data":{"resultType":"string","result":[1,"x"]}})");
  EXPECT_EQ(text.status().code(), base::Code::kInvalidArgument);
}

TEST(PrometheusAnswer, RefusesMoreThanItsBounds) {
  EXPECT_EQ(ParseAnswer(200, std::string(kMaxAnswerBytes + 1, ' ')).status().code(),
            base::Code::kResourceExhausted);
  std::string many;
  for (std::size_t i = 0; i <= kMaxAnswerSeries; ++i) {
    many += std::string(i == 0 ? "" : ",") + R"({"metric":{},"value":[1,"1"]})";
  }
  EXPECT_EQ(ParseAnswer(200, Vector(many)).status().code(), base::Code::kResourceExhausted);
}

}  // namespace
}  // namespace sluice::gates
