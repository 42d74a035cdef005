// The controller as a process: clients, agents' server, audit log, manager, other clusters,
// reconcilers and the receiver of alerts, built, run and stopped in order (reconcilers, lease,
// events, caches, pages; then the receiver of alerts, the audit log, the agents' server, the other
// clusters; last the clients).
//
// Thread rule: Run once; `stop` from any thread.
#pragma once

#include <stop_token>

#include "controller/base/status.h"
#include "controller/cmd/sluice_controller/options.h"

namespace sluice::controller_main {

inline constexpr const char* kVersion = SLUICE_VERSION;

// OK after `stop`. Errors: InvalidArgument (flag or configuration: exit code 2); Aborted (the lead
// was lost); anything else that kept it from running.
base::Status Run(const Options& options, std::stop_token stop);

// What --start-lineage asks for (lineage.h): does it, prints what was done and returns.
// Errors: as lineage.h; InvalidArgument (kubeconfig).
base::Status StartLineage(const Options& options);

// 0, 2 or 1 as the flags' help says.
int ExitCode(const base::Status& status);

}  // namespace sluice::controller_main
