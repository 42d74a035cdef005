// Gauges of the gates of one kind of object: `sluice_blocked{kind,cause}` (blocked_gauge.h),
// `sluice_gate_verdict{kind,name,gate,verdict,cause}`, which is 1 for each gate that is asked now
// (of a Site's open Promotion, of a Rollout's next wave), and
// `sluice_gate_hold_deadline_seconds{kind,name,gate}`: for each gate that holds and has a
// maxHoldSeconds, the Unix time at which it will have held for that long. A change of cause does
// not begin the time anew, but a start of the controller takes it from the present cause.
//
// One object a kind in a process: what is gone is removed by the label `kind`, so that two kinds
// may have objects of one name. Thread rule: any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "controller/base/metrics.h"
#include "reconcilers/gates/blocked_gauge.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/gate.h"

namespace sluice::gates {

class GateGauges {
 public:
  GateGauges(base::metrics::Registry& registry, std::string kind)
      : registry_(registry), kind_(kind), blocked_(registry, std::move(kind)) {}
  // The gates that are asked about the object, by name, and what they answered; none: no gate holds
  // it.
  void Set(const std::string& object, const std::vector<GateResult>& results,
           const std::vector<Gate>& gates = {});
  // Something other than a gate holds the object.
  void SetStuck(const std::string& object, Cause cause);
  // The same beside its gates: counts as what holds it, until the next Set.
  void Block(const std::string& object, Cause cause) { blocked_.Set(object, cause); }
  void Remove(const std::string& object) { Set(object, {}); }

 private:
  using Series = std::map<base::metrics::Labels, double>;
  // What the object shows in one family, where it differs from what it showed. `mutex_` is held.
  void Show(const char* family, const char* help, std::map<std::string, Series>& all,
            const std::string& object, Series series);
  Series Deadlines(const std::string& object, const std::vector<GateResult>& results,
                   const std::vector<Gate>& gates);

  base::metrics::Registry& registry_;
  const std::string kind_;
  BlockedGauge blocked_;
  std::mutex mutex_;
  // Guarded by mutex_, by object: what is shown, and since when each of its gates has not passed.
  std::map<std::string, Series> verdicts_, deadlines_;
  std::map<std::string, std::map<std::string, base::WallTime>> held_since_;
};

}  // namespace sluice::gates
