// Gauges of the gates: `sluice_blocked{kind="Site",cause}` (gates/blocked_gauge.h), and
// `sluice_gate_verdict{kind,name,gate,verdict,cause}`, which is 1 for each gate of an open
// Promotion. Thread rule: any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/metrics.h"
#include "reconcilers/gates/blocked_gauge.h"
#include "reconcilers/gates/evaluate.h"

namespace sluice::promotion {

class PromotionMetrics {
 public:
  explicit PromotionMetrics(base::metrics::Registry& registry)
      : registry_(registry), blocked_(registry, "Site") {}
  // The gates of a site's open Promotion; none: nothing holds it.
  void Set(const std::string& site, const std::vector<gates::GateResult>& results);
  // Something other than a gate holds the site.
  void SetStuck(const std::string& site, gates::Cause cause);
  void Remove(const std::string& site) { Set(site, {}); }

 private:
  base::metrics::Registry& registry_;
  gates::BlockedGauge blocked_;
  std::mutex mutex_;
  std::map<std::string, std::vector<base::metrics::Labels>> shown_;  // guarded by mutex_
};

}  // namespace sluice::promotion
