// What people and other systems said, as JSON values. Internal to reconcilers/gates; the errors are
// those of json_form.h.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/gate.h"

namespace sluice::gates {

// Adds what is set to `out`; reads what is there into `evidence`.
void AddPeople(const Evidence& evidence, nlohmann::json& out);
void ReadPeople(const nlohmann::json& json, Evidence& evidence);

nlohmann::json RulesToJson(const std::vector<RoleRule>& rules);
std::vector<RoleRule> RulesFromJson(const nlohmann::json& json);

// As json_form.cc reads times and durations: within bounds whose sums cannot overflow.
base::WallTime TimeFromJson(const nlohmann::json& json);
base::Duration SpanFromJson(const nlohmann::json& json);

}  // namespace sluice::gates
