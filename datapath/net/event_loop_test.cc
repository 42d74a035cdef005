#include "datapath/net/event_loop.h"

#include <gtest/gtest.h>

#include <thread>

namespace sluice::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class EventLoopTest : public testing::TestWithParam<ring::PollerKind> {
 protected:
  void SetUp() override {
    const ring::PollerChoice choice = ring::ChoosePoller(GetParam());
    if (choice.kind != GetParam()) GTEST_SKIP() << choice.why;
  }
  static std::unique_ptr<EventLoop> NewLoop(base::Clock& clock) {
    auto loop = EventLoop::Create(clock, GetParam());
    SLUICE_CHECK(loop.ok());
    return std::move(loop).value();
  }
};

TEST_P(EventLoopTest, RunsPostedTasksInOrder) {
  base::FakeClock clock;
  auto loop = NewLoop(clock);
  std::vector<int> ran;
  for (int i = 0; i < 5; ++i) loop->Post([&ran, i] { ran.push_back(i); });
  loop->RunOnce(base::Duration::zero());
  EXPECT_EQ(ran, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_P(EventLoopTest, PostFromAnotherThreadEndsTheWait) {
  base::RealClock clock;
  auto loop = NewLoop(clock);
  bool ran = false;
  std::thread other([&] {
    loop->Post([&] {
      ran = true;
      loop->Stop();
    });
  });
  loop->Run();
  other.join();
  EXPECT_TRUE(ran);
}

TEST_P(EventLoopTest, RefusesTasksAfterItEnded) {
  base::RealClock clock;
  auto loop = NewLoop(clock);
  bool late = false;
  loop->Post([&] { loop->Stop(); });
  loop->Run();
  EXPECT_FALSE(loop->Post([&] { late = true; }));
  EXPECT_FALSE(late);
}

TEST_P(EventLoopTest, RunsWhatWasPostedBeforeStop) {
  base::RealClock clock;
  auto loop = NewLoop(clock);
  int ran = 0;
  loop->Stop();
  loop->Post([&] { ++ran; });
  loop->Run();
  EXPECT_EQ(ran, 1);
}

TEST_P(EventLoopTest, FiresTimersInTheOrderOfTheirDeadlines) {
  base::FakeClock clock;
  auto loop = NewLoop(clock);
  std::vector<int> fired;
  Timer late(*loop, [&] { fired.push_back(2); });
  Timer early(*loop, [&] { fired.push_back(1); });
  late.Arm(milliseconds(20));
  early.Arm(milliseconds(10));
  loop->RunOnce(base::Duration::zero());
  EXPECT_TRUE(fired.empty());
  clock.Advance(milliseconds(20));
  loop->RunOnce(base::Duration::zero());
  EXPECT_EQ(fired, (std::vector<int>{1, 2}));
}

TEST_P(EventLoopTest, ATimerMovedLaterDoesNotFireAtItsOldDeadline) {
  base::FakeClock clock;
  auto loop = NewLoop(clock);
  int fired = 0;
  Timer timer(*loop, [&] { ++fired; });
  timer.Arm(milliseconds(10));
  timer.Arm(milliseconds(30));
  clock.Advance(milliseconds(15));
  loop->RunOnce(base::Duration::zero());
  EXPECT_EQ(fired, 0);
  clock.Advance(milliseconds(15));
  loop->RunOnce(base::Duration::zero());
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(timer.armed());
}

TEST_P(EventLoopTest, ATimerMovedEarlierFiresEarlier) {
  base::FakeClock clock;
  auto loop = NewLoop(clock);
  int fired = 0;
  Timer timer(*loop, [&] { ++fired; });
  timer.Arm(seconds(30));
  timer.Arm(milliseconds(1));
  clock.Advance(milliseconds(1));
  loop->RunOnce(base::Duration::zero());
  EXPECT_EQ(fired, 1);
}

TEST_P(EventLoopTest, ACancelledTimerDoesNotFire) {
  base::FakeClock clock;
  auto loop = NewLoop(clock);
  int fired = 0;
  Timer timer(*loop, [&] { ++fired; });
  timer.Arm(milliseconds(1));
  timer.Cancel();
  clock.Advance(seconds(1));
  loop->RunOnce(base::Duration::zero());
  EXPECT_EQ(fired, 0);
}

TEST_P(EventLoopTest, ATimerMayDestroyItselfAndMayRearmItself) {
  base::FakeClock clock;
  auto loop = NewLoop(clock);
  int fired = 0;
  std::unique_ptr<Timer> self;
  self = std::make_unique<Timer>(*loop, [&] {
    ++fired;
    self.reset();
  });
  Timer again(*loop, [&] {
    if (++fired < 4) again.Arm(milliseconds(1));
  });
  self->Arm(milliseconds(1));
  again.Arm(milliseconds(1));
  for (int i = 0; i < 10; ++i) {
    clock.Advance(milliseconds(1));
    loop->RunOnce(base::Duration::zero());
  }
  EXPECT_EQ(self, nullptr);
  EXPECT_EQ(fired, 4);
}

TEST_P(EventLoopTest, KeepsManyTimersInOrderWhenTheyAreMovedAndCancelledAtRandom) {
  base::FakeClock clock;
  auto loop = NewLoop(clock);
  base::MonoTime last = clock.Mono();
  std::vector<std::unique_ptr<Timer>> timers;
  std::uint32_t seed = 12345;
  const auto next = [&seed] { return seed = seed * 1664525u + 1013904223u, seed >> 8; };
  int fired = 0;
  for (int i = 0; i < 500; ++i)
    timers.push_back(std::make_unique<Timer>(*loop, [&] {
      EXPECT_LE(last, clock.Mono());
      last = clock.Mono();
      ++fired;
    }));
  for (int i = 0; i < 5000; ++i) {
    Timer& timer = *timers[next() % timers.size()];
    if (next() % 4 == 0) {
      timer.Cancel();
    } else {
      timer.Arm(milliseconds(next() % 1000));
    }
  }
  int armed = 0;
  for (const auto& timer : timers) armed += timer->armed() ? 1 : 0;
  for (int i = 0; i < 1001; ++i) {
    clock.Advance(milliseconds(1));
    loop->RunOnce(base::Duration::zero());
  }
  EXPECT_EQ(fired, armed);
}

// Every task counts, though wakes of several threads fall together and the loop is in any state.
TEST_P(EventLoopTest, MissesNoTaskOfManyThreads) {
  base::RealClock clock;
  auto loop = NewLoop(clock);
  constexpr int kThreads = 3, kTasks = 2000;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      for (int task = 0; task < kTasks; ++task)
        loop->Post([&] {
          if (++ran == kThreads * kTasks) loop->Stop();
        });
    });
  loop->Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, kThreads * kTasks);
}

INSTANTIATE_TEST_SUITE_P(, EventLoopTest,
                         testing::Values(ring::PollerKind::kEpoll, ring::PollerKind::kIoUring),
                         [](const auto& kind) { return ring::PollerKindName(kind.param); });

}  // namespace
}  // namespace sluice::net
