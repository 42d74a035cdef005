#include "controller/cmd/kubectl_sluice/json_at.h"

#include <nlohmann/json.hpp>

namespace sluice::kubectl {

std::string At(const nlohmann::json& object, const char* pointer) {
  const nlohmann::json::json_pointer where(pointer);
  return object.contains(where) && object[where].is_string() ? object[where].get<std::string>()
                                                             : std::string();
}

}  // namespace sluice::kubectl
