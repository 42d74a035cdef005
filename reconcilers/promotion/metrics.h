// Gauges of the gates: `sluice_blocked{kind="Site",cause}` (gates/blocked_gauge.h),
// `sluice_gate_verdict{kind,name,gate,verdict,cause}`, which is 1 for each gate of an open
// Promotion, and `sluice_gate_hold_deadline_seconds{kind,name,gate}`: for each gate that holds and
// has a maxHoldSeconds, the Unix time at which it will have held for that long. A change of cause
// does not begin the time anew, but a start of the controller takes it from the present cause.
// Thread rule: any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/metrics.h"
#include "reconcilers/gates/blocked_gauge.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/gate.h"

namespace sluice::promotion {

class PromotionMetrics {
 public:
  explicit PromotionMetrics(base::metrics::Registry& registry)
      : registry_(registry), blocked_(registry, "Site") {}
  // The gates of a site's open Promotion, by name, and what they answered; none: nothing holds it.
  void Set(const std::string& site, const std::vector<gates::GateResult>& results,
           const std::vector<gates::Gate>& gates = {});
  // Something other than a gate holds the site.
  void SetStuck(const std::string& site, gates::Cause cause);
  void Remove(const std::string& site) { Set(site, {}); }

 private:
  // `mutex_` is held.
  void SetDeadlines(const std::string& site, const std::vector<gates::GateResult>& results,
                    const std::vector<gates::Gate>& gates);

  base::metrics::Registry& registry_;
  gates::BlockedGauge blocked_;
  std::mutex mutex_;
  std::map<std::string, std::vector<base::metrics::Labels>> shown_;  // guarded by mutex_
  // Guarded by mutex_: per site, since when each of its gates has not passed.
  std::map<std::string, std::map<std::string, base::WallTime>> held_since_;
};

}  // namespace sluice::promotion
