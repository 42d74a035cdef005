// The fake's server-side apply: one applied configuration over one stored object. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace sluice::testing_kit {

// `last` is what the same manager applied before (null at first): what it no longer names goes
// away.
nlohmann::json MergeApplied(const nlohmann::json& stored, const nlohmann::json& applied,
                            const nlohmann::json& last);

}  // namespace sluice::testing_kit
