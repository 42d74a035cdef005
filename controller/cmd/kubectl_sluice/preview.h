// What the stages after the next one would answer today, by the controller's own evaluator. Pure.
#pragma once

#include <vector>

#include "controller/base/clock.h"
#include "controller/cmd/kubectl_sluice/chain.h"

namespace sluice::v1alpha1 {
class Promotion;
class Site;
class StagePlan;
}  // namespace sluice::v1alpha1

namespace sluice::kubectl {

// Later stages up to the wanted one. A gate is judged when the open Promotion's gates rest on the
// same source (objective, query): the evidence they recorded is judged against the later gate's own
// limits; what people said is known. Others are unknown.
std::vector<LaterStage> Preview(const v1alpha1::Site& site, const v1alpha1::StagePlan& plan,
                                const v1alpha1::Promotion& open,
                                const std::vector<meta::ObjectPtr>& objectives,
                                const gates::PeopleObjects& people, base::WallTime now);

}  // namespace sluice::kubectl
