#include "reconcilers/agents/rounds.h"

#include <utility>

#include "reconcilers/agents/agent_stream.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {

void Rounds::Add(const std::shared_ptr<AgentStream>& stream) {
  const std::lock_guard lock(mutex_);
  turns_.emplace(base::MonoTime::min(), stream);
}

void Rounds::PumpAt(base::MonoTime when, const std::shared_ptr<AgentStream>& stream) {
  const std::lock_guard lock(mutex_);
  pumps_.emplace(when, stream);
}

// `mutex_` is held.
Rounds::Turns Rounds::TakeUntil(Turns& turns, base::MonoTime mono) {
  Turns due;
  while (!turns.empty() && turns.begin()->first <= mono) {
    due.insert(turns.extract(turns.begin()));
  }
  return due;
}

Rounds::Turns Rounds::TakeDue(base::WallTime wall, base::MonoTime mono) {
  const base::Duration apart = wall.time_since_epoch() - mono.time_since_epoch();
  // Slewing, as NTP does it, moves less than that between two rounds.
  const bool set = apart_ && std::chrono::abs(apart - *apart_) >= kWallTimeSet;
  // What is slewed adds up until it counts.
  if (set || !apart_) apart_ = apart;
  const std::lock_guard lock(mutex_);
  if (set) return std::exchange(turns_, {});
  return TakeUntil(turns_, mono);
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
  Turns pumps;
  {
    const std::lock_guard lock(mutex_);
    turns_.merge(next);
    pumps = TakeUntil(pumps_, mono);
  }
  for (const auto& [when, each] : pumps) {
    if (const auto stream = each.lock()) stream->Pump();
  }
  return looked_at;
}

}  // namespace sluice::agents
