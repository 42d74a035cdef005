// Puts the Rollout's controller into a Manager.
#pragma once

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "controller/runtime/manager.h"
#include "reconcilers/audit/appender.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/gates/external_check.h"
#include "reconcilers/rollout/reconciler.h"

namespace sluice::rollout {

struct Deps {
  client::Client& api;  // the Manager's fenced client
  common::SecretReader& secrets;
  audit::Appender& audit;
  base::Clock& clock;
  DefaultImage default_image;
  gates::ExternalAsker* external = nullptr;  // null: no external gate is asked
};

// Call before Run. What `deps` refers to must outlive the Manager.
void Register(runtime::Manager& manager, const Deps& deps);

}  // namespace sluice::rollout
