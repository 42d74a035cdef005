// Builders of gates and evidence for the tests of this folder.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "reconcilers/gates/evaluate.h"

namespace sluice::gates::cases {

using std::chrono::minutes;
using std::chrono::seconds;

inline const base::WallTime kNow{seconds(1'800'000'000)};

inline Decimal D(std::string_view text) { return *Decimal::Parse(text); }

inline Reading Answer(std::string value, int series = 1) {
  return {.query = "q", .value = std::move(value), .series = series, .error = {}};
}
inline Reading Nothing() { return {.query = "q", .value = {}, .series = 0, .error = {}}; }
inline Reading Broken(std::string error) {
  return {.query = "q", .value = {}, .series = 0, .error = std::move(error)};
}
inline Reading SampleAt(base::WallTime time) {
  return Answer(
      std::to_string(std::chrono::duration_cast<seconds>(time.time_since_epoch()).count()));
}

inline Gate SloGate() {
  Gate gate;
  gate.name = "availability";
  gate.kind = GateKind::kSlo;
  gate.slo_template = "read-availability";
  gate.min_budget_remaining = D("0.5");
  return gate;
}

inline Gate BurnGate() {
  Gate gate;
  gate.name = "burn";
  gate.kind = GateKind::kBurnRate;
  gate.slo_template = "read-availability";
  gate.burn_below = D("1");
  return gate;
}

inline Gate MetricGate() {
  Gate gate;
  gate.name = "idle";
  gate.kind = GateKind::kMetric;
  gate.query = "max(idle)";
  gate.op = Comparison::kLte;
  gate.threshold = D("0.3");
  gate.freshness_selector = "idle";
  return gate;
}

inline Gate SoakGate() {
  Gate gate;
  gate.name = "soak";
  gate.kind = GateKind::kSoak;
  gate.soak = std::chrono::hours(24 * 14);
  return gate;
}

// Fresh evidence of one or more values, 10 s scrapes, newest sample 5 s old.
inline Evidence Fresh(const Gate& gate, std::vector<std::string> values) {
  Evidence e;
  e.gate = gate.name;
  e.observed_at = kNow;
  e.scrape_interval = seconds(10);
  base::Duration window = minutes(60);
  for (std::string& value : values) {
    WindowEvidence w;
    w.window = gate.kind == GateKind::kMetric && values.size() == 1 ? base::Duration(0) : window;
    w.value = Answer(std::move(value));
    e.windows.push_back(std::move(w));
    window = minutes(5);
  }
  e.freshness = {SampleAt(kNow - seconds(5))};
  if (gate.kind == GateKind::kSlo || gate.kind == GateKind::kBurnRate) {
    e.slo = SloFacts{"phoenix-read-availability", D("0.999"), 0, D("0.25")};
  }
  return e;
}

inline Evidence Soaked(base::Duration since) {
  Evidence e;
  e.gate = "soak";
  e.observed_at = kNow;
  e.soak = SoakFacts{"Crawl", kNow - std::chrono::duration_cast<base::WallTime::duration>(since)};
  return e;
}

// The same evidence asked about `by` later, with samples that much newer.
inline Evidence Later(Evidence e, seconds by) {
  e.observed_at += by;
  for (Reading& newest : e.freshness) {
    newest.value = std::to_string(std::stoll(newest.value) + by.count());
  }
  return e;
}

}  // namespace sluice::gates::cases
