// The agent's command line. Pure.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "controller/base/status.h"
#include "datapath/ring/poller.h"

namespace sluice::cmd {

struct Flags {
  enum class Action { kServe, kCheck, kStatus, kHelp, kVersion } action = Action::kServe;
  std::string config;  // --config: standalone
  // --control, --enrolment: the controller's stream, and where the agent proves itself. host:port,
  // several separated by commas.
  std::vector<std::string> control;
  std::vector<std::string> enrolment;
  std::string ca_file;     // --ca-file
  std::string token_file;  // --token-file
  std::string state_dir = "/var/lib/sluice";
  std::string run_dir = "/run/sluice";  // --run-dir: credentials, on tmpfs
  std::string site;
  std::string node;
  std::string metrics;                                // --metrics: instead of the configuration's
  std::chrono::seconds drain{25};                     // --drain-seconds
  ring::PollerKind poller = ring::PollerKind::kAuto;  // --poller
  bool log_json = false;                              // --log-format json
  bool log_debug = false;                             // --log-level debug
};

// `arguments` without the program's name. Accepts "--name value" and "--name=value".
// Errors: InvalidArgument, one line that names the flag.
base::StatusOr<Flags> ParseFlags(std::span<const char* const> arguments);
std::string HelpText();

}  // namespace sluice::cmd
