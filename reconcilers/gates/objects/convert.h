// Messages of api/v1alpha1 as values of reconcilers/gates, and back. Pure; any thread.
//
// Errors: InvalidArgument naming the field. The schema refuses most of it at `kubectl apply`; what
// was stored under an older schema comes out here.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/slo.h"

namespace sluice::v1alpha1 {
class Blocker;
class Gate;
class GateStatus;
class ServiceLevelObjectiveSpec;
class StagePlanSpec;
}  // namespace sluice::v1alpha1

namespace sluice::gates {

base::StatusOr<Gate> GateFrom(const v1alpha1::Gate& message);

// `name` is the object's; the scrape interval is that of the site's Prometheus. `$site` and
// `$tenant` are filled in. The result is valid (Validate).
base::StatusOr<Slo> SloFrom(const std::string& name,
                            const v1alpha1::ServiceLevelObjectiveSpec& spec,
                            base::Duration scrape_interval);

// What a status keeps of a result and its evidence: one entry a window, bounded.
v1alpha1::GateStatus StatusOf(const GateResult& result, const Evidence& evidence);
// The result a status recorded; enough for latching, for `why` and for deciding about a write.
base::StatusOr<GateResult> ResultFrom(const v1alpha1::GateStatus& status);
v1alpha1::Blocker BlockerOf(const GateResult& result);

// SHA-256 of the plan's canonical JSON, in hex: what a Promotion is bound to.
std::string PlanHash(const v1alpha1::StagePlanSpec& spec);

// "sixty-three characters of anything" -> a decimal that a status field takes (32 characters).
std::string ShortDecimal(const std::string& decimal);

}  // namespace sluice::gates
