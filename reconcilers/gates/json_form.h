// Evidence and results as JSON values. Internal to reconcilers/gates (includes nlohmann/json_fwd).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "reconcilers/gates/evaluate.h"

namespace sluice::gates {

nlohmann::json ToJson(const Evidence& evidence);
nlohmann::json ToJson(const Gate& gate);
nlohmann::json ToJson(const GateResult& result);
nlohmann::json ToJson(const Context& context);

// These throw nlohmann::json::exception or std::invalid_argument on anything malformed; callers
// inside this folder catch.
Evidence EvidenceFromJson(const nlohmann::json& json);
Gate GateFromJson(const nlohmann::json& json);
GateResult ResultFromJson(const nlohmann::json& json);
Context ContextFromJson(const nlohmann::json& json);

std::string TimeText(base::WallTime time);

}  // namespace sluice::gates
