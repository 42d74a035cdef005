// One thread that keeps connections of one HTTP server busy and throws the bodies away.
//
// Closed loop (rate 0): every connection asks again as soon as it was answered. That measures what
// a server can do; its latencies are those of a queue as long as the number of connections. Open
// loop (rate > 0): request i is due at start + i / rate whatever the server does, on the connection
// that is idle for longest, and waits for one if none is. Its latency counts from when it was due,
// so a server that stalls pays for every request it kept waiting.
//
// Bodies: the head and what came with it is copied (at most kHeadRead), the rest is discarded by
// the kernel (MSG_TRUNC), so the client costs nearly the same for every size and server.
//
// Thread rule: one thread calls Run() once. Stop: it ends by itself, kGraceSeconds after its time
// at the latest. Errors: InvalidArgument and Unavailable before the run; in it, failures are
// counted.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "controller/base/status.h"
#include "tests/bench/datapath/load_histogram.h"
#include "tests/bench/datapath/load_request.h"

namespace sluice::bench {

struct LoadOptions {
  std::uint16_t port = 0;  // on 127.0.0.1
  std::size_t connections = 1;
  double seconds = 1;              // measured
  double warmup_seconds = 0;       // before, not counted
  double rate = 0;                 // requests a second; 0: closed loop
  bool copy = false;               // bodies are read into memory instead of discarded
  std::vector<pid_t> server_pids;  // whose CPU time is counted, all their threads
};

struct LoadResult {
  std::uint64_t requests = 0;  // answered whole with a 200 in the measured time
  std::uint64_t bytes = 0;     // of bodies in the measured time
  std::uint64_t errors = 0;    // other answers, broken or unanswered requests, at any time
  std::uint64_t reconnects = 0;
  double seconds = 0;
  double server_cpu_seconds = 0;
  double client_cpu_seconds = 0;
  Histogram latency;
};

base::StatusOr<LoadResult> RunLoad(const LoadOptions& options, Requests& requests);

}  // namespace sluice::bench
