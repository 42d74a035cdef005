// Puts the Site's controllers into a Manager: configuration, Sites of this cluster, Sites of
// others.
#pragma once

#include <functional>
#include <string>

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "controller/runtime/manager.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/site/clusters.h"
#include "reconcilers/site/objects.h"

namespace sluice::site {

struct Deps {
  client::Client& api;  // the Manager's fenced client
  agents::ConfigPublisher& publisher;
  agents::FleetView& fleet;
  common::SecretReader& secrets;
  base::Clock& clock;
  // Asked at every look: the authority rotates while we run. Any thread.
  std::function<AgentOptions()> options;
  // nullptr: only the cluster we are in is served.
  SiteClusters* clusters = nullptr;
};

// Call before Run. What `deps` refers to must outlive the Manager.
void Register(runtime::Manager& manager, const Deps& deps);

}  // namespace sluice::site
