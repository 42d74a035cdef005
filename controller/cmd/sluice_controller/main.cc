// sluice-controller. See README.md beside this file.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/log.h"
#include "controller/base/memory.h"
#include "controller/cmd/sluice_controller/options.h"
#include "controller/cmd/sluice_controller/process.h"

namespace {

using sluice::controller_main::Options;

// Blocks SIGTERM and SIGINT for every thread; one thread waits for them. The first asks for an
// ordered stop, the second ends the process.
class Signals {
 public:
  Signals() {
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGUSR1);  // ours, to end the waiting thread
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::thread([this] { Wait(); });
  }
  ~Signals() {
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  void Wait() {
    while (true) {
      int number = 0;
      if (sigwait(&set_, &number) != 0) continue;
      if (number == SIGUSR1) return;
      if (stop_.stop_requested()) _exit(1);
      sluice::base::log::Info("signal received", {{"signal", strsignal(number)}});
      stop_.request_stop();
    }
  }
  sigset_t set_;
  std::stop_source stop_;
  std::thread thread_;
};

}  // namespace

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
  Signals signals;
  const auto status = sluice::controller_main::Run(*options, signals.token());
  if (!status.ok()) std::fprintf(stderr, "sluice-controller: %s\n", status.message().c_str());
  return sluice::controller_main::ExitCode(status);
}
