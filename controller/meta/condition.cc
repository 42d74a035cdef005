#include "controller/meta/condition.h"

#include <nlohmann/json.hpp>
#include <string>

#include "controller/base/check.h"
#include "controller/base/text.h"
#include "controller/base/time_format.h"
#include "controller/meta/limits.h"

namespace sluice::meta {
namespace {

// lastTransitionTime of the condition of that type and status; empty when there is none. A status
// may be of any form: another program's, or of an older schema.
std::string TransitionOf(const Object& live, const Condition& condition) {
  const nlohmann::json status = nlohmann::json::parse(live.status_json(), nullptr, false);
  if (!status.is_object() || !status.contains("conditions")) return "";
  for (const nlohmann::json& each : status["conditions"]) {
    if (!each.is_object() || !each.contains("type") || each["type"] != condition.type) continue;
    if (!each.contains("status") || each["status"] != condition.status) continue;
    const auto time = each.find("lastTransitionTime");
    if (time != each.end() && time->is_string()) return time->get<std::string>();
  }
  return "";
}

}  // namespace

nlohmann::json ConditionFor(const Object& live, const Condition& condition, base::WallTime now) {
  SLUICE_CHECK(!condition.type.empty() && !condition.reason.empty());
  const std::string since = TransitionOf(live, condition);
  const std::string message = base::ValidUtf8(condition.message);
  return {{"type", condition.type},
          {"status", condition.status},
          {"reason", condition.reason},
          {"message", base::Cut(message, kMaxConditionMessageBytes)},
          {"observedGeneration", live.generation()},
          {"lastTransitionTime", since.empty() ? base::FormatRfc3339(now) : since}};
}

}  // namespace sluice::meta
