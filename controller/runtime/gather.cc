#include "controller/runtime/gather.h"

#include <algorithm>

#include "controller/runtime/limits.h"

namespace sluice::runtime {

base::Duration Gather::WaitFor(const meta::Key& key) {
  const base::MonoTime now = clock_.Mono();
  const std::lock_guard lock(mutex_);
  const auto found = looks_.find(key);
  if (found != looks_.end()) {
    // One that is still to come covers this word, too.
    if (found->second <= now) found->second = std::max(now, found->second + interval_);
    return found->second - now;
  }
  if (looks_.size() >= kMaxGathered) {
    std::erase_if(looks_, [&](const auto& look) { return look.second + interval_ <= now; });
    if (looks_.size() >= kMaxGathered) return interval_;
  }
  looks_.emplace(key, now);
  return {};
}

}  // namespace sluice::runtime
