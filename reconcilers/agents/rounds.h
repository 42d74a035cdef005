// Internal to this folder: which open streams have to be looked at now. Most of thousands only
// rest: each is looked at when it may have to end or the roster has to be asked again
// (AgentStream's Sweep says when that is), and all of them when wall time was set, which moves
// certificates' ends. Beside these, once each: streams that are to offer something again.
//
// A stream that ended is forgotten at its turn. Thread rule: Add from any thread, Go by one.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "controller/base/clock.h"

namespace sluice::agents {

class AgentStream;

class Rounds {
 public:
  void Add(const std::shared_ptr<AgentStream>& stream);  // the next Go looks at it
  // The first Go from then on pumps it, once.
  void PumpAt(base::MonoTime when, const std::shared_ptr<AgentStream>& stream);
  // How many it looked at, those pumped aside.
  std::size_t Go(base::WallTime wall, base::MonoTime mono);

 private:
  using Turns = std::multimap<base::MonoTime, std::weak_ptr<AgentStream>>;
  static Turns TakeUntil(Turns& turns, base::MonoTime mono);
  Turns TakeDue(base::WallTime wall, base::MonoTime mono);

  std::mutex mutex_;
  Turns turns_;                          // guarded by mutex_
  Turns pumps_;                          // guarded by mutex_
  std::optional<base::Duration> apart_;  // wall time from mono time, at the last Go
};

}  // namespace sluice::agents
