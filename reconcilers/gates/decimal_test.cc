#include "reconcilers/gates/decimal.h"

#include <gtest/gtest.h>

namespace sluice::gates {
namespace {

Decimal D(std::string_view text) {
  auto value = Decimal::Parse(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : Decimal();
}

TEST(Decimal, ReadsWhatPeopleAndPrometheusWrite) {
  EXPECT_EQ(D("0.999").ToString(), "0.999");
  EXPECT_EQ(D("-3").ToString(), "-3");
  EXPECT_EQ(D("1e-05").ToString(), "0.00001");
  EXPECT_EQ(D("1.5E+3").ToString(), "1500");
  EXPECT_EQ(D("+.5").ToString(), "0.5");
  EXPECT_EQ(D("7.").ToString(), "7");
  EXPECT_EQ(D("0").ToString(), "0");
  EXPECT_EQ(D("-0.0").ToString(), "0");
  EXPECT_EQ(D("1.7e9").ToString(), "1700000000");
  EXPECT_EQ(D("1e-300").ToString(), "0");
}

TEST(Decimal, RefusesWhatIsNotANumber) {
  for (const char* text : {"", "NaN", "+Inf", "-Inf", "Inf", "0x10", "1,5", "1.2.3", "e5", "1e",
                           "1e+", "1e99999", " 1", "1 ", "--1", "."}) {
    EXPECT_FALSE(Decimal::Parse(text).ok()) << text;
  }
  EXPECT_EQ(Decimal::Parse("1e18").status().code(), base::Code::kOutOfRange);
  EXPECT_EQ(Decimal::Parse("1e300").status().code(), base::Code::kOutOfRange);
  EXPECT_EQ(Decimal::Parse("999999999999999999.9999999999999").status().code(),
            base::Code::kOutOfRange);
}

TEST(Decimal, FloatNoiseBelowAPicoIsRoundedAwayAndNothingElseIs) {
  EXPECT_EQ(D("0.30000000000000004"), D("0.3"));
  EXPECT_EQ(D("0.49999999999999994"), D("0.5"));
  EXPECT_EQ(D("0.0010000000000000009"), D("0.001"));
  EXPECT_LT(D("0.499999999999"), D("0.5"));
  EXPECT_EQ(D("0.0000000000005").ToString(), "0.000000000001");
  EXPECT_EQ(D("0.00000000000049").ToString(), "0");
}

TEST(Decimal, ArithmeticIsExactAtTheBoundariesThatFloatsMiss) {
  // 1 - 0.001 / (1 - 0.999) is not 0 in float64.
  const Decimal left = D("1") - D("0.001") / (D("1") - D("0.999"));
  EXPECT_TRUE(left.IsZero());
  EXPECT_EQ(D("0.0144") / (D("1") - D("0.999")), D("14.4"));
  EXPECT_EQ(D("1") / D("3"), D("0.333333333333"));
  EXPECT_EQ(D("2") / D("3"), D("0.666666666667"));
  EXPECT_EQ(D("-2") / D("3"), D("-0.666666666667"));
  EXPECT_EQ(D("123456789.123") * D("1000"), D("123456789123"));
}

TEST(Decimal, StopsAtTheEndOfItsRange) {
  const Decimal big = D("999999999999999999");
  EXPECT_EQ(big + big, big * big);
  EXPECT_LT(Decimal() - big - big, Decimal() - D("999999999999999998"));
  EXPECT_EQ(big / D("0.000000000001"), big + big);
  EXPECT_EQ(Decimal::FromInt(INT64_MAX), big + big);
}

TEST(Decimal, PrintsForPeople) {
  EXPECT_EQ(D("0.82").Percent(), "82 %");
  EXPECT_EQ(D("0.82449").Percent(), "82.4 %");
  EXPECT_EQ(D("-0.5").Percent(), "-50 %");
  EXPECT_EQ(D("0.3449").Rounded(2), "0.34");
  EXPECT_EQ(D("0.345").Rounded(2), "0.35");
  EXPECT_EQ(D("-0.004").Rounded(2), "0");
  EXPECT_EQ(D("1.9").Floor(), 1);
  EXPECT_EQ(D("-1.1").Floor(), -2);
  EXPECT_EQ(D("-2").Floor(), -2);
}

}  // namespace
}  // namespace sluice::gates
