#include "datapath/control/order.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace sluice::control {

base::Status JudgeOrder(const Order& fence, const Order& offered,
                        const std::vector<std::string>& supersedes) {
  if (offered.lineage.empty()) {
    return base::FailedPrecondition("the order names no lineage").WithReason("ForeignLineage");
  }
  if (fence.lineage.empty()) return base::OkStatus();  // nothing was ever offered
  if (offered.lineage != fence.lineage) {
    // After a restore the numbers start anew; that the new lineage names ours is the permission.
    if (std::ranges::find(supersedes, fence.lineage) != supersedes.end()) return base::OkStatus();
    return base::FailedPrecondition(
               fmt::format("lineage {} is not ours, {}, and does not supersede it", offered.lineage,
                           fence.lineage))
        .WithReason("ForeignLineage");
  }
  if (std::tie(offered.epoch, offered.revision) < std::tie(fence.epoch, fence.revision)) {
    return base::FailedPrecondition(fmt::format("order ({}, {}) is below ({}, {}), seen before",
                                                offered.epoch, offered.revision, fence.epoch,
                                                fence.revision))
        .WithReason("StaleOrder");
  }
  return base::OkStatus();
}

}  // namespace sluice::control
