// Objectives for the tests of this folder.
#pragma once

#include <chrono>
#include <string>

#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/gates/slo.h"

namespace sluice::gates::cases {

inline Slo Availability() {
  Slo slo;
  slo.name = "phoenix-availability";
  slo.subject_kind = "Site";
  slo.subject = "phoenix";
  slo.indicator.good = "sum(rate(ok{site=\"phoenix\"}[$window]))";
  slo.indicator.total = "sum(rate(all{site=\"phoenix\"}[$window]))";
  slo.window = std::chrono::hours(24 * 30);
  slo.target = D("0.999");
  slo.scrape_interval = std::chrono::seconds(15);
  return slo;
}

inline Slo Latency() {
  Slo slo;
  slo.name = "phoenix-latency";
  slo.subject_kind = "Site";
  slo.subject = "phoenix";
  slo.indicator.query = "max(latency_seconds{site=\"phoenix\"})";
  slo.indicator.op = Comparison::kLte;
  slo.indicator.value = D("0.2");
  slo.method = BudgetingMethod::kTimeslices;
  slo.slice = std::chrono::minutes(1);
  slo.window = std::chrono::hours(24);
  slo.target = D("0.99");
  slo.scrape_interval = std::chrono::seconds(15);
  return slo;
}

// The objective over calendar periods of UTC, from 1970 on.
inline Slo InPeriodsOf(Slo slo, const std::string& window) {
  slo.calendar = Calendar::Parse(window, "1970-01-01 00:00:00", "UTC").value();
  slo.window = slo.calendar->nominal();
  return slo;
}

inline Slo Satisfaction() {
  Slo slo = Latency();
  slo.name = "phoenix-satisfaction";
  slo.indicator = {};
  slo.indicator.raw = "avg(satisfaction_ratio{site=\"phoenix\"})";
  slo.method = BudgetingMethod::kRatioTimeslices;
  return slo;
}

}  // namespace sluice::gates::cases
