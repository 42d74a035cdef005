// YAML streams as JSON values, and back. Scalars keep their text (a number is what was written,
// "0.9990" stays "0.9990"); only unquoted true and false become booleans. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "controller/base/status.h"

namespace sluice::openslo {

// Documents of one file, in order; empty ones are left out, and a list is as many as it has items.
// Errors: InvalidArgument with line and column (no YAML, too large, too deep, keys that are no
// text).
base::StatusOr<std::vector<nlohmann::json>> ReadYaml(const std::string& text);

// A stream of documents. Fields that OpenSLO types as numbers are written without quotes.
std::string WriteYaml(const std::vector<nlohmann::json>& documents);

}  // namespace sluice::openslo
