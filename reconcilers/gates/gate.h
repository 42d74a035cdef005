// A gate as a plan states it: what is asked, and what to do with the answer. Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "reconcilers/gates/decimal.h"
#include "reconcilers/gates/governance.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/slo.h"

namespace sluice::gates {

enum class GateKind : std::uint8_t {
  kUnknown,
  kSlo,
  kBurnRate,
  kMetric,
  kSoak,
  kReadiness,
  kApproval,
  kDrill,
  kCapacity,
  kIncident,
  kGpuIdle,
  kExternal,
};
std::string_view GateKindName(GateKind kind);  // "slo", "burnRate", …
GateKind GateKindFromName(std::string_view name);

// What a Promotion or Rollout does when the gate is not passed. A Hold goes on asking; an Abort
// ends it; a Revert brings back what a Rollout moved. Only a Fail reverts, never blindness.
enum class Reaction : std::uint8_t { kHold, kAbort, kRevert };
std::string_view ReactionName(Reaction reaction);

struct Gate {
  std::string name;
  GateKind kind = GateKind::kUnknown;
  Reaction on_fail = Reaction::kHold;
  Reaction on_no_data = Reaction::kHold;
  Reaction on_error = Reaction::kHold;
  bool waivable = false;
  base::Duration valid_for = kValidFor;
  base::Duration max_hold{0};  // zero: nobody is told
  std::int64_t min_samples = 0;

  // slo, burnRate: the objective is named `<site>-<slo_template>`.
  std::string slo_template;
  Decimal min_budget_remaining;
  Decimal burn_below;
  // burnRate (zero: the objective's first pair) and metric (what $window stands for; zero: none).
  base::Duration long_window{0};
  base::Duration short_window{0};

  // metric
  std::string query;
  Comparison op = Comparison::kLte;
  Decimal threshold;
  std::string freshness_selector;
  base::Duration learning_window = kLearningWindow;

  // soak
  base::Duration soak{0};

  // readiness: what must be there; drill: the drill; gpuIdle: what was measured before.
  std::vector<std::string> items;
  base::Duration max_age{0};  // drill

  // approval
  std::vector<RoleRule> roles;
  bool service_accounts = false;

  std::int64_t min_ready_agents = 0;  // capacity
  int holds_from_severity = 0;        // incident: the mildest that holds, 1 to 4
  Decimal min_reduction;              // gpuIdle, beside what a metric has

  // external
  std::string url;
  base::Duration timeout{0};
};

}  // namespace sluice::gates
