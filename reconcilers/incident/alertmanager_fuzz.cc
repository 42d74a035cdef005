// Any bytes as Alertmanager's notification: no crash, within the bounds, and what an alert plans
// names one object that the kind takes.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "controller/base/check.h"
#include "reconcilers/incident/limits.h"
#include "reconcilers/incident/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;  // NOLINT: one function
  const auto alerts = incident::ParseNotification({reinterpret_cast<const char*>(data), size});
  if (!alerts.ok()) return 0;
  SLUICE_CHECK(alerts->size() <= incident::kMaxAlerts);
  for (const incident::Alert& alert : *alerts) {
    SLUICE_CHECK(incident::Fingerprint(alert).size() == 16);
    if (!incident::Concerns(alert)) continue;
    const auto actions = incident::Plan(alert, {});
    SLUICE_CHECK(actions.size() == (alert.resolved ? 0U : 1U));
    const auto object = incident::NewIncident(alert);
    SLUICE_CHECK(object["spec"]["summary"].get<std::string>().size() <= 256);
    SLUICE_CHECK(object["spec"]["sites"].size() == 1);
    if (!actions.empty()) {
      SLUICE_CHECK(actions[0].name == object["metadata"]["name"].get<std::string>());
    }
  }
  return 0;
}
