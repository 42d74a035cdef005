#include "reconcilers/gates/promql.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Selectors(std::string_view query) {
  auto found = RawSelectors(query);
  EXPECT_TRUE(found.ok()) << query << ": " << found.status().ToString();
  return found.ok() ? *found : std::vector<std::string>{};
}

TEST(PromQl, FindsEachRawSelectorOnce) {
  EXPECT_THAT(Selectors("up"), ElementsAre("up"));
  EXPECT_THAT(Selectors(R"(sum(rate(a{b="c"}[5m])) / sum(rate(d[5m])))"),
              ElementsAre(R"(a{b="c"})", "d"));
  EXPECT_THAT(Selectors(R"(sum(rate(a[5m])) / (sum(rate(a[5m])) > 0))"), ElementsAre("a"));
  EXPECT_THAT(Selectors(R"({__name__=~"x.*", y="}"} offset 5m)"),
              ElementsAre(R"({__name__=~"x.*", y="}"})"));
  EXPECT_THAT(Selectors("job:up:rate5m @ end()"), ElementsAre("job:up:rate5m"));
}

TEST(PromQl, LabelsFunctionsKeywordsAndNumbersAreNotSelectors) {
  EXPECT_THAT(Selectors("sum by (site, node) (x) + on(site) group_left(zone) y * 1e3"),
              ElementsAre("x", "y"));
  EXPECT_THAT(Selectors("max without (node) (x) or vector(0) unless z > bool 0x1f"),
              ElementsAre("x", "z"));
  EXPECT_THAT(Selectors("sum(x) BY (site)"), ElementsAre("x"));
  EXPECT_THAT(Selectors("quantile_over_time(0.9, x[1h:30s]) and NaN != Inf"), ElementsAre("x"));
  EXPECT_THAT(Selectors("label_replace(x, \"a\", \"$1\", 'b', `(.*)`) # and y"), ElementsAre("x"));
}

TEST(PromQl, RefusesWhatItCannotRead) {
  EXPECT_FALSE(RawSelectors("").ok());
  EXPECT_FALSE(RawSelectors("1 + 1").ok());
  EXPECT_FALSE(RawSelectors("vector(1)").ok());
  EXPECT_FALSE(RawSelectors("x{a=\"b").ok());
  EXPECT_FALSE(RawSelectors("x{a=\"b\"").ok());
  EXPECT_FALSE(RawSelectors("rate(x[5m").ok());
  EXPECT_FALSE(RawSelectors(std::string(kMaxQueryBytes + 1, 'x')).ok());
  std::string many = "x0";
  for (std::size_t i = 1; i <= kMaxSelectors; ++i) many += " + x" + std::to_string(i);
  EXPECT_THAT(RawSelectors(many).status().message(), HasSubstr("more than 16"));
}

TEST(PromQl, FillsInVariablesAndRefusesUnknownOnes) {
  const std::map<std::string, std::string> variables = {{"window", "5m"}, {"site", "a\"b\\"}};
  EXPECT_EQ(*FillIn("rate(x{site=\"$site\"}[$window])", variables),
            "rate(x{site=\"a\\\"b\\\\\"}[5m])");
  EXPECT_EQ(*FillIn("label_replace(x, \"a\", \"$1\", \"b\", \"c$\")", variables),
            "label_replace(x, \"a\", \"$1\", \"b\", \"c$\")");
  EXPECT_THAT(FillIn("x[$windw]", variables).status().message(), HasSubstr("$windw"));
}

TEST(PromQl, FreshnessIsAskedOfTheRawSeries) {
  EXPECT_EQ(NewestSampleQuery("x{a=\"b\"}"), "max(timestamp(x{a=\"b\"}))");
}

}  // namespace
}  // namespace sluice::gates
