#include "controller/runtime/process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

// In a process of its own, which the first signal asks to stop and the second ends.
int AfterSignals(int count) {
  const StopSignals signals;
  for (int i = 0; i < count; ++i) kill(getpid(), i == 0 ? SIGTERM : SIGINT);
  const bool stopped = testing_kit::WaitUntil([&] { return signals.token().stop_requested(); });
  if (count > 1) testing_kit::WaitUntil([] { return false; });  // until it is ended
  return stopped ? 0 : 7;
}

int AfterSomebodyElsesSignal() {
  const StopSignals signals;
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGTERM);
  const bool stopped = testing_kit::WaitUntil([&] { return signals.token().stop_requested(); });
  return stopped ? 0 : 7;
}

TEST(StopSignalsDeathTest, AnotherSignalDoesNotDisarmThem) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(_exit(AfterSomebodyElsesSignal()), ::testing::ExitedWithCode(0), "Terminated");
}

TEST(StopSignalsDeathTest, TheFirstAsksForAStopAndTheSecondEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(_exit(AfterSignals(1)), ::testing::ExitedWithCode(0), "Terminated");
  EXPECT_EXIT(_exit(AfterSignals(2)), ::testing::ExitedWithCode(1), "");
}

TEST(MakeIdentity, IsAnotherEachTimeAndNamesTheHost) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const std::string one = MakeIdentity();
  EXPECT_EQ(one.rfind(host, 0), 0u) << one;
  EXPECT_NE(one, MakeIdentity());
}

}  // namespace
}  // namespace sluice::runtime
