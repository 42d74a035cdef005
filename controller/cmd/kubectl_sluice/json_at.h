// Members of an object from the API server by JSON pointer, whatever lies there. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::kubectl {

// Empty when there is no text.
std::string At(const nlohmann::json& object, const char* pointer);

}  // namespace sluice::kubectl
