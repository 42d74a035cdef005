// Properties of the evaluator over random gates, evidence and histories. The seed is printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>

#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/gates/record.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary

class Random {
 public:
  Random() {
    const char* fixed = std::getenv("SLUICE_SEED");
    seed_ = fixed != nullptr ? static_cast<unsigned>(std::atoi(fixed)) : std::random_device()();
    std::cout << "SLUICE_SEED=" << seed_ << "\n";
    engine_.seed(seed_);
  }
  int Below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  bool Chance(int in_hundred) { return Below(100) < in_hundred; }

 private:
  unsigned seed_ = 0;
  std::mt19937 engine_;
};

Reading RandomReading(Random& random, std::vector<std::string> values) {
  switch (random.Below(10)) {
    case 0:
      return Nothing();
    case 1:
      return Broken("timeout");
    case 2:
      return Answer("NaN");
    case 3:
      return Answer("0", 2);
    default:
      return Answer(
          values[static_cast<std::size_t>(random.Below(static_cast<int>(values.size())))]);
  }
}

Gate RandomGate(Random& random) {
  Gate gate = random.Chance(50) ? BurnGate() : random.Chance(50) ? SloGate() : MetricGate();
  gate.waivable = random.Chance(50);
  gate.min_samples = random.Chance(30) ? 10 : 0;
  return gate;
}

Evidence RandomEvidence(Random& random, const Gate& gate, base::WallTime now) {
  const std::vector<std::string> values = {"0", "0.0002", "0.0008", "0.002", "0.5"};
  Evidence e = Fresh(gate, gate.kind == GateKind::kBurnRate ? std::vector<std::string>{"0", "0"}
                                                            : std::vector<std::string>{"0"});
  e.observed_at = now;
  for (WindowEvidence& w : e.windows) {
    w.value = RandomReading(random, values);
    if (random.Chance(70)) w.samples = RandomReading(random, {"5", "10", "1000"});
  }
  e.freshness = {random.Chance(85) ? SampleAt(now - seconds(random.Below(40)))
                                   : RandomReading(random, {"NaN"})};
  if (random.Chance(20)) e.ever_returned = random.Chance(50);
  return e;
}

Context RandomContext(Random& random, base::WallTime now) {
  Context context;
  if (random.Chance(20)) {
    context.exemptions.push_back({.name = "deal",
                                  .gates = {"burn", "availability", "idle"},
                                  .also = {},
                                  .expires_at = now + seconds(random.Below(3) - 1)});
  }
  return context;
}

TEST(Property, AHoldNeverBecomesAPassWithoutNewerDataOrAnExemption) {
  Random random;
  for (int round = 0; round < 400; ++round) {
    const Gate gate = RandomGate(random);
    std::optional<GateResult> previous;
    base::WallTime now = kNow;
    for (int step = 0; step < 6; ++step) {
      const Evidence evidence = RandomEvidence(random, gate, now);
      const GateResult result =
          EvaluateGate(gate, evidence, previous, RandomContext(random, now), now);
      if (previous && previous->raw_verdict.value_or(previous->verdict) != Verdict::kPass &&
          result.verdict == Verdict::kPass && result.cause() != Cause::kExempted &&
          previous->data_time) {
        ASSERT_GT(*result.data_time, *previous->data_time);
      }
      previous = result;
      now += seconds(random.Below(3));
    }
  }
}

TEST(Property, ResultsAreTheSameWhenReplayedAndTheirCausesAreInOrder) {
  Random random;
  std::optional<GateResult> previous;
  for (int round = 0; round < 400; ++round) {
    Record record;
    record.gate = RandomGate(random);
    record.now = kNow + seconds(random.Below(100));
    record.evidence = RandomEvidence(random, record.gate, record.now);
    record.context = RandomContext(random, record.now);
    if (previous && previous->gate == record.gate.name) record.previous = previous;
    record.result = Replay(record);
    const auto read = RecordFromJson(RecordToJson(record));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    ASSERT_EQ(Replay(*read), record.result);
    ASSERT_EQ(read->result, record.result);
    const auto& causes = record.result.causes;
    const auto first = causes.begin() + (causes[0].cause == Cause::kExempted ? 1 : 0);
    ASSERT_TRUE(std::is_sorted(first, causes.end(),
                               [](const auto& a, const auto& b) { return a.cause < b.cause; }));
    previous = record.result;
  }
}

TEST(Property, AddingAGateNeverTurnsANonPassIntoAPass) {
  Random random;
  for (int round = 0; round < 300; ++round) {
    std::vector<Gate> gates;
    std::vector<Evidence> evidence;
    bool passed_before = true;
    for (int i = 0; i < 4; ++i) {
      Gate gate = RandomGate(random);
      gate.name += std::to_string(i);
      evidence.push_back(RandomEvidence(random, gate, kNow));
      gates.push_back(std::move(gate));
      const bool passed = Evaluate(gates, evidence, {}, {}, kNow).passed;
      ASSERT_TRUE(!passed || passed_before);
      passed_before = passed;
    }
  }
}

}  // namespace
}  // namespace sluice::gates
