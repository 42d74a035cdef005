// One loop: one thread, one Poller, its timers, its posted tasks. Everything of a connection
// happens on the loop that owns it, so connection state needs no lock.
//
// A turn: wait for events (no longer than the next timer) → dispatch ready descriptors → run due
// timers → run posted tasks (a bounded number). Now() stands still within a turn.
//
// Thread rule: the loop's thread only (the one inside Run() or RunOnce()), except Post(), Stop()
// and Now() of the clock. Callbacks may destroy any Stream, Timer or handler, their own included.
//
// Stop: the owner closes what it registered (from a posted task), then calls Stop(); Run() finishes
// the turn, runs what is still posted, and returns. Tasks posted later are destroyed unrun, and
// Post() says so. The destructor checks that nothing is registered any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/net/page_pipe.h"
#include "datapath/net/task.h"
#include "datapath/ring/poller.h"

namespace sluice::net {

class Timer;

// Told about a watched descriptor.
class FdHandler {
 public:
  virtual ~FdHandler() = default;
  // Edge-triggered: what is not read or written until EAGAIN is not announced again.
  virtual void OnReady(const ring::Event& event) = 0;
};

class EventLoop {
 public:
  EventLoop(base::Clock& clock, std::unique_ptr<ring::Poller> poller);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // Errors: ResourceExhausted.
  static base::StatusOr<std::unique_ptr<EventLoop>> Create(
      base::Clock& clock, ring::PollerKind kind = ring::PollerKind::kAuto);

  void Run();
  // One turn that waits at most `max_wait`; true while not stopped. Lets a test step a loop.
  bool RunOnce(base::Duration max_wait);
  void Stop();  // any thread

  // Runs `task` on the loop, first posted first run. Any thread. False: the loop has ended, and the
  // task was destroyed. Bounded by its callers: one task for a connection accepted or waiter woken.
  bool Post(Task task);

  base::MonoTime Now() const { return now_; }
  base::Clock& clock() { return clock_; }
  // True on the loop's thread, and while nobody runs the loop (set-up and teardown).
  bool InLoop() const;

  // `handler` is told about `fd` until Unwatch(token). Errors: as ring::Poller::Add.
  base::StatusOr<std::uint64_t> Watch(int fd, FdHandler* handler);
  // Call before closing `fd`. The handler is not called again, not even in this turn.
  void Unwatch(int fd, std::uint64_t token);

  PagePipe& page_pipe() { return page_pipe_; }
  ring::Poller& poller() { return *poller_; }

 private:
  friend class Timer;
  struct Slot {
    FdHandler* handler = nullptr;
    std::uint32_t generation = 0;
  };

  void Dispatch(const ring::Event& event);
  void RunTimers();
  bool RunTasks();  // true when some are left for the next turn
  base::Duration NextWait(base::Duration max_wait, bool tasks_left);
  void HeapPush(Timer* timer);
  void HeapRemove(Timer* timer);
  void HeapUp(std::size_t at);
  void HeapDown(std::size_t at);

  base::Clock& clock_;
  const std::unique_ptr<ring::Poller> poller_;
  base::MonoTime now_;
  PagePipe page_pipe_;
  std::atomic<std::thread::id> thread_{};
  std::atomic<bool> stopping_{false};

  // A token is (slot index << 32 | generation): an event for a descriptor that was closed earlier
  // in the batch finds another generation and is dropped.
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<Timer*> heap_;  // binary heap by Timer::scheduled_
  Timer* firing_ = nullptr;   // the timer whose callback runs now, and where its destructor reports
  bool* dying_marker_ = nullptr;

  // Guarded by mutex_:
  std::mutex mutex_;
  std::vector<Task> posted_;
  bool ended_ = false;
  bool wake_sent_ = false;

  std::vector<Task> running_;  // taken from posted_, run in order from next_task_
  std::size_t next_task_ = 0;
};

// A deadline that its owner moves and cancels; fires once an Arm. Moving it later costs nothing
// (the heap entry stays and is pushed back when it surfaces), which is what every request does.
// Thread rule: the loop's thread.
class Timer {
 public:
  Timer(EventLoop& loop, Task callback) : loop_(loop), callback_(std::move(callback)) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Arm(base::Duration from_now) { ArmAt(loop_.Now() + from_now); }
  void ArmAt(base::MonoTime deadline);
  void Cancel();
  bool armed() const { return armed_; }

 private:
  friend class EventLoop;
  static constexpr std::size_t kNotInHeap = ~std::size_t{0};

  EventLoop& loop_;
  Task callback_;
  base::MonoTime deadline_;
  base::MonoTime scheduled_;  // never later than deadline_ while armed
  std::size_t heap_at_ = kNotInHeap;
  bool armed_ = false;
};

}  // namespace sluice::net
