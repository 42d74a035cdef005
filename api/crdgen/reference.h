// The reference page of a kind, in Markdown: every field with its type, rules and documentation.
// Pure.
#pragma once

#include <string>

namespace google::protobuf {
class Descriptor;
}  // namespace google::protobuf

namespace sluice::crdgen {

// `message` has the option markers.kind.
std::string BuildReference(const google::protobuf::Descriptor* message);

}  // namespace sluice::crdgen
