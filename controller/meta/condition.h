// A condition for an object's status, as the Kubernetes API conventions want it: its
// lastTransitionTime moves only when its status does. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "controller/base/clock.h"
#include "controller/meta/object.h"

namespace sluice::meta {

struct Condition {
  std::string_view type;          // "Ready"
  std::string_view status;        // "True", "False" or "Unknown"
  std::string_view reason;        // one CamelCase word, for programs
  std::string_view message = {};  // for people; cut where the API's limit is, never a secret
};

// `condition` as an entry of status.conditions of `live`, of whose generation it speaks. What of it
// is in the live status already stays word for word, so that meta::Contains sees no difference.
nlohmann::json ConditionFor(const Object& live, const Condition& condition, base::WallTime now);

}  // namespace sluice::meta
