// Internal to this folder: which open streams have to be looked at now. Most of thousands only
// rest: each is looked at when it may have to end or the roster has to be asked again
// (AgentStream's Sweep says when that is), and all of them when wall time was set, which moves
// certificates' ends.
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
  // How many it looked at.
  std::size_t Go(base::WallTime wall, base::MonoTime mono);

 private:
  using Turns = std::multimap<base::MonoTime, std::weak_ptr<AgentStream>>;
  Turns TakeDue(base::WallTime wall, base::MonoTime mono);

  std::mutex mutex_;
  Turns turns_;                          // guarded by mutex_
  std::optional<base::Duration> apart_;  // wall time from mono time, at the last Go
};

}  // namespace sluice::agents
