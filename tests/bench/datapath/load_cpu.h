// Clocks: CPU time of processes, to the nanosecond: what the scheduler counted for each of their
// threads
// (/proc/PID/task/*/schedstat), system calls and the softirq work done in them included.
// Thread rule: pure reads.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

namespace sluice::bench {

// Processes and threads that are gone count as nothing.
double CpuSecondsOf(std::span<const pid_t> pids);
double OwnCpuSeconds();
std::int64_t MonoNs();

}  // namespace sluice::bench
