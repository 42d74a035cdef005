// The recorded command that starts a new lineage of the agents' record
// (reconcilers/agents/epoch.h).
//
// Agents refuse a record that is lower than what they have seen, which is what keeps a stale
// controller from rolling them back, and also what stops a controller whose record was restored
// from a backup, or was deleted while no controller ran. The new lineage names the ones it
// supersedes; agents of those follow it, whatever its epoch. A controller that leads meanwhile
// finds that it was fenced off, ends, is started again and publishes every Site anew.
//
// Who did it, when and why stands in the record from then on. Thread rule: as the client's.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/client/client.h"

namespace sluice::controller_main {

struct LineageRequest {
  std::string lineage;                  // the new one's name
  std::vector<std::string> supersedes;  // beside the record's own and the cluster's UID
  std::string reason;
};

// What was done, for people. Written by compare-and-swap: nothing is overwritten unseen.
// Errors: InvalidArgument (the name was used before, or too many are superseded); Aborted (the
// record changed under every try); the client's.
base::StatusOr<std::string> StartLineage(client::Client& client, base::Clock& clock,
                                         const std::string& ns, const LineageRequest& request);

}  // namespace sluice::controller_main
