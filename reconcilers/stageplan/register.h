// Puts the StagePlan's controller into a Manager.
#pragma once

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "controller/runtime/manager.h"

namespace sluice::stageplan {

struct Deps {
  client::Client& api;  // the Manager's fenced client
  base::Clock& clock;
};

// Call before Run. What `deps` refers to must outlive the Manager.
void Register(runtime::Manager& manager, const Deps& deps);

}  // namespace sluice::stageplan
