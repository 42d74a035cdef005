// The resources by which releases reach nodes. Constants; any thread.
#pragma once

#include "controller/meta/resource.h"

namespace sluice::common {

inline const meta::Resource kReleases{"sluice.dev", "v1alpha1", "Release", "releases"};
inline const meta::Resource kRollouts{"sluice.dev", "v1alpha1", "Rollout", "rollouts"};

inline const meta::Resource kControllerRevisions{"apps", "v1", "ControllerRevision",
                                                 "controllerrevisions", true};
inline const meta::Resource kPods{"", "v1", "Pod", "pods", true};

}  // namespace sluice::common
