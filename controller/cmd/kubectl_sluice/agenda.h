// What the next meetings have to decide, gathered from all objects. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/cmd/kubectl_sluice/calendar.h"
#include "controller/meta/object.h"
#include "reconcilers/gates/objects/people.h"

namespace sluice::kubectl {

struct AgendaObjects {
  std::vector<meta::ObjectPtr> promotions, rollouts, objectives;
  gates::PeopleObjects people;
};

struct AgendaItem {
  std::string object;  // "decision/phoenix-walk"
  std::string what;    // what is to be decided or done, with its numbers
  std::string who;     // who has to; empty when nobody is named
  std::string due;     // RFC 3339; empty: now
};

// A meeting of the calendar. One with nothing to decide is there, and empty.
struct Meeting {
  std::string name;
  bool now = false;                    // it is on
  std::optional<base::WallTime> next;  // its next start; none: there is no other
  std::vector<AgendaItem> items;       // the earliest due first
};

// In the calendar's order. `ahead`: what ends or goes stale within this time is on every agenda,
// instead of what the meeting says.
std::vector<Meeting> BuildAgenda(const AgendaObjects& objects,
                                 const std::vector<PlannedMeeting>& calendar,
                                 std::optional<base::Duration> ahead, base::WallTime now);

std::string RenderAgenda(const std::vector<Meeting>& meetings, base::WallTime now);
std::string AgendaJson(const std::vector<Meeting>& meetings);

}  // namespace sluice::kubectl
