#include "reconcilers/gates/blocked_gauge.h"

namespace sluice::gates {

BlockedGauge::BlockedGauge(base::metrics::Registry& registry, std::string kind)
    : registry_(registry), kind_(std::move(kind)) {
  for (int i = 0; i < kCauseCount; ++i) {
    const auto cause = static_cast<Cause>(i);
    if (!UnblockedBy(cause).empty()) Of(cause);
  }
}

base::metrics::Gauge& BlockedGauge::Of(Cause cause) {
  return registry_.GetGauge("sluice_blocked", "Objects that a cause holds, by their first cause.",
                            {{"kind", kind_}, {"cause", std::string(CauseName(cause))}});
}

void BlockedGauge::Set(const std::string& name, std::optional<Cause> cause) {
  const std::lock_guard lock(mutex_);
  const auto before = held_.find(name);
  if (before != held_.end()) {
    if (cause == before->second) return;
    Of(before->second).Add(-1);
    held_.erase(before);
  }
  if (!cause) return;
  Of(*cause).Add(1);
  held_.emplace(name, *cause);
}

}  // namespace sluice::gates
