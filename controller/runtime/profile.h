// A CPU profile of this process, taken when it is asked for: SIGPROF at 100 Hz of CPU time, the
// stack of whichever thread runs, counted.
//
// The result is in the format that pprof and its kin read as "legacy CPU profile": machine words
// (0, 3, 0, period in microseconds, 0), then (count, depth, addresses…) for each stack, then
// (0, 1, 0), then /proc/self/maps. Source: gperftools' cpuprofile-fileformat. Addresses become
// names in the reader, which needs the binary (docs/operations.md). Why not gperftools: ADR 0142.
//
// Cost while it runs: about 1 % of CPU and kMaxProfileSamples stacks of memory; otherwise nothing.
// Thread rule: any thread; one profile of the process at a time. Returns after `length` of real
// time, or at once when `stop` is requested (with what there is).
// Errors: InvalidArgument (length), Aborted with reason "Busy", Internal (the timer).
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "controller/base/status.h"

namespace sluice::runtime {

base::StatusOr<std::string> TakeCpuProfile(std::chrono::seconds length, std::stop_token stop);

}  // namespace sluice::runtime
