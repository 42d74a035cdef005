// What the next meetings have to decide, gathered from all objects. Pure.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/meta/object.h"
#include "reconcilers/gates/objects/people.h"

namespace sluice::kubectl {

struct AgendaObjects {
  std::vector<meta::ObjectPtr> promotions, objectives;
  gates::PeopleObjects people;
};

struct AgendaItem {
  std::string object;  // "decision/phoenix-walk"
  std::string what;    // what is to be decided or done, with its numbers
  std::string who;     // who has to; empty when nobody is named
  std::string due;     // RFC 3339; empty: now
};

// The meetings of the review calendar, in their order: weekly triage (incidents, budgets, blind
// gates), release readiness (missing and ageing evidence), decision council (voices that are
// missing, exemptions and freezes that end). A meeting with nothing to decide is there, and empty.
struct Meeting {
  std::string name;
  std::vector<AgendaItem> items;  // the earliest due first
};

// `ahead`: what ends or goes stale within this time is on the agenda.
std::vector<Meeting> BuildAgenda(const AgendaObjects& objects, base::Duration ahead,
                                 base::WallTime now);

std::string RenderAgenda(const std::vector<Meeting>& meetings, base::WallTime now);
std::string AgendaJson(const std::vector<Meeting>& meetings);

}  // namespace sluice::kubectl
