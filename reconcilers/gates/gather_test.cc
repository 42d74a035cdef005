#include "reconcilers/gates/gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/slo_cases.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Answers by exact query; whatever it does not know gives nothing.
class FakeProvider final : public Provider {
 public:
  base::StatusOr<PrometheusAnswer> Query(std::string_view query, base::WallTime at,
                                         const Ask& ask) override {
    asked.emplace_back(query);
    times.push_back(at);
    timeouts.push_back(ask.timeout);
    if (!error.ok()) return error;
    PrometheusAnswer answer{.series = {}, .warnings = warnings};
    if (const auto found = values.find(std::string(query)); found != values.end()) {
      answer.series.push_back({{}, {{0, found->second}}});
    }
    return answer;
  }
  base::StatusOr<PrometheusAnswer> QueryRange(std::string_view query, base::WallTime from,
                                              base::WallTime to, base::Duration,
                                              const Ask&) override {
    ranges.emplace_back(query);
    range = to - from;
    PrometheusAnswer answer;
    if (existed) answer.series.push_back({{}, {{0, "1"}}});
    return answer;
  }

  std::map<std::string, std::string> values;
  std::vector<std::string> warnings;
  base::Status error;
  bool existed = false;
  std::vector<std::string> asked, ranges;
  std::vector<base::WallTime> times;
  std::vector<std::chrono::milliseconds> timeouts;
  base::Duration range{0};
};

class GatherTest : public ::testing::Test {
 protected:
  std::vector<Evidence> Run(std::vector<Gate> gates) {
    input_.gates = std::move(gates);
    return Gather(input_, &provider_, clock_, {});
  }
  GatherTest() {
    input_.site = "phoenix";
    input_.scrape_interval = seconds(15);
    input_.slos.emplace("read-availability", Availability());
  }
  base::FakeClock clock_{kNow + std::chrono::microseconds(1234567)};
  FakeProvider provider_;
  GatherInput input_;
};

TEST_F(GatherTest, FillsInTheSiteAndAsksForTheFreshnessOfTheNamedSelector) {
  Gate gate = MetricGate();
  gate.query = "max(idle{site=\"$site\"})";
  gate.freshness_selector = "idle{site=\"$site\"}";
  provider_.values = {{"max(idle{site=\"phoenix\"})", "0.2"},
                      {"max(timestamp(idle{site=\"phoenix\"}))", "1800000001"}};
  const auto evidence = Run({gate});
  ASSERT_THAT(evidence, SizeIs(1));
  EXPECT_EQ(evidence[0].windows.at(0).value.value, "0.2");
  EXPECT_EQ(evidence[0].freshness.at(0).value, "1800000001");
  EXPECT_EQ(evidence[0].observed_at, kNow + std::chrono::milliseconds(1234));
  EXPECT_THAT(provider_.times, ElementsAre(evidence[0].observed_at, evidence[0].observed_at));
  EXPECT_THAT(provider_.ranges, IsEmpty());
  EXPECT_EQ(EvaluateGate(gate, evidence[0], {}, {}, evidence[0].observed_at).verdict,
            Verdict::kPass);
}

TEST_F(GatherTest, AsksForBothWindowsAndForSamplesWhereAMinimumIsSet) {
  Gate gate = MetricGate();
  gate.query = "avg_over_time(idle[$window])";
  gate.long_window = minutes(60);
  gate.short_window = minutes(5);
  gate.min_samples = 10;
  Run({gate});
  EXPECT_THAT(provider_.asked,
              ElementsAre("avg_over_time(idle[1h])", "sum(count_over_time(idle[1h]))",
                          "avg_over_time(idle[5m])", "sum(count_over_time(idle[5m]))",
                          "max(timestamp(idle))"));
}

TEST_F(GatherTest, AsksASharedQueryOnce) {
  Gate first = BurnGate(), second = BurnGate();
  second.name = "burn-again";
  Run({first, second});
  const std::size_t asked = provider_.asked.size();
  provider_.asked.clear();
  Run({first});
  EXPECT_EQ(asked, provider_.asked.size());
}

TEST_F(GatherTest, BurnGatesUseTheObjectivesFirstWindowsUnlessTheyNameTheirOwn) {
  auto evidence = Run({BurnGate()});
  EXPECT_EQ(evidence[0].windows.at(0).window, minutes(60));
  EXPECT_EQ(evidence[0].windows.at(1).window, minutes(5));
  EXPECT_THAT(evidence[0].freshness, SizeIs(2));
  Gate own = BurnGate();
  own.long_window = minutes(10);
  own.short_window = minutes(2);
  EXPECT_EQ(Run({own})[0].windows.at(0).window, minutes(10));
  own.short_window = seconds(59);
  EXPECT_THAT(Run({own})[0].misconfigured, HasSubstr("4 scrape intervals"));
}

TEST_F(GatherTest, BurnGatesAskForTheBudgetOfAnObjectiveWithAPolicy) {
  EXPECT_FALSE(Run({BurnGate()})[0].budget.has_value());
  Slo slo = Availability();
  slo.freeze_below = D("0.1");
  slo.exceptions = {ChangeClass::kSecurity};
  input_.slos.insert_or_assign("read-availability", slo);
  const Evidence evidence = Run({BurnGate()})[0];
  ASSERT_TRUE(evidence.budget.has_value());
  EXPECT_EQ(evidence.budget->window, slo.window);
  EXPECT_EQ(evidence.budget->value.query, QueriesFor(slo, slo.window).error_ratio);
  EXPECT_THAT(evidence.freshness, SizeIs(3)) << "what is recorded has to be fresh too";
  ASSERT_TRUE(evidence.slo.has_value());
  EXPECT_EQ(evidence.slo->freeze_below, D("0.1"));
  EXPECT_THAT(evidence.slo->exceptions, ElementsAre(ChangeClass::kSecurity));
  EXPECT_FALSE(Run({SloGate()})[0].budget.has_value()) << "its window is the budget's";
}

TEST_F(GatherTest, ACalendarsBudgetCarriesTheStartOfItsPeriod) {
  Slo slo = InPeriodsOf(Availability(), "1M");
  slo.caution_below = D("0.25");
  input_.slos.insert_or_assign("read-availability", slo);
  const auto evidence = Run({SloGate(), BurnGate()});
  const BudgetWindow budget = BudgetAt(slo, kNow);
  EXPECT_EQ(evidence[0].windows.at(0).start, budget.start);
  EXPECT_EQ(evidence[0].windows.at(0).window, std::chrono::hours(24 * 31));
  EXPECT_EQ(evidence[0].windows.at(0).value.query, budget.queries.error_ratio);
  EXPECT_EQ(evidence[1].budget.value().start, budget.start);
  EXPECT_FALSE(evidence[1].windows.at(0).start.has_value()) << "burn rates roll";
  // What it reads is recorded, however short the period is.
  input_.slos.insert_or_assign("read-availability", InPeriodsOf(Availability(), "1h"));
  EXPECT_THAT(Run({SloGate()})[0].freshness, SizeIs(3));
}

TEST_F(GatherTest, AMetricsWindowIsNoShorterThanAScrape) {
  Gate gate = MetricGate();
  gate.query = "avg_over_time(idle[$window])";
  gate.long_window = seconds(15);
  EXPECT_THAT(Run({gate})[0].misconfigured, IsEmpty());
  gate.long_window = seconds(14);
  EXPECT_THAT(Run({gate})[0].misconfigured, HasSubstr("shorter than the scrape interval"));
}

TEST_F(GatherTest, LongWindowsAskForTheFreshnessOfWhatIsRecordedToo) {
  const auto evidence = Run({SloGate()});
  ASSERT_THAT(evidence[0].freshness, SizeIs(3));
  EXPECT_THAT(evidence[0].freshness[2].query, HasSubstr("slo:sluice_total_events:rate"));
}

TEST_F(GatherTest, AsksWhetherAQueryThatGivesNothingEverGaveAnything) {
  Gate gate = MetricGate();
  gate.learning_window = std::chrono::hours(24);
  auto evidence = Run({gate});
  EXPECT_THAT(provider_.ranges, ElementsAre("max(idle)"));
  EXPECT_EQ(provider_.range, std::chrono::hours(24));
  EXPECT_EQ(evidence[0].ever_returned, false);
  EXPECT_EQ(EvaluateGate(gate, evidence[0], {}, {}, kNow).cause(), Cause::kMisconfigured);
  provider_.existed = true;
  evidence = Run({gate});
  EXPECT_EQ(evidence[0].ever_returned, true);
  EXPECT_EQ(EvaluateGate(gate, evidence[0], {}, {}, kNow).cause(), Cause::kNoData);
}

TEST_F(GatherTest, WarningsAreErrors) {
  provider_.warnings = {"remote read failed"};
  provider_.values = {{"max(idle)", "0.1"}, {"max(timestamp(idle))", "1800000000"}};
  const auto evidence = Run({MetricGate()});
  EXPECT_EQ(evidence[0].windows.at(0).value.error, "warning: remote read failed");
  EXPECT_EQ(EvaluateGate(MetricGate(), evidence[0], {}, {}, kNow).cause(), Cause::kProviderError);
}

TEST_F(GatherTest, DoesNotKnockTwiceAtAProviderThatIsDown) {
  provider_.error = base::Unavailable("connection refused");
  const auto evidence = Run({SloGate(), BurnGate(), MetricGate(), SoakGate()});
  EXPECT_THAT(provider_.asked, SizeIs(1));
  for (int i = 0; i < 3; ++i) {
    const auto& e = evidence[static_cast<std::size_t>(i)];
    for (const WindowEvidence& w : e.windows) EXPECT_EQ(w.value.error, "connection refused");
  }
  EXPECT_THAT(evidence[3].windows, IsEmpty());
}

TEST_F(GatherTest, AWrongQueryIsTheGatesOwnFaultAndOthersAreStillAsked) {
  provider_.error = base::InvalidArgument("parse error");
  const auto evidence = Run({MetricGate(), BurnGate()});
  EXPECT_TRUE(evidence[0].windows.at(0).value.bad_query);
  EXPECT_GT(provider_.asked.size(), 3U);
}

TEST_F(GatherTest, NoQueryMayTakeLongerThanItsShare) {
  Run({BurnGate()});
  for (const auto timeout : provider_.timeouts) EXPECT_LE(timeout, kQueryTimeout);
}

TEST_F(GatherTest, SaysWhatIsMissing) {
  Gate other = SloGate();
  other.slo_template = "latency";
  EXPECT_THAT(Run({other})[0].misconfigured, HasSubstr("phoenix-latency"));
  input_.slos.insert_or_assign("latency", base::InvalidArgument("target: is not a decimal"));
  EXPECT_THAT(Run({other})[0].misconfigured, HasSubstr("target"));
  Slo bad = Availability();
  bad.target = D("1");
  input_.slos.insert_or_assign("latency", bad);
  EXPECT_THAT(Run({other})[0].misconfigured, HasSubstr("phoenix-availability: target"));
  Gate variable = MetricGate();
  variable.query = "x{site=\"$sit\"}";
  EXPECT_THAT(Run({variable})[0].misconfigured, HasSubstr("$sit"));
  variable = MetricGate();
  variable.freshness_selector = "vector(1)";
  EXPECT_THAT(Run({variable})[0].misconfigured, HasSubstr("no series"));
}

TEST_F(GatherTest, WithoutAProviderItSaysWhy) {
  input_.gates = {MetricGate(), SoakGate()};
  input_.soak = SoakFacts{"Crawl", kNow};
  input_.misconfigured = "the site names no Prometheus";
  auto evidence = Gather(input_, nullptr, clock_, {});
  EXPECT_EQ(evidence[0].misconfigured, "the site names no Prometheus");
  EXPECT_EQ(evidence[1].soak->stage, "Crawl");
  input_.misconfigured.clear();
  input_.provider_error = "the CA Secret is missing";
  evidence = Gather(input_, nullptr, clock_, {});
  EXPECT_EQ(EvaluateGate(MetricGate(), evidence[0], {}, {}, kNow).cause(), Cause::kMisconfigured)
      << "freshness is unknown";
}

}  // namespace
}  // namespace sluice::gates
