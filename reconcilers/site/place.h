// The cluster a Site's nodes are in, as far as something can be done there at this moment: the one
// the Site itself is in, or another (clusters.h).
//
// Thread rule: a value; what it points to may be used from any thread, and lives as long as the
// Place does.
#pragma once

#include <memory>

#include "controller/base/status.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"
#include "reconcilers/common/applier.h"

namespace sluice::site {

inline constexpr const char* kFieldManager = "sluice-site";

struct Place {
  bool elsewhere = false;
  // Not OK: what is wrong, the reason a CamelCase word. With `api` it is a warning, without it
  // nothing can be done there.
  base::Status state;
  client::Client* api = nullptr;       // writes fail unless this replica leads
  common::Applier* applier = nullptr;  // there whenever `api` is; over it
  // Caches, filled; all or none. They may be as old as `state` says.
  const cache::Store* nodes = nullptr;
  const cache::Store* namespaces = nullptr;
  const cache::Store* accounts = nullptr;
  const cache::Store* config_maps = nullptr;
  const cache::Store* daemon_sets = nullptr;
  const cache::Store* services = nullptr;
  std::shared_ptr<void> held;  // keeps another cluster's client and caches
};

}  // namespace sluice::site
