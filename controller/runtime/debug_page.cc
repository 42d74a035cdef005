#include "controller/runtime/debug_page.h"

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/runtime/limits.h"

namespace sluice::runtime {

using nlohmann::json;

namespace {

json Shown(const DebugPart& part) {
  try {
    return part.show();
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

std::string DebugText(bool leading, const std::string& holder, const json& caches,
                      const std::deque<std::unique_ptr<ControllerEntry>>& controllers,
                      const std::vector<DebugPart>& parts) {
  json out;
  out["leading"] = leading;
  out["holder"] = holder;
  out["caches"] = caches;
  for (const auto& entry : controllers) {
    const auto queue = entry->controller().queue().Look(kMaxDebugEntries);
    json keys = json::array();
    for (const auto& at : queue.entries) {
      keys.push_back({{"key", at.key},
                      {"state", at.state},
                      {"seconds", at.seconds},
                      {"failures", at.failures}});
    }
    json errors = json::array();
    for (const auto& error : entry->controller().LastErrors()) {
      errors.push_back(
          {{"key", error.key}, {"error", error.error}, {"at", base::FormatRfc3339(error.at)}});
    }
    out["controllers"][entry->name()] = {{"waiting", queue.waiting},
                                         {"running", queue.running},
                                         {"delayed", queue.delayed},
                                         {"keys", keys},
                                         {"lastErrors", errors}};
  }
  for (const DebugPart& part : parts) out[part.name] = Shown(part);
  // Errors quote what servers answer, whatever bytes these are.
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::runtime
