// What the main of a program on this runtime needs beside the Manager: a name for this replica, and
// the signals that end it. sluice-controller and docs/examples/controller use it alike.
//
// Thread rule: any thread, but for making and destroying StopSignals, which is main's.
#pragma once

#include <signal.h>

#include <atomic>
#include <stop_token>
#include <string>
#include <thread>

namespace sluice::runtime {

// Unlike that of any other process, the last life of this pod included: the host's name (the pod's)
// and something random. The Lease's holder.
std::string MakeIdentity();

// SIGTERM and SIGINT as a stop token: the first asks for an ordered stop, the second ends the
// process at once, with exit code 1. SIGPIPE is ignored; SIGUSR1 is taken and means nothing.
//
// Make one, in main and before any other thread, which inherits that these signals are blocked.
// What is registered at the token runs on the thread that waits for them. Stop: the destructor
// joins that thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  std::stop_token token() const { return stop_.get_token(); }

 private:
  void Wait();
  sigset_t set_;
  std::atomic<bool> ending_{false};
  std::stop_source stop_;
  std::thread thread_;
};

}  // namespace sluice::runtime
