#include "reconcilers/agents/rounds.h"

#include <utility>

#include "reconcilers/agents/agent_stream.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {

void Rounds::Add(const std::shared_ptr<AgentStream>& stream) {
  const std::lock_guard lock(mutex_);
  turns_.emplace(base::MonoTime::min(), stream);
}

Rounds::Turns Rounds::TakeDue(base::WallTime wall, base::MonoTime mono) {
  const base::Duration apart = wall.time_since_epoch() - mono.time_since_epoch();
  // Slewing, as NTP does it, moves less than that between two rounds.
  const bool set = apart_ && std::chrono::abs(apart - *apart_) >= kWallTimeSet;
  // What is slewed adds up until it counts.
  if (set || !apart_) apart_ = apart;
  const std::lock_guard lock(mutex_);
  if (set) return std::exchange(turns_, {});
  Turns due;
  while (!turns_.empty() && turns_.begin()->first <= mono) {
    due.insert(turns_.extract(turns_.begin()));
  }
  return due;
}

std::size_t Rounds::Go(base::WallTime wall, base::MonoTime mono) {
  Turns next;
  std::size_t looked_at = 0;
  for (const auto& [when, each] : TakeDue(wall, mono)) {
    const auto stream = each.lock();
    if (stream == nullptr) continue;
    ++looked_at;
    if (const auto again = stream->Sweep(wall, mono)) next.emplace(*again, each);
  }
  const std::lock_guard lock(mutex_);
  turns_.merge(next);
  return looked_at;
}

}  // namespace sluice::agents
