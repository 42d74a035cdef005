// Who of the sleeping workers wakes when a delayed key is due, whomever a condition variable
// chooses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <thread>
#include <utility>

#include "controller/workqueue/workqueue.h"

namespace sluice::workqueue {
namespace {

using std::chrono::seconds;

// Stands still until a test moves it. Of those who wait for one condition variable, the one that
// came last is woken, which glibc's would never choose. For one queue.
class LastComesFirstClock final : public base::Clock {
 public:
  base::WallTime Wall() const override { return {}; }
  base::MonoTime Mono() const override { return base::MonoTime(seconds(now_s_.load())); }
  bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& cv,
                 base::MonoTime deadline, const std::function<bool()>& ready) override {
    queue_mutex_ = lock.mutex();
    while (++looks_, !ready()) {
      if (Mono() >= deadline) return false;
      waiters_.push_back({.cv = &cv, .deadline = deadline});
      const auto me = std::prev(waiters_.end());
      while (!me->chosen && Mono() < deadline) {
        cv.wait(lock);
        if (std::exchange(me->told, false)) continue;
        const auto last = std::find_if(waiters_.rbegin(), waiters_.rend(), [&](const Waiter& each) {
          return each.cv == &cv && !each.chosen;
        });
        last->chosen = true;
        if (me->chosen) break;
        Tell(cv);
        me->told = false;
      }
      waiters_.erase(me);
    }
    return true;
  }
  // How often a waiter looked whether it still has to wait. It looks and waits under one lock.
  int looks() const { return looks_; }
  void Advance(seconds by) {
    const std::lock_guard lock(*queue_mutex_);
    now_s_ += by.count();
    for (const Waiter& each : waiters_) {
      if (each.deadline <= Mono()) Tell(*each.cv);
    }
  }

 private:
  struct Waiter {
    std::condition_variable* cv;
    base::MonoTime deadline;
    bool chosen = false;
    bool told = false;  // to look at the time or at who was chosen; it was not notified
  };
  void Tell(std::condition_variable& cv) {
    for (Waiter& each : waiters_) each.told = each.told || each.cv == &cv;
    cv.notify_all();
  }

  std::atomic<long> now_s_{1};
  std::atomic<int> looks_{0};
  std::atomic<std::mutex*> queue_mutex_{nullptr};
  std::list<Waiter> waiters_;  // guarded by the queue's mutex
};

// Two workers, each of which is busy with its first key until the end.
class WorkqueueSleepTest : public testing::Test {
 protected:
  WorkqueueSleepTest() {
    for (int i = 0; i < 2; ++i) workers_.emplace_back([this] { Work(); });
    Await([&] { return clock_.looks() == 2; });
  }
  ~WorkqueueSleepTest() override {
    queue_.ShutDownNow();
    over_ = true;
    over_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }
  void Work() {
    while (const auto item = queue_.Get()) {
      {
        const std::lock_guard lock(mutex_);
        taken_.push_back(item->key().name);
      }
      over_.wait(false);
      queue_.Done(*item);
    }
  }
  std::vector<std::string> Taken() {
    const std::lock_guard lock(mutex_);
    return taken_;
  }
  template <typename Condition>
  static void Await(const Condition& condition) {
    const auto limit = std::chrono::steady_clock::now() + seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  }
  // Who wakes for it has settled on its time.
  void AddAfter(const std::string& name, seconds wait) {
    const int looked = clock_.looks();
    queue_.AddAfter({"", name}, wait);
    Await([&] { return clock_.looks() >= looked + 2; });
  }
  void ExpectTaken(const std::vector<std::string>& names) {
    Await([&] { return Taken() == names; });
    EXPECT_EQ(Taken(), names);
  }

  LastComesFirstClock clock_;
  base::metrics::Registry registry_;
  Workqueue queue_{{.name = "sleep"}, clock_, registry_};
  std::mutex mutex_;
  std::vector<std::string> taken_;  // guarded by mutex_
  std::atomic<bool> over_{false};
  std::vector<std::thread> workers_;
};

TEST_F(WorkqueueSleepTest, AKeyIsHandedOutWhenItIsDueThoughWhoeverWokeForItsTimeTookAnother) {
  AddAfter("delayed", seconds(10));
  queue_.Add({"", "now"});
  ExpectTaken({"now"});
  clock_.Advance(seconds(10));
  ExpectTaken({"now", "delayed"});
}

TEST_F(WorkqueueSleepTest, WhoeverLeavesWithADueKeyHasAnotherWakeForTheNext) {
  AddAfter("second", seconds(20));
  AddAfter("first", seconds(10));
  clock_.Advance(seconds(10));
  ExpectTaken({"first"});
  clock_.Advance(seconds(10));
  ExpectTaken({"first", "second"});
}

TEST_F(WorkqueueSleepTest, KeysThatAreDueTogetherWakeAsManyWorkers) {
  AddAfter("a", seconds(10));
  queue_.AddAfter({"", "b"}, seconds(10));
  clock_.Advance(seconds(10));
  Await([&] { return Taken().size() == 2; });
  EXPECT_THAT(Taken(), testing::UnorderedElementsAre("a", "b"));
}

TEST_F(WorkqueueSleepTest, KeysAddedTogetherWakeAsManyWorkers) {
  queue_.Add({"", "a"});
  queue_.Add({"", "b"});
  Await([&] { return Taken().size() == 2; });
  EXPECT_THAT(Taken(), testing::UnorderedElementsAre("a", "b"));
}

}  // namespace
}  // namespace sluice::workqueue
