// What /debug shows: who leads, caches, queues and last errors, and what others add
// (Manager::AddDebug), as JSON. Reads what it is given, does no I/O. Any thread.
#pragma once

#include <deque>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "controller/runtime/controller_entry.h"
#include "controller/runtime/manager.h"

namespace sluice::runtime {

struct DebugPart {
  std::string name;
  DebugFunction show;
};

std::string DebugText(bool leading, const std::string& holder, const nlohmann::json& caches,
                      const std::deque<std::unique_ptr<ControllerEntry>>& controllers,
                      const std::vector<DebugPart>& parts);

}  // namespace sluice::runtime
