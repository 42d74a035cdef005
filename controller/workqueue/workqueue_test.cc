#include "controller/workqueue/workqueue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>

namespace sluice::workqueue {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

meta::Key K(const std::string& name) { return {"", name}; }

class WorkqueueTest : public testing::Test {
 protected:
  std::unique_ptr<Workqueue> Make(Options options = {}) {
    options.name = "test";
    return std::make_unique<Workqueue>(options, clock, registry);
  }
  // Everything that can be handed out now, each given back at once.
  static std::vector<std::string> Drain(Workqueue& queue) {
    std::vector<std::string> names;
    while (auto item = queue.TryGet()) {
      names.push_back(item->key().name);
      queue.Done(*item);
    }
    return names;
  }
  base::FakeClock clock;
  base::metrics::Registry registry;
};

TEST_F(WorkqueueTest, AKeyAddedTwiceIsHandedOutOnce) {
  auto queue = Make();
  EXPECT_TRUE(queue->Add(K("a")));
  EXPECT_TRUE(queue->Add(K("b")));
  EXPECT_TRUE(queue->Add(K("a")));
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("a", "b"));
}

TEST_F(WorkqueueTest, ManyAddedAtOnceKeepTheirOrderAndWakeEveryWorker) {
  auto queue = Make();
  std::vector<meta::Key> keys;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 2 * kAddSlice + 3; ++i) {
    names.push_back("k" + std::to_string(i));
    keys.push_back(K(names.back()));
  }
  queue->Add(K("k5"));
  EXPECT_TRUE(queue->AddMany(keys, Priority::kLow));
  EXPECT_EQ(queue->depth(), keys.size());
  std::rotate(names.begin(), names.begin() + 5, names.begin() + 6);  // a change goes first
  EXPECT_EQ(Drain(*queue), names);

  std::atomic<int> got{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] {
      while (auto item = queue->Get()) {
        ++got;
        queue->Done(*item);
      }
    });
  }
  while (clock.waiters() < 3) std::this_thread::yield();
  EXPECT_TRUE(queue->AddMany(keys));
  while (queue->depth() > 0) std::this_thread::yield();
  queue->ShutDown();
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(got, static_cast<int>(keys.size()));
}

TEST_F(WorkqueueTest, OfManyAddedToAFullQueueSomeAreRefused) {
  Options options;
  options.max_keys = 2;
  auto queue = Make(options);
  EXPECT_FALSE(queue->AddMany(std::vector{K("a"), K("b"), K("c")}));
  EXPECT_EQ(queue->refused(), 1u);
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("a", "b"));
}

TEST_F(WorkqueueTest, AddedWhileProcessingRunsOnceMore) {
  auto queue = Make();
  queue->Add(K("a"));
  const auto first = queue->TryGet();
  ASSERT_TRUE(first.has_value());
  queue->Add(K("a"));
  queue->Add(K("a"));
  EXPECT_FALSE(queue->TryGet().has_value()) << "the key is with a worker";
  queue->Done(*first);
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("a"));
}

TEST_F(WorkqueueTest, DoneTellsForHowLongTheKeyWasHandedOut) {
  auto queue = Make();
  queue->Add(K("a"));
  clock.Advance(seconds(5));
  const auto item = queue->TryGet();
  clock.Advance(seconds(2));
  EXPECT_EQ(queue->Done(*item), seconds(2));
}

TEST_F(WorkqueueTest, ABackoffThatStartsOverLeavesWhatWasAskedForMeanwhile) {
  Options options;
  options.jitter = 0;
  auto queue = Make(options);
  queue->AddRateLimited(K("a"));
  queue->Add(K("a"));
  const auto item = queue->TryGet();
  queue->AddAfter(K("a"), seconds(10));
  queue->Done(*item, Backoff::kStartsOver);
  EXPECT_EQ(queue->Failures(K("a")), 0);
  EXPECT_FALSE(queue->TryGet().has_value());
  clock.Advance(seconds(10));
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("a"));
}

TEST_F(WorkqueueTest, ADelayedKeyComesWhenItIsDueAndNotBefore) {
  auto queue = Make();
  queue->AddAfter(K("a"), seconds(10));
  queue->AddAfter(K("a"), seconds(30));  // the earlier one stays
  clock.Advance(milliseconds(9999));
  EXPECT_FALSE(queue->TryGet().has_value());
  clock.Advance(milliseconds(1));
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("a"));
  clock.Advance(seconds(60));
  EXPECT_THAT(Drain(*queue), testing::IsEmpty());
}

TEST_F(WorkqueueTest, HandingAKeyOutCoversItsDelayedAdd) {
  auto queue = Make();
  queue->AddAfter(K("a"), seconds(10));
  queue->Add(K("a"));
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("a"));
  clock.Advance(seconds(20));
  EXPECT_THAT(Drain(*queue), testing::IsEmpty());
}

TEST_F(WorkqueueTest, ABlockedWorkerWakesForADelayedKeyMadeEarlier) {
  auto queue = Make();
  queue->AddAfter(K("late"), seconds(100));
  std::optional<Item> got;
  std::thread worker([&] { got = queue->Get(); });
  while (clock.waiters() == 0) std::this_thread::yield();
  queue->AddAfter(K("soon"), seconds(5));
  // The worker leaves its wait for the later time and settles on the earlier one.
  clock.Advance(seconds(5));
  worker.join();
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->key().name, "soon");
}

TEST_F(WorkqueueTest, BackoffDoublesPerKeyUpToItsLimitAndStartsOverWhenForgotten) {
  Options options;
  options.base_backoff = milliseconds(100);
  options.max_backoff = milliseconds(350);
  options.jitter = 0;
  auto queue = Make(options);
  for (const int wait_ms : {100, 200, 350, 350}) {
    queue->AddRateLimited(K("a"));
    clock.Advance(milliseconds(wait_ms - 1));
    EXPECT_FALSE(queue->TryGet().has_value()) << wait_ms;
    clock.Advance(milliseconds(1));
    EXPECT_THAT(Drain(*queue), testing::ElementsAre("a")) << wait_ms;
  }
  EXPECT_EQ(queue->Failures(K("a")), 4);
  queue->Add(K("a"));
  queue->Done(*queue->TryGet(), Backoff::kStartsOver);
  EXPECT_EQ(queue->Failures(K("a")), 0);
  queue->AddRateLimited(K("a"));
  clock.Advance(milliseconds(100));
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("a"));
}

TEST_F(WorkqueueTest, ABackoffIsNeverShorterThanWhatTheServerAsked) {
  auto queue = Make();
  queue->AddRateLimited(K("a"), Priority::kNormal, seconds(7));
  clock.Advance(milliseconds(6999));
  EXPECT_FALSE(queue->TryGet().has_value());
  clock.Advance(milliseconds(1));
  EXPECT_TRUE(queue->TryGet().has_value());
}

TEST_F(WorkqueueTest, JitterSpreadsTheBackoffsOfManyKeysWithinItsBounds) {
  Options options;
  options.base_backoff = seconds(10);
  options.jitter = 0.2;
  auto queue = Make(options);
  for (int i = 0; i < 200; ++i) queue->AddRateLimited(K(std::to_string(i)));
  clock.Advance(milliseconds(7999));
  EXPECT_THAT(Drain(*queue), testing::IsEmpty());
  clock.Advance(milliseconds(2001));
  const std::size_t early = Drain(*queue).size();
  EXPECT_GT(early, 50u);
  EXPECT_LT(early, 150u);
  clock.Advance(milliseconds(2001));
  EXPECT_EQ(early + Drain(*queue).size(), 200u);
}

TEST_F(WorkqueueTest, ChangesGoBeforeARelistWhichStillEnds) {
  auto queue = Make();
  for (int i = 0; i < 3; ++i) queue->Add(K("low" + std::to_string(i)), Priority::kLow);
  for (int i = 0; i < 100; ++i) queue->Add(K("change" + std::to_string(i)));
  const auto order = Drain(*queue);
  ASSERT_EQ(order.size(), 103u);
  EXPECT_EQ(order[kLowPriorityShare - 1], "low0");
  EXPECT_EQ(order[2 * kLowPriorityShare - 1], "low1");
  EXPECT_EQ(order[3 * kLowPriorityShare - 1], "low2");
}

TEST_F(WorkqueueTest, AChangeOfAKeyThatWaitsAsLowMovesItUp) {
  auto queue = Make();
  for (const char* name : {"a", "b", "c"}) queue->Add(K(name), Priority::kLow);
  queue->Add(K("c"));
  EXPECT_THAT(Drain(*queue), testing::ElementsAre("c", "a", "b"));
}

TEST_F(WorkqueueTest, AFullQueueRefusesNewKeysAndSaysSo) {
  Options options;
  options.max_keys = 2;
  auto queue = Make(options);
  EXPECT_TRUE(queue->Add(K("a")));
  EXPECT_TRUE(queue->Add(K("b")));
  EXPECT_FALSE(queue->Add(K("c")));
  EXPECT_TRUE(queue->Add(K("a"))) << "a known key takes no more room";
  EXPECT_EQ(queue->refused(), 1u);
  Drain(*queue);
  EXPECT_TRUE(queue->Add(K("c"))) << "idle keys are forgotten";
}

TEST_F(WorkqueueTest, ShutDownDrainsWhatWaitsAndThenEndsTheWorkers) {
  auto queue = Make();
  queue->Add(K("a"));
  queue->AddAfter(K("later"), seconds(5));
  queue->ShutDown();
  EXPECT_FALSE(queue->Add(K("b")));
  EXPECT_EQ(queue->Get()->key().name, "a");
  EXPECT_FALSE(queue->Get().has_value());
}

TEST_F(WorkqueueTest, ShutDownNowWakesABlockedWorker) {
  auto queue = Make();
  std::thread worker([&] { EXPECT_FALSE(queue->Get().has_value()); });
  while (clock.waiters() == 0) std::this_thread::yield();
  queue->ShutDownNow();
  worker.join();
}

TEST_F(WorkqueueTest, MetricsCarryTheNamesOfTheStockDashboards) {
  auto queue = Make();
  queue->Add(K("a"));
  queue->Add(K("b"), Priority::kLow);
  EXPECT_THAT(
      registry.Expose(),
      testing::AllOf(
          testing::HasSubstr(R"(workqueue_depth{controller="test",name="test",priority="0"} 1)"),
          testing::HasSubstr(R"(workqueue_depth{controller="test",name="test",priority="-100"} 1)"),
          testing::HasSubstr(R"(workqueue_adds_total{controller="test",name="test"} 2)")));
  const auto item = queue->TryGet();
  clock.Advance(seconds(3));
  EXPECT_THAT(
      registry.Expose(),
      testing::AllOf(
          testing::HasSubstr(
              R"(workqueue_unfinished_work_seconds{controller="test",name="test"} 3)"),
          testing::HasSubstr(
              R"(workqueue_queue_duration_seconds_count{controller="test",name="test"} 1)")));
  queue->Done(*item);
  queue->AddRateLimited(K("a"));
  EXPECT_THAT(
      registry.Expose(),
      testing::AllOf(
          testing::HasSubstr(
              R"(workqueue_work_duration_seconds_sum{controller="test",name="test"} 3)"),
          testing::HasSubstr(R"(workqueue_retries_total{controller="test",name="test"} 1)")));
}

TEST_F(WorkqueueTest, AKeyAddedWhileItRunsWaitsFromThenOn) {
  auto queue = Make();
  queue->Add(K("a"));
  const auto item = queue->TryGet();
  queue->Add(K("a"), Priority::kLow);
  const std::string low = R"(workqueue_depth{controller="test",name="test",priority="-100"} )";
  const std::string normal = R"(workqueue_depth{controller="test",name="test",priority="0"} )";
  EXPECT_THAT(registry.Expose(), testing::HasSubstr(low + "1"));
  queue->Add(K("a"));
  EXPECT_THAT(registry.Expose(),
              testing::AllOf(testing::HasSubstr(low + "0"), testing::HasSubstr(normal + "1")));
  EXPECT_EQ(queue->depth(), 0u) << "no worker could take it";
  clock.Advance(seconds(3));
  queue->Done(*item);
  EXPECT_THAT(registry.Expose(), testing::HasSubstr(normal + "1"));
  const auto again = queue->TryGet();
  EXPECT_THAT(registry.Expose(),
              testing::AllOf(
                  testing::HasSubstr(normal + "0"),
                  testing::HasSubstr(
                      R"(workqueue_queue_duration_seconds_sum{controller="test",name="test"} 3)")));
  queue->Done(*again);
}

TEST_F(WorkqueueTest, WhatIsToBeLookedAtLaterCountsAsARetry) {
  auto queue = Make();
  queue->AddAfter(K("a"), seconds(1));
  queue->AddAfter(K("b"), seconds(0));
  EXPECT_THAT(registry.Expose(),
              testing::HasSubstr(R"(workqueue_retries_total{controller="test",name="test"} 1)"));
}

TEST_F(WorkqueueTest, TwoReplicasDoNotRetryInStep) {
  const auto waits = [&] {
    Options options;
    options.name = "test";
    Workqueue mine(options, clock, registry);
    std::vector<double> out;
    for (int i = 0; i < 20; ++i) mine.AddRateLimited(K(std::to_string(i)));
    for (const auto& entry : mine.Look(20).entries) out.push_back(entry.seconds);
    mine.ShutDown();
    return out;
  };
  const auto one = waits();
  ASSERT_EQ(one.size(), 20u);
  EXPECT_NE(one, waits());
}

TEST_F(WorkqueueTest, NoKeyIsEverWithTwoWorkersAndNoChangeIsLost) {
  const auto seed = std::random_device{}();
  RecordProperty("seed", static_cast<int>(seed));
  base::RealClock real;
  Options options;
  options.name = "race";
  Workqueue queue(options, real, registry);
  constexpr int kKeys = 7;
  std::atomic<int> wanted[kKeys] = {};
  std::atomic<int> seen[kKeys] = {};
  std::atomic<int> inside[kKeys] = {};
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      while (auto item = queue.Get()) {
        const int key = std::stoi(item->key().name);
        EXPECT_EQ(inside[key].fetch_add(1), 0);
        seen[key] = wanted[key].load();
        inside[key].fetch_sub(1);
        queue.Done(*item);
      }
    });
  }
  std::minstd_rand random(seed);
  for (int i = 0; i < 20000; ++i) {
    const int key = static_cast<int>(random() % kKeys);
    ++wanted[key];
    queue.Add(K(std::to_string(key)), random() % 2 == 0 ? Priority::kNormal : Priority::kLow);
  }
  queue.ShutDown();
  for (auto& worker : workers) worker.join();
  for (int key = 0; key < kKeys; ++key) EXPECT_EQ(seen[key], wanted[key]) << key;
}

}  // namespace
}  // namespace sluice::workqueue
