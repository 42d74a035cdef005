// sluice-controller. See README.md beside this file.
#include <cstdio>
#include <string>
#include <vector>

#include "controller/base/log.h"
#include "controller/base/memory.h"
#include "controller/cmd/sluice_controller/options.h"
#include "controller/cmd/sluice_controller/process.h"
#include "controller/runtime/process.h"

int main(int argc, char** argv) {
  const auto options =
      sluice::controller_main::ParseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) {
    std::fprintf(stderr, "sluice-controller: %s\n", options.status().message().c_str());
    return 2;
  }
  if (options->help) {
    std::fputs(sluice::controller_main::HelpText().c_str(), stdout);
    return 0;
  }
  if (options->version) {
    std::printf("sluice-controller %s\n", sluice::controller_main::kVersion);
    return 0;
  }
  // Its threads mostly wait; an arena each would keep what each once needed.
  sluice::base::UseOneArena();
  sluice::base::log::Configure(options->log_level, options->log_format);
  if (!options->start_lineage.empty()) {
    const auto done = sluice::controller_main::StartLineage(*options);
    if (!done.ok()) std::fprintf(stderr, "sluice-controller: %s\n", done.message().c_str());
    return sluice::controller_main::ExitCode(done);
  }
  const sluice::runtime::StopSignals signals;
  const auto status = sluice::controller_main::Run(*options, signals.token());
  if (!status.ok()) std::fprintf(stderr, "sluice-controller: %s\n", status.message().c_str());
  return sluice::controller_main::ExitCode(status);
}
