// Internal to this folder: what the two reviews have in common. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::webhook {

// `bytes` as a review of this kind and version, with an object `request` that has a uid.
// Errors: InvalidArgument saying what is wrong with it, never quoting it.
base::StatusOr<nlohmann::json> ParseReview(std::string_view bytes, std::string_view kind,
                                           std::string_view api_version);
// The field as text; empty when it is missing or another type.
std::string TextOf(const nlohmann::json& object, const char* key);

}  // namespace sluice::webhook
