#include "reconcilers/site/events.h"

#include <nlohmann/json.hpp>

#include "reconcilers/site/reconciler.h"

namespace sluice::site {

bool NodeMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  const nlohmann::json before = event.before->ToJson();
  const nlohmann::json after = event.after->ToJson();
  for (const char* pointer : {"/metadata/labels", "/status/capacity"}) {
    const nlohmann::json::json_pointer at(pointer);
    if (before.value(at, nlohmann::json()) != after.value(at, nlohmann::json())) return true;
  }
  return false;
}

bool SiteMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  if (event.before->generation() != event.after->generation()) return true;
  if (event.before->deleting() != event.after->deleting()) return true;
  if (event.before->HasFinalizer(kFinalizer) != event.after->HasFinalizer(kFinalizer)) return true;
  const nlohmann::json::json_pointer stage("/status/stage");
  return event.before->ToJson().value(stage, "") != event.after->ToJson().value(stage, "");
}

}  // namespace sluice::site
