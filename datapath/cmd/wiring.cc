#include "datapath/cmd/wiring.h"

#include <signal.h>
#include <unistd.h>

namespace sluice::cmd {

base::StatusOr<std::unique_ptr<control::Source>> MakeSource(const Flags& flags, Engine& engine,
                                                            base::Clock& clock) {
  if (!flags.config.empty()) return control::MakeFileSource(flags.config);
  control::StreamOptions options;
  options.site = flags.site;
  options.node = flags.node;
  options.agent_version = kAgentVersion;
  options.endpoints = flags.control;
  options.enrolment_endpoints = flags.enrolment;
  options.token_file = flags.token_file;
  options.ca_file = flags.ca_file;
  options.state_dir = flags.state_dir;
  options.secrets_dir = flags.run_dir;
  options.health = [&engine] { return engine.health(); };
  // The drain takes long and must not run on the stream's thread: the main thread does it.
  options.on_drain = [](std::chrono::seconds) { ::kill(::getpid(), SIGUSR1); };
  return std::unique_ptr<control::Source>(control::MakeStreamSource(std::move(options), clock));
}

}  // namespace sluice::cmd
