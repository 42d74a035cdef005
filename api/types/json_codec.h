// Kubernetes JSON to and from the messages of api/v1alpha1, by protobuf reflection.
//
// Shapes: a message is a JSON object with camelCase names, in which metadata, apiVersion and every
// other unknown field is passed over (FromJson) or absent (ToJson): whoever writes an object back
// applies a patch or keeps the JSON it read. int64 is a JSON number, never a string. A field marked
// int_or_string (api/markers) is a string here and may be an integer there.
//
// Presence: an unset field is left out. A scalar without `optional` is left out when it is zero,
// unless it is marked required. JSON null reads as unset.
//
// Thread rule: pure functions. Source of the rules: Kubernetes API conventions, "Types (Kinds)".
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controller/base/status.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace sluice::types {

// Reads `json` into `message`, which is cleared first. Reading stops at the first error.
// Errors: InvalidArgument naming the path, what was wanted and what was found, as
// "spec.origins[0].name: expected a string, found a number", for wrong types, integers out of range
// and two members of one oneof. The message is cleared then.
base::Status FromJson(const nlohmann::json& json, google::protobuf::Message* message);

// Writes every set field. Total: there is no message it cannot write; bytes in a string that are
// not UTF-8 are written as U+FFFD, so that dump() of the result does not throw.
nlohmann::json ToJson(const google::protobuf::Message& message);

}  // namespace sluice::types
