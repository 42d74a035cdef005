// The review calendar as data: which meetings there are, when, how far each looks ahead, and which
// topics it decides. What stands under a topic is code (agenda.h); who meets about it is not.
//
//   meetings:
//   - name: weekly triage
//     rrule: FREQ=WEEKLY;BYDAY=MO      # as in a FreezeWindow
//     start: "2026-01-05T10:00:00"     # local to timeZone
//     timeZone: UTC
//     duration: 1h
//     ahead: 14d                       # what ends until then is on its agenda (default 14d)
//     topics: [incidents, budgets, blindGates]
//
// Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/recurrence.h"

namespace sluice::kubectl {

inline constexpr std::size_t kMaxMeetings = 32;
inline constexpr std::size_t kMaxMeetingName = 80;

enum class Topic {
  kIncidents,   // open incidents
  kBudgets,     // objectives in caution, frozen or used up
  kObjectives,  // every objective with what is left of its budget
  kBlindGates,  // gates that are misconfigured or get no answer
  kPromotions,  // every open promotion and what holds it
  kEvidence,    // readiness items that are missing or go stale
  kDecisions,   // decisions without an outcome, gates that wait for a voice
  kExemptions,  // exemptions that end
  kFreezes,     // freeze windows that close or reopen
};

struct PlannedMeeting {
  std::string name;
  gates::Schedule when;
  base::Duration ahead;
  std::vector<Topic> topics;
};

// Errors: InvalidArgument naming the meeting and the field.
base::StatusOr<std::vector<PlannedMeeting>> ReadCalendar(const std::string& yaml);

// What is in force without a file, as YAML to begin one's own from.
const char* DefaultCalendar();

}  // namespace sluice::kubectl
