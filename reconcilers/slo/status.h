// What an objective's status says, from what was read. Pure.
//
// Numbers move all the time, a status does not: it is written when a condition (or the words of one
// that does not hold), the budget's state or the rules changed, or a number moved by more than a
// person would care to see (WorthWriting). At rest nothing is written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/gate.h"
#include "reconcilers/gates/slo.h"

namespace sluice::v1alpha1 {
class ServiceLevelObjectiveStatus;
}  // namespace sluice::v1alpha1

namespace sluice::slo {

// The gates that stand for reading an objective: one about its whole budget, then one a pair.
std::vector<gates::Gate> ReadingGates(const gates::Slo& slo);

struct Read {
  base::StatusOr<gates::Slo> slo;         // an error: the spec cannot be measured
  std::vector<gates::Evidence> evidence;  // of ReadingGates, in their order; empty on an error
  std::string rules_hash;
  std::string rules_object;  // "ConfigMap sluice-system/sluice-rules-x"
  base::Status rules_error;
};

std::unique_ptr<v1alpha1::ServiceLevelObjectiveStatus> BuildStatus(
    const Read& read, const v1alpha1::ServiceLevelObjectiveStatus& before, std::int64_t generation,
    base::WallTime now);

bool WorthWriting(const v1alpha1::ServiceLevelObjectiveStatus& before,
                  const v1alpha1::ServiceLevelObjectiveStatus& after);

}  // namespace sluice::slo
