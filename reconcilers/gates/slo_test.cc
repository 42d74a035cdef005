#include "reconcilers/gates/slo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/slo_cases.h"
#include "reconcilers/gates/slo_series.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Slo, ScalesTheUsualWindowsAndKeepsThemForThirtyDays) {
  EXPECT_THAT(ScaledWindows(hours(24 * 30), seconds(30), D("0.999")),
              ElementsAre(WindowPair{Severity::kPage, hours(1), minutes(5), D("14.4")},
                          WindowPair{Severity::kPage, hours(6), minutes(30), D("6")},
                          WindowPair{Severity::kTicket, hours(24), hours(2), D("3")},
                          WindowPair{Severity::kTicket, hours(72), hours(6), D("1")}));
  const auto week = ScaledWindows(hours(24 * 7), seconds(10), D("0.999"));
  EXPECT_EQ(week[0].long_window, minutes(14));
  EXPECT_EQ(week[0].short_window, seconds(70));
}

TEST(Slo, NoScaledWindowIsShorterThanFourScrapes) {
  for (const int scrape : {1, 5, 15, 60}) {
    for (const auto window : {seconds(90), seconds(3600), seconds(86400)}) {
      for (const WindowPair& pair : ScaledWindows(window, seconds(scrape), D("0.99"))) {
        EXPECT_GE(pair.short_window, kMinWindowScrapes * seconds(scrape));
        EXPECT_GE(pair.long_window, pair.short_window);
      }
    }
  }
  EXPECT_THAT(ScaledWindows(seconds(90), seconds(1), D("0.99")),
              ElementsAre(WindowPair{Severity::kPage, seconds(48), seconds(4), D("14.4")},
                          WindowPair{Severity::kTicket, seconds(48), seconds(4), D("3")},
                          WindowPair{Severity::kTicket, seconds(9), seconds(4), D("1")}))
      << "equal pairs of one severity are kept once";
}

TEST(Slo, AFactorBeyondATotalOutageIsLowered) {
  // Target 0.9: a total outage burns 10 times.
  const auto pairs = ScaledWindows(hours(24 * 30), seconds(30), D("0.9"));
  EXPECT_EQ(pairs[0].factor, D("5"));
  EXPECT_EQ(pairs[1].factor, D("6"));
}

TEST(Slo, BudgetsAndBurnRatesAreExact) {
  EXPECT_EQ(BurnRate(D("0.0144"), D("0.999")), D("14.4"));
  EXPECT_EQ(BudgetRemaining(D("0"), D("0.999")), D("1"));
  EXPECT_EQ(BudgetRemaining(D("0.001"), D("0.999")), D("0"));
  EXPECT_EQ(BudgetRemaining(D("0.0005"), D("0.999")), D("0.5"));
  EXPECT_EQ(BudgetRemaining(D("1"), D("0.99")), D("-99"));
  EXPECT_EQ(BudgetRemaining(D("-0.01"), D("0.999")), D("1")) << "extrapolation below zero";
  EXPECT_EQ(BudgetRemaining(D("1.2"), D("0.99")), D("-99")) << "extrapolation above one";
  const auto state = [](const char* left) { return StateOf(D(left), D("0.25"), D("0.1")); };
  EXPECT_EQ(state("-0.1"), BudgetState::kExhausted);
  EXPECT_EQ(state("0"), BudgetState::kExhausted);
  EXPECT_EQ(state("0.09"), BudgetState::kFreeze);
  EXPECT_EQ(state("0.1"), BudgetState::kCaution);
  EXPECT_EQ(state("0.24"), BudgetState::kCaution);
  EXPECT_EQ(state("0.25"), BudgetState::kNormal);
}

TEST(Slo, QueriesOfOccurrencesWeighEvents) {
  const WindowQueries queries = QueriesFor(Availability(), minutes(5));
  EXPECT_EQ(queries.error_ratio,
            "1 - ((sum(rate(ok{site=\"phoenix\"}[5m]))) or "
            "(0 * (sum(rate(all{site=\"phoenix\"}[5m]))))) / "
            "((sum(rate(all{site=\"phoenix\"}[5m]))))");
  EXPECT_EQ(queries.events, "(sum(rate(all{site=\"phoenix\"}[5m]))) * 300");
  Slo bad = Availability();
  bad.indicator.good.clear();
  bad.indicator.bad = "sum(rate(errors[$window]))";
  EXPECT_EQ(QueriesFor(bad, seconds(90)).error_ratio,
            "(sum(rate(errors[1m30s]))) / (sum(rate(all{site=\"phoenix\"}[1m30s])))");
}

TEST(Slo, LongWindowsReadRecordedSeries) {
  const WindowQueries queries = QueriesFor(Availability(), hours(24 * 30));
  EXPECT_EQ(queries.error_ratio,
            "sum_over_time(slo:sluice_bad_events:rate{slo=\"phoenix-availability\"}[30d]) / "
            "sum_over_time(slo:sluice_total_events:rate{slo=\"phoenix-availability\"}[30d])");
  EXPECT_THAT(QueriesFor(Latency(), hours(24)).error_ratio,
              HasSubstr("avg_over_time((slo:sluice_slice_error:ratio{slo=\"phoenix-latency\"})"));
}

TEST(Slo, SlicesCountWholeSlicesInsideTheWindowAndSkipEmptyOnes) {
  Slo slo = Availability();
  slo.method = BudgetingMethod::kTimeslices;
  slo.slice = seconds(10);
  slo.slice_target = D("0.95");
  const std::string query = QueriesFor(slo, seconds(90)).error_ratio;
  EXPECT_THAT(query, HasSubstr("[1m20s:10s]"));
  EXPECT_THAT(query, HasSubstr("> 0"));
  EXPECT_THAT(query, HasSubstr(">= bool 0.95"));
  // A window of one slice or less is that slice.
  EXPECT_THAT(QueriesFor(slo, seconds(12)).error_ratio, ::testing::Not(HasSubstr("over_time")));
  slo.method = BudgetingMethod::kRatioTimeslices;
  EXPECT_THAT(QueriesFor(slo, seconds(90)).error_ratio, ::testing::Not(HasSubstr("bool")));
  EXPECT_THAT(QueriesFor(Latency(), seconds(90)).error_ratio, HasSubstr("<= bool 0.2"));
}

TEST(Slo, NamesTheFieldThatMakesItImpossibleToMeasure) {
  EXPECT_TRUE(Validate(Availability()).ok());
  EXPECT_TRUE(Validate(Latency()).ok());
  const auto message = [](auto change) {
    Slo slo = Availability();
    change(slo);
    return Validate(slo).message();
  };
  EXPECT_THAT(message([](Slo& s) { s.target = D("1"); }), HasSubstr("target"));
  EXPECT_THAT(message([](Slo& s) { s.target = D("0"); }), HasSubstr("target"));
  EXPECT_THAT(message([](Slo& s) { s.window = seconds(3); }), HasSubstr("window"));
  EXPECT_THAT(message([](Slo& s) { s.scrape_interval = seconds(0); }), HasSubstr("scrape"));
  EXPECT_THAT(message([](Slo& s) { s.method = BudgetingMethod::kTimeslices; }),
              HasSubstr("timeSliceWindow"));
  EXPECT_THAT(message([](Slo& s) { s.indicator.good = "rate(x[$windw])"; }),
              HasSubstr("indicator.ratio.good"));
  EXPECT_THAT(message([](Slo& s) { s.indicator.total = "vector(1)"; }),
              HasSubstr("indicator.ratio.total"));
  EXPECT_THAT(message([](Slo& s) {
                s.alert_windows = {{Severity::kPage, seconds(20), seconds(1), D("2")}};
              }),
              HasSubstr("alertWindows"));
  EXPECT_THAT(message([](Slo& s) {
                s.alert_windows = {{Severity::kPage, seconds(60), seconds(60), D("2")}};
              }),
              HasSubstr("alertWindows"));
  Slo latency = Latency();
  latency.method = BudgetingMethod::kOccurrences;
  EXPECT_THAT(Validate(latency).message(), HasSubstr("no events to count"));
  Slo raw = Satisfaction();
  EXPECT_TRUE(Validate(raw).ok());
  raw.indicator.raw = "vector(1)";
  EXPECT_THAT(Validate(raw).message(), HasSubstr("indicator.rawRatio.query"));
}

TEST(Slo, ARawRatiosSliceIsItsShareAndWhatIsNoShareDropsOut) {
  Slo slo = Satisfaction();
  EXPECT_EQ(SliceErrorQuery(slo), "1 - (((avg(satisfaction_ratio{site=\"phoenix\"})) >= 0 <= 1))");
  slo.indicator.raw = "avg_over_time(failed_ratio[$window])";
  slo.indicator.raw_is_failure = true;
  EXPECT_EQ(SliceErrorQuery(slo), "1 - (1 - ((avg_over_time(failed_ratio[1m])) >= 0 <= 1))");
  slo.method = BudgetingMethod::kTimeslices;
  slo.slice_target = D("0.95");
  EXPECT_EQ(SliceErrorQuery(slo),
            "1 - ((1 - ((avg_over_time(failed_ratio[1m])) >= 0 <= 1)) >= bool 0.95)");
  EXPECT_THAT(*SelectorsOf(slo), ElementsAre("failed_ratio"));
}

// 1800000000 is 2027-01-15T08:00:00Z: the month began at 1798761600 and has 31 days.
TEST(Slo, ACalendarsBudgetIsOfThePeriodThatRuns) {
  const BudgetWindow rolling = BudgetAt(Availability(), kNow);
  EXPECT_EQ(rolling.length, hours(24 * 30));
  EXPECT_FALSE(rolling.start.has_value());
  EXPECT_EQ(rolling.queries.error_ratio, QueriesFor(Availability(), hours(24 * 30)).error_ratio);

  const BudgetWindow events = BudgetAt(InPeriodsOf(Availability(), "1M"), kNow);
  EXPECT_EQ(events.length, hours(24 * 31));
  EXPECT_EQ(events.start, base::WallTime(seconds(1'798'761'600)));
  const std::string sum =
      "sum_over_time((slo:sluice_total_events:rate{slo=\"phoenix-availability\"} * "
      "(time() >= bool 1798761660))[31d:1m])";
  EXPECT_THAT(events.queries.error_ratio, ::testing::EndsWith(" / " + sum));
  EXPECT_EQ(events.queries.events, sum + " * 60");

  Slo sliced = InPeriodsOf(Latency(), "1w");
  sliced.slice = minutes(5);
  const BudgetWindow slices = BudgetAt(sliced, kNow);
  EXPECT_EQ(slices.queries.error_ratio,
            "sum_over_time((slo:sluice_slice_error:ratio{slo=\"phoenix-latency\"} * "
            "(time() >= bool 1799885100))[7d:5m]) / 2016")
      << "a week has 2016 slices of five minutes";
  EXPECT_THAT(slices.queries.events, HasSubstr("* 0 + 1"));
}

TEST(Slo, ReadsEverySelectorOnce) {
  EXPECT_THAT(*SelectorsOf(Availability()),
              ElementsAre("all{site=\"phoenix\"}", "ok{site=\"phoenix\"}"));
}

TEST(Slo, ComparesAsOpenSloNamesIt) {
  EXPECT_TRUE(Holds(D("1"), *ComparisonFromName("lte"), D("1")));
  EXPECT_FALSE(Holds(D("1"), *ComparisonFromName("lt"), D("1")));
  EXPECT_TRUE(Holds(D("1"), *ComparisonFromName("gte"), D("1")));
  EXPECT_FALSE(Holds(D("1"), *ComparisonFromName("gt"), D("1")));
  EXPECT_FALSE(ComparisonFromName("eq").has_value());
}

}  // namespace
}  // namespace sluice::gates
