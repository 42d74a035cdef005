// Calls `overdue` when it lives longer than `limit`; disarmed by its destructor, which waits for a
// call under way.
//
// Thread rule: made and destroyed by its owner; `overdue` runs once at most, on a thread of its
// own, without a lock. The clock outlives it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "controller/base/clock.h"

namespace sluice::runtime {

class StopDeadline {
 public:
  StopDeadline(base::Clock& clock, base::Duration limit, std::function<void()> overdue)
      : thread_([this, &clock, limit, overdue = std::move(overdue)] {
          std::unique_lock lock(mutex_);
          if (!clock.WaitUntil(lock, wake_, clock.Mono() + limit, [this] { return done_; })) {
            lock.unlock();
            overdue();
          }
        }) {}
  ~StopDeadline() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
      wake_.notify_all();
    }
    thread_.join();
  }
  StopDeadline(const StopDeadline&) = delete;
  StopDeadline& operator=(const StopDeadline&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace sluice::runtime
