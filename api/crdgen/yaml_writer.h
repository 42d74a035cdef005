// JSON as block YAML with keys in the order given; the least YAML a CRD file needs.
//
// A string is plain when it can be nothing but a string to any YAML reader, else in JSON's double
// quotes, which YAML 1.2 takes as they are. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::crdgen {

std::string WriteYaml(const nlohmann::ordered_json& value);

}  // namespace sluice::crdgen
