// Alertmanager's webhook notification (JSON, version 4) as values. Pure; any thread.
//
// Source of the format: Alertmanager's documentation, "<webhook_config>". Only what an Incident
// needs is kept: of each alert whether it is resolved, its labels, its annotations and when it
// began.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::incident {

struct Alert {
  bool resolved = false;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  base::WallTime starts_at;  // of this firing; the same in every notification about it
  friend bool operator==(const Alert&, const Alert&) = default;
};

// Errors: ResourceExhausted above the bounds of limits.h; InvalidArgument for what is no
// notification of version 4, with the field.
base::StatusOr<std::vector<Alert>> ParseNotification(std::string_view body);

// Identifies an alert among all firings of it: 16 hex digits over its labels.
std::string Fingerprint(const Alert& alert);

}  // namespace sluice::incident
