// Which changes of what a Site looks at matter to it. Pure; any thread.
#pragma once

#include "controller/cache/store.h"

namespace sluice::site {

// A node's heartbeat changes its conditions only; what sites look at is labels and capacity.
bool NodeMatters(const cache::Event& event);
// What a Site's configuration and counts depend on: its spec and deletion, its finalizer, and the
// stage it reached.
bool SiteMatters(const cache::Event& event);

}  // namespace sluice::site
