// What a StagePlan's status says. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controller/base/clock.h"

namespace sluice::v1alpha1 {
class StagePlan;
class StagePlanStatus;
}  // namespace sluice::v1alpha1

namespace sluice::stageplan {

// Everything that is wrong with the plan, each naming the field: "stages[Walk].entryGates[burn]:
// burnRate.below: not a decimal number". Empty: sites can climb by it.
std::vector<std::string> Problems(const v1alpha1::StagePlan& plan);

std::unique_ptr<v1alpha1::StagePlanStatus> BuildStatus(const v1alpha1::StagePlan& plan,
                                                       std::int64_t generation, base::WallTime now);

}  // namespace sluice::stageplan
