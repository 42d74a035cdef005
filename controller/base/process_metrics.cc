#include "controller/base/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>

#include "controller/base/file.h"
#include "controller/base/metrics.h"

namespace sluice::base::metrics {
namespace {

constexpr std::size_t kMaxProcBytes =
    1 << 20;  // /proc/stat has a line a processor and one of all interrupts

double CpuSeconds() {
  timespec used{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

// The number'th field of /proc/self/statm, which counts pages.
double MemoryBytes(int number) {
  const auto text = ReadFile("/proc/self/statm", kMaxProcBytes);
  if (!text.ok()) return 0;
  const char* at = text->c_str();
  double pages = 0;
  for (int i = 0; i <= number; ++i) {
    char* end = nullptr;
    pages = std::strtod(at, &end);
    if (end == at) return 0;
    at = end;
  }
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double Limit(decltype(RLIMIT_AS) resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) return 0;
  if (limit.rlim_cur == RLIM_INFINITY)
    return static_cast<double>(std::numeric_limits<std::uint64_t>::max());
  return static_cast<double>(limit.rlim_cur);
}

double OpenDescriptors() {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  int count = -1;  // the one that reads the folder
  while (const dirent* const entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

// Boot time (/proc/stat) and our start in ticks since then (field 22 of /proc/self/stat, counted
// behind the program's name, which may hold anything).
double StartSeconds() {
  const auto system = ReadFile("/proc/stat", kMaxProcBytes);
  const auto self = ReadFile("/proc/self/stat", kMaxProcBytes);
  if (!system.ok() || !self.ok()) return 0;
  const std::size_t boot = system->find("\nbtime ");
  std::size_t field = self->rfind(") ");
  if (boot == std::string::npos || field == std::string::npos) return 0;
  for (int number = 2; number < 22 && field != std::string::npos; ++number)
    field = self->find(' ', field + 1);
  if (field == std::string::npos) return 0;
  return std::strtod(system->c_str() + boot + 7, nullptr) +
         std::strtod(self->c_str() + field, nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

std::vector<ProcessMetric> ProcessMetrics() {
  return {
      {"process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", true,
       CpuSeconds},
      {"process_resident_memory_bytes", "Resident memory size in bytes.", false,
       [] { return MemoryBytes(1); }},
      {"process_virtual_memory_bytes", "Virtual memory size in bytes.", false,
       [] { return MemoryBytes(0); }},
      {"process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.",
       false, [] { return Limit(RLIMIT_AS); }},
      {"process_open_fds", "Number of open file descriptors.", false, OpenDescriptors},
      {"process_max_fds", "Maximum number of open file descriptors.", false,
       [] { return Limit(RLIMIT_NOFILE); }},
      {"process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
       false, [at = StartSeconds()] { return at; }},
  };
}

void AddProcessMetrics(Registry& registry) {
  for (ProcessMetric& metric : ProcessMetrics()) {
    if (metric.counter) {
      registry.AddCounter(metric.name, metric.help, {}, std::move(metric.read));
    } else {
      registry.AddGauge(metric.name, metric.help, {}, std::move(metric.read));
    }
  }
}

}  // namespace sluice::base::metrics
