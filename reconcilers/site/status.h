// What a Site's status says. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/site/config.h"
#include "reconcilers/site/inputs.h"
#include "reconcilers/site/mover.h"

namespace sluice::site {

struct DaemonSetCounts {
  bool found = false;
  int wanted = 0;
  int ready = 0;
  int updated = 0;
};
DaemonSetCounts CountsOf(const nlohmann::json& daemon_set);

// What was found while making the Site so.
struct Observed {
  DaemonSetCounts agents;
  std::optional<Moved> moved;  // while a Rollout moves the site, and its template was taken
  agents::SiteSummary fleet;
  std::string version;       // offered to the agents; empty: none
  agents::Order order;       // it was published under
  base::Status apply_error;  // of the first object that could not be applied
  bool awaits_echo = false;  // a cache does not show our last write yet
};

// The part of status that this reconciler writes, as JSON. Times of unchanged conditions and of an
// unchanged configuration are kept from in.site.
nlohmann::json BuildStatus(const Inputs& in, const Derived& derived, const Observed& observed,
                           base::WallTime now);

// What a deletion waits for, as the reason and message of the condition Deleting.
struct Pending {
  std::string reason;  // WaitingForAgents, WaitingForNamespace
  std::string message;
};

// The same while the Site is being deleted: the last facts as they stand in `site`, the condition
// Deleting, and not Ready. Nothing holds the site back any more, so blockers are left out.
nlohmann::json BuildDeletingStatus(const v1alpha1::Site& site, std::int64_t generation,
                                   const Pending& pending, base::WallTime now);

}  // namespace sluice::site
