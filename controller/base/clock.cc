#include "controller/base/clock.h"

#include <algorithm>
#include <vector>

namespace sluice::base {

FakeClock::FakeClock(WallTime wall) : wall_(wall), mono_(std::chrono::hours(1)) {}

WallTime FakeClock::Wall() const {
  std::lock_guard lock(mutex_);
  return wall_;
}

MonoTime FakeClock::Mono() const {
  std::lock_guard lock(mutex_);
  return mono_;
}

bool FakeClock::WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& cv,
                          MonoTime deadline, const std::function<bool()>& ready) {
  Waiter* self = nullptr;
  {
    std::lock_guard guard(mutex_);
    self = &waiters_.emplace_back(Waiter{lock.mutex(), &cv, {}, 0});
  }
  cv.wait(lock, [&] {
    if (ready()) return true;
    std::lock_guard guard(mutex_);
    if (mono_ >= deadline) return true;
    self->looked_at = mono_;
    return false;
  });
  // Advance() may be about to wake it, and both are the caller's to destroy once this returns.
  lock.unlock();
  {
    std::unique_lock guard(mutex_);
    told_.wait(guard, [&] { return self->telling == 0; });
    waiters_.remove_if([&](const Waiter& waiter) { return &waiter == self; });
  }
  lock.lock();
  return ready();
}

void FakeClock::Advance(Duration by) {
  std::vector<Waiter*> waiters;
  {
    std::lock_guard lock(mutex_);
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
    mono_ += by;
    for (Waiter& waiter : waiters_) {
      ++waiter.telling;
      waiters.push_back(&waiter);
    }
  }
  for (Waiter* waiter : waiters) {
    // Taking the waiter's mutex orders this notify after its check of the old time.
    { std::lock_guard lock(*waiter->mutex); }
    waiter->cv->notify_all();
    std::lock_guard lock(mutex_);
    --waiter->telling;
    told_.notify_all();
  }
}

void FakeClock::StepWall(Duration by) {
  std::lock_guard lock(mutex_);
  wall_ += std::chrono::duration_cast<WallTime::duration>(by);
}

int FakeClock::waiters() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::count_if(waiters_.begin(), waiters_.end(),
                    [this](const Waiter& waiter) { return waiter.looked_at == mono_; }));
}

}  // namespace sluice::base
