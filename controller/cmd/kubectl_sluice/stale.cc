#include "controller/cmd/kubectl_sluice/stale.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sluice::kubectl {

std::string StaleOf(const meta::Object& object) {
  const nlohmann::json json = object.ToJson();
  const nlohmann::json::json_pointer where("/status/observedGeneration");
  const bool told = json.contains(where) && json[where].is_number_integer();
  const std::int64_t seen = told ? json[where].get<std::int64_t>() : 0;
  if (seen >= object.generation()) return "";
  return fmt::format(
      "the controller has not looked at generation {} yet (it saw {}); is it running?",
      object.generation(), seen == 0 ? "none" : std::to_string(seen));
}

}  // namespace sluice::kubectl
