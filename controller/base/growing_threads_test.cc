#include "controller/base/growing_threads.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <latch>
#include <optional>

namespace sluice::base {
namespace {

// Jobs for GrowingThreads, as its users have them.
class Jobs {
 public:
  explicit Jobs(int least, int most) {
    threads_.Start(least, most, [this](GrowingThreads::Self& self) {
      while (auto job = Get()) {
        threads_.TookWork();
        (*job)();
        if (!threads_.StaysFree(self)) return;
      }
    });
  }
  ~Jobs() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    threads_.Join();
  }
  void Add(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
  }
  int count() const { return threads_.count(); }

 private:
  std::optional<std::function<void()>> Get() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return std::nullopt;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  bool stopping_ = false;                   // guarded by mutex_
  GrowingThreads threads_;
};

void YieldUntil(const std::function<bool()>& fact) {
  while (!fact()) std::this_thread::yield();
}

TEST(GrowingThreads, WhoeverHangsAFreeOneIsLeftAndWhatIsNotNeededEnds) {
  constexpr int kHung = 50;
  std::latch inside(kHung), release(1), served(1), all_served(kHung), again(1), twice(2);
  Jobs jobs(2, kHung + 2);
  for (int i = 0; i < kHung; ++i) {
    jobs.Add([&] {
      inside.count_down();
      release.wait();
      all_served.count_down();
    });
  }
  inside.wait();  // all at once
  jobs.Add([&] { served.count_down(); });
  served.wait();
  EXPECT_GE(jobs.count(), kHung + 1);
  release.count_down();
  all_served.wait();
  YieldUntil([&] { return jobs.count() <= 2; });
  // What ended is joined, and grown anew.
  for (int i = 0; i < 2; ++i) {
    jobs.Add([&] {
      twice.count_down();
      again.wait();
    });
  }
  twice.wait();
  YieldUntil([&] { return jobs.count() == 3; });
  again.count_down();
}

TEST(GrowingThreads, ItStopsGrowingAtItsBound) {
  std::latch inside(3), release(1), all(5);
  Jobs jobs(1, 3);
  for (int i = 0; i < 5; ++i) {
    jobs.Add([&, i] {
      if (i < 3) inside.count_down();
      release.wait();
      all.count_down();
    });
  }
  inside.wait();
  EXPECT_EQ(jobs.count(), 3);
  EXPECT_EQ(jobs.waiting(), 2U);
  release.count_down();
  all.wait();
}

TEST(GrowingThreads, AFixedNumberIsKept) {
  std::latch release(1), all(6);
  Jobs jobs(2, 2);
  for (int i = 0; i < 6; ++i) {
    jobs.Add([&] {
      release.wait();
      all.count_down();
    });
  }
  EXPECT_EQ(jobs.count(), 2);
  release.count_down();
  all.wait();
  EXPECT_EQ(jobs.count(), 2);
}

}  // namespace
}  // namespace sluice::base
