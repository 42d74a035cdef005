// Which configuration may replace which. Pure; the rule the whole fencing rests on.
//
// The fence is the highest order ever offered to this agent by its controller; it is raised even
// when the content is refused, so that an older leader cannot come back after a newer one made a
// mistake.
#pragma once

#include <string>
#include <vector>

#include "controller/base/status.h"
#include "datapath/control/config.h"

namespace sluice::control {

// OK: may be taken, and the fence becomes `offered`. `supersedes`: lineages the offered one
// replaced. Errors, all FailedPrecondition, by reason: "ForeignLineage" (of another cluster),
// "StaleOrder" (below the fence).
base::Status JudgeOrder(const Order& fence, const Order& offered,
                        const std::vector<std::string>& supersedes);

}  // namespace sluice::control
