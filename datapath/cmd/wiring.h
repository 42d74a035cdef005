// The one place where the agent's flags become a source of configuration: a file, or the
// controller's stream (datapath/control).
#pragma once

#include <memory>

#include "controller/base/clock.h"
#include "datapath/cmd/engine.h"
#include "datapath/cmd/flags.h"
#include "datapath/control/source.h"

namespace sluice::cmd {

inline constexpr char kAgentVersion[] = "0.1.0";

// `engine` is asked for its health and told to drain; both outlive the source.
// Errors: InvalidArgument, one line for the user.
base::StatusOr<std::unique_ptr<control::Source>> MakeSource(const Flags& flags, Engine& engine,
                                                            base::Clock& clock);

}  // namespace sluice::cmd
