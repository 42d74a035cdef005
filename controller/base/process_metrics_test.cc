#include "controller/base/process_metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <map>

#include "controller/base/metrics.h"

namespace sluice::base::metrics {
namespace {

double Read(const std::string& name) {
  for (const ProcessMetric& metric : ProcessMetrics()) {
    if (metric.name == name) return metric.read();
  }
  ADD_FAILURE() << "no metric " << name;
  return 0;
}

TEST(ProcessMetrics, TellWhatTheProcessUsesNow) {
  const double cpu = Read("process_cpu_seconds_total");
  const std::clock_t began = std::clock();
  while (std::clock() - began < CLOCKS_PER_SEC / 50) continue;
  const double used = Read("process_cpu_seconds_total") - cpu;
  EXPECT_GE(used, 0.019);
  EXPECT_LT(used, 20);

  const double resident = Read("process_resident_memory_bytes");
  std::vector<char> block(32 << 20, 'x');
  EXPECT_GT(Read("process_resident_memory_bytes"), resident + 16e6) << block.size();
  EXPECT_GT(Read("process_virtual_memory_bytes"), Read("process_resident_memory_bytes"));
  EXPECT_GE(Read("process_virtual_memory_max_bytes"), Read("process_virtual_memory_bytes"));

  const double open_before = Read("process_open_fds");
  const int one = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(Read("process_open_fds"), open_before + 1);
  close(one);
  EXPECT_EQ(Read("process_open_fds"), open_before);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(Read("process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST(ProcessMetrics, TheStartIsThisProcesssInUnixTime) {
  timespec running{};
  ASSERT_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &running), 0);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_LT(Read("process_start_time_seconds"), now + 1);
  EXPECT_GT(Read("process_start_time_seconds"), now - 3600) << "the tests take minutes";
}

TEST(ProcessMetrics, StandInARegistryWithoutLabels) {
  Registry registry;
  AddProcessMetrics(registry);
  const std::string page = registry.Expose();
  EXPECT_THAT(page, testing::HasSubstr(
                        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total "));
  EXPECT_THAT(page,
              testing::HasSubstr(
                  "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes "));
}

}  // namespace
}  // namespace sluice::base::metrics
