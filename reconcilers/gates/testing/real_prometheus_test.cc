// Against a real Prometheus: what each fault looks like in evidence, and what the gate says to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <utility>

#include "controller/base/time_format.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/gates/gather.h"
#include "reconcilers/gates/slo_rules.h"
#include "reconcilers/gates/testing/exporter.h"
#include "reconcilers/gates/testing/prometheus_process.h"

namespace sluice::gates {
namespace {

using cases::D;
using std::chrono::seconds;
using testing::Exporter;
using testing::PrometheusProcess;

// The demo's objective: probes and requests, 90 s, one-second scrapes.
Slo DemoSlo() {
  Slo slo;
  slo.name = "phoenix-availability";
  slo.subject_kind = "Site";
  slo.subject = "phoenix";
  slo.indicator.good =
      "sum(rate(requests_total{site=\"phoenix\",outcome=\"ok\"}[$window])) + "
      "avg_over_time(sum(up{job=\"sluice\",site=\"phoenix\"})[$window:1s])";
  slo.indicator.total =
      "sum(rate(requests_total{site=\"phoenix\"}[$window])) + "
      "avg_over_time(max(agents_wanted{site=\"phoenix\"})[$window:1s])";
  slo.window = seconds(90);
  slo.target = D("0.95");
  slo.scrape_interval = seconds(1);
  slo.alert_windows = {{Severity::kPage, seconds(20), seconds(5), D("2")}};
  return slo;
}

// In periods of two hours of which one has passed, slices of five seconds: less than three of
// 1440 may be bad.
Slo PeriodSlo(base::WallTime now) {
  Slo slo = DemoSlo();
  slo.name = "phoenix-period";
  slo.method = BudgetingMethod::kTimeslices;
  slo.slice = seconds(5);
  slo.slice_target = D("0.95");
  slo.target = D("0.998");
  std::string start = base::FormatRfc3339(now - std::chrono::hours(1));
  start.replace(start.find('T'), 1, " ");
  start.pop_back();
  slo.calendar = Calendar::Parse("2h", start, "UTC").value();
  slo.window = slo.calendar->nominal();
  return slo;
}

class RealPrometheus : public ::testing::Test {
 protected:
  void SetUp() override {
    exporter_.Grow("requests_total{outcome=\"ok\"}", 100);
    exporter_.Grow("requests_total{outcome=\"error\"}", 0);
    exporter_.Set("agents_wanted", "1");
    exporter_.Set("gauge", "0.1");
    const Slo period = PeriodSlo(clock_.Wall());
    const std::string rules =
        RuleFileYaml({RulesFor(DemoSlo(), {}, clock_.Wall()), RulesFor(period, {}, clock_.Wall())});
    auto started = PrometheusProcess::Start(exporter_.port(), rules);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    prometheus_ = *std::move(started);
    auto provider = NewPrometheus({.url = prometheus_->url(), .ca_pem = {}, .bearer_token = {}});
    ASSERT_TRUE(provider.ok());
    provider_ = *std::move(provider);
    input_.site = "phoenix";
    input_.scrape_interval = seconds(1);
    input_.slos.emplace("read-availability", DemoSlo());
    input_.slos.emplace("period", period);
  }

  GateResult Look(const Gate& gate) {
    input_.gates = {gate};
    const auto evidence = Gather(input_, provider_.get(), clock_, {});
    return EvaluateGate(gate, evidence.at(0), std::nullopt, {}, clock_.Wall());
  }

  // Looks until the gate says `cause` first, or fails after `limit`. When the last look began that
  // said another.
  base::MonoTime Await(const Gate& gate, Cause cause, seconds limit = seconds(40)) {
    const auto end = clock_.Mono() + limit;
    base::MonoTime other = base::MonoTime::min(), begun = clock_.Mono();
    GateResult last = Look(gate);
    while (last.cause() != cause && clock_.Mono() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // between two looks
      other = std::exchange(begun, clock_.Mono());
      last = Look(gate);
    }
    EXPECT_EQ(CauseName(last.cause()), CauseName(cause)) << last.message();
    return last.cause() == cause ? other : begun;
  }

  static Gate Gauge() {
    Gate gate = cases::MetricGate();
    gate.query = "gauge{site=\"$site\"}";
    gate.freshness_selector = "gauge{site=\"$site\"}";
    return gate;
  }

  base::RealClock clock_;
  Exporter exporter_;
  std::unique_ptr<PrometheusProcess> prometheus_;
  std::unique_ptr<Provider> provider_;
  GatherInput input_;
};

TEST_F(RealPrometheus, EachFaultOfAMetricHasItsCause) {
  const Gate gate = Gauge();
  Await(gate, Cause::kMet);
  exporter_.Set("gauge", "0.5");
  Await(gate, Cause::kGateFailed);
  for (const char* value : {"NaN", "+Inf"}) {
    exporter_.Set("gauge", value);
    Await(gate, Cause::kNoData);
    exporter_.Set("gauge", "0.1");
    Await(gate, Cause::kMet);
  }
  exporter_.Set("gauge{second=\"1\"}", "0.1");
  Await(gate, Cause::kMisconfigured);
  exporter_.Remove("gauge{second=\"1\"}");
  Await(gate, Cause::kMet);
  exporter_.Remove("gauge");
  Await(gate, Cause::kNoData);

  Gate typo = gate;
  typo.query = "gauage";
  typo.freshness_selector = "gauage";
  EXPECT_EQ(Look(typo).cause(), Cause::kMisconfigured);
  typo.query = "gauge +";
  EXPECT_EQ(Look(typo).cause(), Cause::kMisconfigured);
}

// The trap: the query still answers from its window, with a time of now.
TEST_F(RealPrometheus, AStoppedTargetIsStaleWithinThreeScrapes) {
  Gate gate = Gauge();
  gate.query = "avg_over_time(gauge[$window])";
  gate.long_window = seconds(60);
  Await(gate, Cause::kMet);
  exporter_.Break(true);
  const auto broken_at = clock_.Mono();
  const auto still_fresh = Await(gate, Cause::kStaleData);  // however long a look takes
  EXPECT_LT(still_fresh, broken_at + seconds(3 + 3)) << "three scrapes and a slow machine";
  exporter_.Break(false);
  Await(gate, Cause::kMet);
}

TEST_F(RealPrometheus, AProviderThatIsStoppedOrGoneIsAProviderError) {
  const Gate gate = Gauge();
  Await(gate, Cause::kMet);
  prometheus_->Stop();
  EXPECT_EQ(Look(gate).cause(), Cause::kProviderError);
  prometheus_->Resume();
  Await(gate, Cause::kMet);
  prometheus_->Kill();
  EXPECT_EQ(Look(gate).cause(), Cause::kProviderError);
}

TEST_F(RealPrometheus, TheDemosBudgetBurnsFailsAndIsExhausted) {
  Gate budget = cases::SloGate();
  Gate burn = cases::BurnGate();
  Await(budget, Cause::kMet);
  Await(burn, Cause::kMet);
  exporter_.Grow("requests_total{outcome=\"error\"}", 100);
  Await(burn, Cause::kGateFailed);
  Await(budget, Cause::kBudgetExhausted);
  exporter_.Grow("requests_total{outcome=\"error\"}", 0);
  Await(burn, Cause::kRecovering);
  // What the rules recorded agrees with what the gate computed.
  const auto recorded = provider_->Query(
      "slo:sluice_error_budget_remaining:ratio{slo=\"phoenix-availability\"}", clock_.Wall(), {});
  ASSERT_TRUE(recorded.ok());
  ASSERT_EQ(recorded->series.size(), 1U);
  EXPECT_LT(*Decimal::Parse(recorded->series[0].points[0].value), D("0"));
}

// Errors that go on for longer than the period allows use up its budget; then it stays as it is,
// and what the rules recorded is what the gate read.
TEST_F(RealPrometheus, ACalendarsBudgetIsReadAndRecorded) {
  Gate budget = cases::SloGate();
  budget.slo_template = "period";
  Await(budget, Cause::kMet);
  exporter_.Grow("requests_total{outcome=\"error\"}", 1000);
  Await(budget, Cause::kGateFailed);
  EXPECT_GT(*Decimal::Parse(Look(budget).value), D("0")) << "slice by slice, not all at once";
  Await(budget, Cause::kBudgetExhausted, seconds(60));
  exporter_.Grow("requests_total{outcome=\"error\"}", 0);
  const auto recorded = [&]() -> std::string {
    const auto answer = provider_->Query(
        "slo:sluice_error_budget_remaining:ratio{slo=\"phoenix-period\"}", clock_.Wall(), {});
    return answer.ok() && answer->series.size() == 1
               ? Decimal::Parse(answer->series[0].points[0].value)->Rounded(6)
               : "";
  };
  const auto read = [&] { return Decimal::Parse(Look(budget).value)->Rounded(6); };
  // Once the errors have left the last bad slice, neither moves any more.
  const auto end = clock_.Mono() + seconds(30);
  while (read() != recorded() && clock_.Mono() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // between two looks
  }
  EXPECT_EQ(read(), recorded());
  EXPECT_EQ(Look(budget).cause(), Cause::kBudgetExhausted);
}

// A dead agent reports no errors; the total counts the agents that should be there.
TEST_F(RealPrometheus, ADeadAgentIsNotAnImprovement) {
  exporter_.Set("agents_wanted", "101");
  Gate burn = cases::BurnGate();
  Await(burn, Cause::kGateFailed);
}

}  // namespace
}  // namespace sluice::gates
