// Whether a node is what its class says. Reads labels and capacity alone: a Site has thousands of
// nodes, and most of a node is the list of its images. Pure.
#pragma once

#include <string>

#include "controller/meta/object.h"

namespace sluice::v1alpha1 {
class HardwareProfile;
}  // namespace sluice::v1alpha1

namespace sluice::site {

// What the node lacks, as people read it: "gpus: 4 of nvidia.com/gpu, the class says 8; nic: label
// hardware.sluice.dev/nic-count is missing". Empty when it matches. More than the class says is
// fine.
std::string Mismatch(const v1alpha1::HardwareProfile& profile, const meta::Object& node);

}  // namespace sluice::site
