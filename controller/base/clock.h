// Time as a parameter. Code that asks for the time takes a Clock&; only cmd/ picks RealClock.
//
// Wall time is for people and for objects (timestamps); Mono time is for waiting and measuring, and
// never goes back. Thread rule: all methods may be called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>

namespace sluice::base {

using WallTime = std::chrono::system_clock::time_point;
using MonoTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Wall() const = 0;
  virtual MonoTime Mono() const = 0;
  // Waits on `cv` until `ready()` or until Mono() reaches `deadline`; returns ready().
  // `lock` is held when `ready` runs and on return.
  virtual bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& cv,
                         MonoTime deadline, const std::function<bool()>& ready) = 0;
};

class RealClock final : public Clock {
 public:
  WallTime Wall() const override { return std::chrono::system_clock::now(); }
  MonoTime Mono() const override { return std::chrono::steady_clock::now(); }
  bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& cv, MonoTime deadline,
                 const std::function<bool()>& ready) override {
    return cv.wait_until(lock, deadline, ready);
  }
};

// A clock that stands still until a test moves it. Advance() wakes every waiter so that deadlines
// passed in fake time fire at once. A waiter's mutex must not be held by the caller of Advance().
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime wall = WallTime(std::chrono::seconds(1'700'000'000)));
  WallTime Wall() const override;
  MonoTime Mono() const override;
  bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& cv, MonoTime deadline,
                 const std::function<bool()>& ready) override;
  void Advance(Duration by);
  // Moves wall time alone, as a stepped system clock would.
  void StepWall(Duration by);
  // Number of threads inside WaitUntil that have looked at the present time and still wait; lets a
  // test wait until its subject has come to rest, after Advance() too.
  int waiters() const;

 private:
  struct Waiter {
    std::mutex* mutex;
    std::condition_variable* cv;
    MonoTime looked_at;  // mono_ when it last decided to go on waiting
    int telling;         // calls of Advance() that are about to wake it
  };
  mutable std::mutex mutex_;
  WallTime wall_;
  MonoTime mono_;
  std::list<Waiter> waiters_;
  std::condition_variable told_;
};

}  // namespace sluice::base
