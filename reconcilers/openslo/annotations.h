// Internal to this folder: what an SLO's annotations of ours say (convert.h lists them). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "reconcilers/openslo/check.h"

namespace sluice::openslo {

// Into the objective's `spec`: minEvents, budgetPolicy and labels, those that are given.
void ReadAnnotations(const nlohmann::json& metadata, nlohmann::json& spec, Problems& problems);

}  // namespace sluice::openslo
