// What a Site's status says. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/site/config.h"
#include "reconcilers/site/inputs.h"

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
  agents::SiteSummary fleet;
  std::string version;       // offered to the agents; empty: none
  agents::Order order;       // it was published under
  base::Status apply_error;  // of the first object that could not be applied
};

// The part of status that this reconciler writes, as JSON. Times of unchanged conditions and of an
// unchanged configuration are kept from in.site.
nlohmann::json BuildStatus(const Inputs& in, const Derived& derived, const Observed& observed,
                           base::WallTime now);

}  // namespace sluice::site
