#include "tests/bench/datapath/load_cpu.h"

#include <dirent.h>
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <string>

namespace sluice::bench {
namespace {

double ReadSchedstat(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return 0;
  unsigned long long ran_ns = 0;
  const int read = std::fscanf(file, "%llu", &ran_ns);
  std::fclose(file);
  return read == 1 ? static_cast<double>(ran_ns) / 1e9 : 0;
}

}  // namespace

double CpuSecondsOf(std::span<const pid_t> pids) {
  double total = 0;
  for (const pid_t pid : pids) {
    const std::string folder = fmt::format("/proc/{}/task", pid);
    DIR* const tasks = ::opendir(folder.c_str());
    if (tasks == nullptr) continue;
    while (const dirent* entry = ::readdir(tasks)) {
      if (entry->d_name[0] == '.') continue;
      total += ReadSchedstat(fmt::format("{}/{}/schedstat", folder, entry->d_name));
    }
    ::closedir(tasks);
  }
  return total;
}

double OwnCpuSeconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

std::int64_t MonoNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace sluice::bench
