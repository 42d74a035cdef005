// What the statuses of people's kinds say, and when they say something else next. Pure: no client,
// clock, log or random.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "reconcilers/gates/objects/people.h"

namespace sluice::governance {

// Everything these statuses are made of, as the caches have it.
struct World {
  gates::PeopleObjects people;
  std::vector<meta::ObjectPtr> sites, classes, plans, promotions, rollouts;
};

struct Answer {
  std::shared_ptr<nlohmann::json> status;    // what stands under "status"
  std::optional<base::WallTime> changes_at;  // when time alone changes it
  // For gauges and events; what a kind has no use for stays as it is.
  bool counts = false;  // complete, approved, counted, active, closed
  std::size_t listed = 0;
};

// Errors of all: InvalidArgument when the object is not what its schema says.
base::StatusOr<Answer> ReviewStatus(const meta::Object& object, base::WallTime now);
base::StatusOr<Answer> FreezeStatus(const meta::Object& object, base::WallTime now);
base::StatusOr<Answer> ExemptionStatus(const meta::Object& object, const World& world,
                                       base::WallTime now);
base::StatusOr<Answer> DecisionStatus(const meta::Object& object, const World& world,
                                      base::WallTime now);
base::StatusOr<Answer> ApprovalStatus(const meta::Object& object, const World& world,
                                      base::WallTime now);
base::StatusOr<Answer> IncidentStatus(const meta::Object& object, const World& world,
                                      base::WallTime now);

// How a Decision stands: the ballot about its subject, counted by the plan's rules and its own.
struct Standing {
  gates::Ballot ballot;
  gates::Tally tally;
  // The subject is not what it was, and nothing about it can be decided any more.
  bool outdated = false;
  // The step was taken with this subject: outdated, and the tally is of what there was by then.
  bool taken = false;
};
base::StatusOr<Standing> StandingOf(const meta::Object& decision, const World& world,
                                    base::WallTime now);

}  // namespace sluice::governance
