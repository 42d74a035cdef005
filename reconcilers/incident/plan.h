// What an alert means for Incidents: which one it opens, and what becomes of it later. Pure; any
// thread.
//
// An alert is about an Incident when it carries the label `incident_severity` ("1" to "4") and
// names a site: by the label `site`, or by `subject` where `subject_kind` is Site, as the alerts of
// a Site's objectives do. Every other alert is left alone.
//
// Invariants:
//  1. One firing opens one Incident at most, however often and to whichever replica it is sent: the
//     name follows from the alert and its start.
//  2. What people said stands: an Incident they closed is not opened again by the firing that goes
//     on, and one of severity 1 or 2 is closed by nobody without its postmortem; it becomes
//     Mitigated. What an alert's end closed or mitigated is opened again when it fires after all.
//  3. News about an earlier firing than the one that is known changes nothing.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "reconcilers/incident/alertmanager.h"

namespace sluice::incident {

// On an Incident that an alert opened: the alert's fingerprint, and when its last firing began.
inline constexpr std::string_view kAlertLabel = "sluice.dev/alert";
inline constexpr std::string_view kStartedAnnotation = "sluice.dev/alert-started";
// There when the alert's end, and not a person, closed or mitigated it: when it was told so.
inline constexpr std::string_view kResolvedAnnotation = "sluice.dev/alert-resolved";

enum class Step : std::uint8_t { kNone, kOpen, kReopen, kMitigate, kClose };
std::string_view StepName(Step step);  // "kept", "opened", "reopened", "mitigated", "closed"

// Whether the alert opens and resolves Incidents at all.
bool Concerns(const Alert& alert);

struct Action {
  Step step = Step::kNone;
  std::string name;     // of the Incident; empty for kNone
  std::string version;  // its resourceVersion, a precondition; empty for kOpen
};

// What to do about each of `known`, the Incidents with the alert's fingerprint. Concerns(alert).
std::vector<Action> Plan(const Alert& alert, const std::vector<meta::ObjectPtr>& known);

// The Incident that kOpen makes.
nlohmann::json NewIncident(const Alert& alert);
// The merge patch of the other steps.
nlohmann::json PatchFor(const Action& action, const Alert& alert);

}  // namespace sluice::incident
