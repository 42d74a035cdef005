// The deletion of what a Site runs: its DaemonSet, so that the agents drain, then its namespace
// with all that is left in it.
//
// Looks at the API server and not at caches: those may be late, and are narrowed to our label,
// which anybody may take off. What does not name this very Site as its controller is not ours and
// stays. Thread rule: any thread.
#pragma once

#include <optional>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/meta/object.h"
#include "reconcilers/site/status.h"

namespace sluice::site {

// Whether `object` was made for this very Site: it is its controller, or, where the Site is in
// another cluster, named by uid in an annotation.
bool IsControlledBy(const meta::Object& object, const meta::Object& site);

// The object as the API server has it; null when it has none. Errors: the client's.
base::StatusOr<meta::ObjectPtr> LookLive(client::Client& api, const meta::Resource& resource,
                                         const meta::Key& key);

// Takes the next step, once the one before is seen done. nullopt: nothing of ours is left.
// After kForegroundPatience the DaemonSet's pods are left to the garbage collector.
// Errors: the client's.
base::StatusOr<std::optional<Pending>> TearDownObjects(client::Client& api,
                                                       const meta::Object& site,
                                                       base::WallTime now);

}  // namespace sluice::site
