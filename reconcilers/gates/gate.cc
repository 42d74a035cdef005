#include "reconcilers/gates/gate.h"

#include <array>

namespace sluice::gates {
namespace {
constexpr std::array<std::string_view, 12> kKinds = {
    "unknown",  "slo",   "burnRate", "metric",   "soak",    "readiness",
    "approval", "drill", "capacity", "incident", "gpuIdle", "external"};
}

std::string_view GateKindName(GateKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

GateKind GateKindFromName(std::string_view name) {
  for (std::size_t i = 1; i < kKinds.size(); ++i) {
    if (kKinds[i] == name) return static_cast<GateKind>(i);
  }
  return GateKind::kUnknown;
}

std::string_view ReactionName(Reaction reaction) {
  return reaction == Reaction::kRevert ? "Revert" : reaction == Reaction::kAbort ? "Abort" : "Hold";
}

}  // namespace sluice::gates
