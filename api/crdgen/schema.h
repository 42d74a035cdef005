// From a protobuf message with our markers to a structural OpenAPI v3 schema, as a CRD holds it.
//
// Invariants of what comes out:
// 1. Every field has a description, and everything a person writes has a bound (maxItems,
// maxLength,
//    enum, format or maximum), so that the API server can price the CEL rules and an object stays
//    small.
// 2. Only types that Kubernetes JSON carries without loss: objects, lists, maps by string, strings,
//    booleans, int32 and int64. No floats, no enums (strings with `values`), no bytes.
// 3. Every rule's message says which field it is about.
//
// Pure. Source of the form: Kubernetes, "Extend the API with CustomResourceDefinitions".
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/base/status.h"

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
}  // namespace google::protobuf

namespace sluice::crdgen {

// The schema of a whole object: apiVersion, kind and metadata are added when `message` is a kind.
// Errors: InvalidArgument naming the field that breaks an invariant.
base::StatusOr<nlohmann::ordered_json> BuildSchema(const google::protobuf::Descriptor* message);

// The leading comment as text: one line per paragraph, paragraphs apart by an empty line.
std::string Documentation(const google::protobuf::Descriptor* message);
std::string Documentation(const google::protobuf::FieldDescriptor* field);

}  // namespace sluice::crdgen
