// Puts the Tenant's controller into a Manager.
#pragma once

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "controller/runtime/manager.h"
#include "reconcilers/common/credentials.h"

namespace sluice::tenant {

struct Deps {
  client::Client& api;  // the Manager's fenced client
  common::SecretReader& secrets;
  base::Clock& clock;
};

// Call before Run, after the Site's (which makes the index of tenants by site). What
// `deps` refers to must outlive the Manager.
void Register(runtime::Manager& manager, const Deps& deps);

}  // namespace sluice::tenant
