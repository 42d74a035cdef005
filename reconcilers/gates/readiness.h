// Whether one item of a readiness review counts. Pure; the gates and the review's status ask it.
#pragma once

#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "reconcilers/gates/governance.h"

namespace sluice::gates {

struct ItemState {
  std::string why_missing;  // empty: verified and fresh
  std::string owner;        // empty when there is no such item
  base::WallTime fresh_until;
};

// Stale from `verifiedAt` + the shorter of its validity and `max_age` on; a verification more than
// kClockSkew in the future is none.
ItemState StateOf(const ReadinessFacts& facts, const std::string& name,
                  std::optional<base::Duration> max_age, base::WallTime now);

}  // namespace sluice::gates
