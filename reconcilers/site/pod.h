// The pod template of a site's agents. Pure; internal to this folder's objects.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "reconcilers/site/inputs.h"
#include "reconcilers/site/objects.h"

namespace sluice::site {

nlohmann::json AgentPod(const Inputs& in, const AgentOptions& options);

}  // namespace sluice::site
