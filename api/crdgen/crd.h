// From a message marked as a kind to its CustomResourceDefinition. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controller/base/status.h"

namespace google::protobuf {
class Descriptor;
}  // namespace google::protobuf

namespace sluice::crdgen {

inline constexpr int kMaxColumns = 6;

// The CRD object. `message` has the option markers.kind.
// Errors: InvalidArgument naming what breaks a rule of ours (schema.h; at most kMaxColumns columns;
// spec and status present).
base::StatusOr<nlohmann::ordered_json> BuildCrd(const google::protobuf::Descriptor* message);

}  // namespace sluice::crdgen
