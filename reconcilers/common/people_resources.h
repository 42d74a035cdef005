// The resources by which people speak. Constants; any thread.
#pragma once

#include "controller/meta/resource.h"

namespace sluice::common {

inline const meta::Resource kReadinessReviews{"sluice.dev", "v1alpha1", "ReadinessReview",
                                              "readinessreviews"};
inline const meta::Resource kDecisions{"sluice.dev", "v1alpha1", "Decision", "decisions"};
inline const meta::Resource kApprovals{"sluice.dev", "v1alpha1", "Approval", "approvals"};
inline const meta::Resource kExemptions{"sluice.dev", "v1alpha1", "Exemption", "exemptions"};
inline const meta::Resource kFreezeWindows{"sluice.dev", "v1alpha1", "FreezeWindow",
                                           "freezewindows"};
inline const meta::Resource kIncidents{"sluice.dev", "v1alpha1", "Incident", "incidents"};

}  // namespace sluice::common
