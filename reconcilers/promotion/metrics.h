// Gauges of the gates: `sluice_blocked{kind,cause}` counts what each cause holds, every cause
// always present; `sluice_gate_verdict{kind,name,gate,verdict,cause}` is 1 for each gate of an open
// Promotion.
// Thread rule: any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "controller/base/metrics.h"
#include "reconcilers/gates/evaluate.h"

namespace sluice::promotion {

class PromotionMetrics {
 public:
  explicit PromotionMetrics(base::metrics::Registry& registry);
  // The first blocker of a site's open Promotion; empty results: nothing holds it.
  void Set(const std::string& site, const std::vector<gates::GateResult>& results);
  void Remove(const std::string& site);

 private:
  void Count(const std::string& site, const std::string& cause);
  void Drop(const std::string& site);

  base::metrics::Registry& registry_;
  std::mutex mutex_;
  std::map<std::string, std::string> blocked_;  // guarded by mutex_; site -> first cause
  std::map<std::string, std::vector<gates::GateResult>> shown_;  // guarded by mutex_
};

}  // namespace sluice::promotion
