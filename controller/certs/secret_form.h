// Internal to this folder: a State as a Secret's data and back. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controller/base/status.h"
#include "controller/certs/plan.h"
#include "controller/meta/object.h"

namespace sluice::certs {

const meta::Resource& SecretResource();
// Errors: DataLoss naming the key that is missing or not base64.
base::StatusOr<State> ReadSecret(const meta::Object& secret);
// `secret` with our keys set to the state's; everything else of it stays.
void WriteSecret(const State& state, nlohmann::json& secret);

}  // namespace sluice::certs
