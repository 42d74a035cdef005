// Whether a node is what its class says. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::v1alpha1 {
class HardwareProfile;
}  // namespace sluice::v1alpha1

namespace sluice::site {

// What the node lacks, as people read it: "gpus: 4 of nvidia.com/gpu, the class says 8; nic: label
// hardware.sluice.dev/nic-count is missing". Empty when it matches. More than the class says is
// fine.
std::string Mismatch(const v1alpha1::HardwareProfile& profile, const nlohmann::json& node);

}  // namespace sluice::site
