#include "controller/cache/debug.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace sluice::cache {

std::string NameOf(const InformerOptions& options) {
  std::string narrowed;
  for (const auto& [what, value] : {std::pair("namespace ", options.ns),
                                    {"labels ", options.label_selector},
                                    {"fields ", options.field_selector}}) {
    if (!value.empty()) narrowed += (narrowed.empty() ? "" : ", ") + std::string(what) + value;
  }
  return options.resource.GroupResource() + (narrowed.empty() ? "" : " (" + narrowed + ")");
}

nlohmann::json DebugOf(const std::string& name, const InformerStats& stats, base::MonoTime now) {
  nlohmann::json heard;  // null: never
  if (stats.last_heard != base::MonoTime{}) {
    heard = std::chrono::duration_cast<std::chrono::seconds>(now - stats.last_heard).count();
  }
  return {{"store", name},
          {"synced", stats.synced},
          {"objects", stats.objects},
          {"events", stats.events},
          {"heardSecondsAgo", heard},
          {"failures", stats.failures},
          {"lastError", stats.last_error.ok() ? "" : stats.last_error.ToString()}};
}

}  // namespace sluice::cache
