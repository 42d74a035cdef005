#include "datapath/net/event_loop.h"

#include <algorithm>
#include <array>

#include "datapath/net/limits.h"
#include "datapath/ring/limits.h"

namespace sluice::net {

EventLoop::EventLoop(base::Clock& clock, std::unique_ptr<ring::Poller> poller)
    : clock_(clock), poller_(std::move(poller)), now_(clock.Mono()) {}

EventLoop::~EventLoop() {
  // Tasks left may own streams and timers of this loop: they go first.
  {
    std::vector<Task> left;
    std::lock_guard lock(mutex_);
    ended_ = true;
    left.swap(posted_);
  }
  running_.clear();
  SLUICE_CHECK(heap_.empty());
  SLUICE_CHECK(free_slots_.size() == slots_.size());
}

base::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(base::Clock& clock,
                                                             ring::PollerKind kind) {
  SLUICE_ASSIGN_OR_RETURN(auto poller, ring::NewPoller(kind));
  return std::make_unique<EventLoop>(clock, std::move(poller));
}

bool EventLoop::InLoop() const {
  const std::thread::id owner = thread_.load(std::memory_order_relaxed);
  return owner == std::this_thread::get_id() || owner == std::thread::id();
}

void EventLoop::Run() {
  while (RunOnce(base::Duration(-1))) {
  }
  // What was posted before the end still runs (bounded: what these tasks post is destroyed).
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
    for (Task& task : posted_) running_.push_back(std::move(task));
    posted_.clear();
  }
  while (next_task_ < running_.size()) {
    Task task = std::move(running_[next_task_++]);
    task();
  }
  running_.clear();
  next_task_ = 0;
  thread_.store(std::thread::id(), std::memory_order_relaxed);
}

bool EventLoop::RunOnce(base::Duration max_wait) {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  bool tasks_left = next_task_ < running_.size();
  if (!tasks_left) {
    std::lock_guard lock(mutex_);
    tasks_left = !posted_.empty();
  }
  std::array<ring::Event, ring::kMaxEventsPerWait> events;
  now_ = clock_.Mono();
  const std::size_t count = poller_->Wait(NextWait(max_wait, tasks_left), events);
  now_ = clock_.Mono();
  for (std::size_t i = 0; i < count; ++i) Dispatch(events[i]);
  RunTimers();
  RunTasks();
  thread_.store(std::thread::id(), std::memory_order_relaxed);
  return !stopping_.load(std::memory_order_acquire);
}

void EventLoop::Stop() {
  stopping_.store(true, std::memory_order_release);
  poller_->Wake();
}

bool EventLoop::Post(Task task) {
  const bool from_outside = thread_.load(std::memory_order_relaxed) != std::this_thread::get_id();
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (ended_) return false;
    posted_.push_back(std::move(task));
    wake = from_outside && !std::exchange(wake_sent_, from_outside || wake_sent_);
  }
  if (wake) poller_->Wake();
  return true;
}

base::StatusOr<std::uint64_t> EventLoop::Watch(int fd, FdHandler* handler) {
  SLUICE_CHECK(InLoop());
  std::uint32_t index = 0;
  if (free_slots_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back({});
  } else {
    index = free_slots_.back();
    free_slots_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.handler = handler;
  const std::uint64_t token = std::uint64_t{index} << 32 | slot.generation;
  const base::Status added = poller_->Add(fd, token);
  if (!added.ok()) {
    slot.handler = nullptr;
    free_slots_.push_back(index);
    return added;
  }
  return token;
}

void EventLoop::Unwatch(int fd, std::uint64_t token) {
  SLUICE_CHECK(InLoop());
  const auto index = static_cast<std::uint32_t>(token >> 32);
  SLUICE_CHECK(index < slots_.size());
  Slot& slot = slots_[index];
  SLUICE_CHECK(slot.generation == static_cast<std::uint32_t>(token) && slot.handler != nullptr);
  poller_->Remove(fd);
  slot.handler = nullptr;
  ++slot.generation;
  free_slots_.push_back(index);
}

void EventLoop::Dispatch(const ring::Event& event) {
  const auto index = static_cast<std::uint32_t>(event.token >> 32);
  if (index >= slots_.size()) return;
  const Slot slot = slots_[index];
  if (slot.handler == nullptr || slot.generation != static_cast<std::uint32_t>(event.token)) return;
  slot.handler->OnReady(event);
}

void EventLoop::RunTimers() {
  while (!heap_.empty() && heap_[0]->scheduled_ <= now_) {
    Timer* timer = heap_[0];
    HeapRemove(timer);
    if (timer->deadline_ > now_) {  // it was moved later while it lay in the heap
      timer->scheduled_ = timer->deadline_;
      HeapPush(timer);
      continue;
    }
    timer->armed_ = false;
    // The callback may destroy its own timer, so it runs from here and goes back only if the timer
    // is still there (it tells by re-arming or by living on; both are seen through the marker).
    Task callback = std::move(timer->callback_);
    struct Guard {
      bool gone = false;
    } guard;
    dying_marker_ = &guard.gone;
    firing_ = timer;
    callback();
    firing_ = nullptr;
    dying_marker_ = nullptr;
    if (!guard.gone) timer->callback_ = std::move(callback);
  }
}

bool EventLoop::RunTasks() {
  if (next_task_ == running_.size()) {
    running_.clear();
    next_task_ = 0;
    std::lock_guard lock(mutex_);
    running_.swap(posted_);
    wake_sent_ = false;
  }
  const std::size_t end = std::min(running_.size(), next_task_ + kMaxTasksPerTurn);
  while (next_task_ < end) {
    Task task = std::move(running_[next_task_++]);
    task();
  }
  return next_task_ < running_.size();
}

base::Duration EventLoop::NextWait(base::Duration max_wait, bool tasks_left) {
  if (tasks_left || stopping_.load(std::memory_order_acquire)) return base::Duration::zero();
  if (heap_.empty()) return max_wait;
  const base::Duration until =
      std::max(base::Duration::zero(), base::Duration(heap_[0]->scheduled_ - now_));
  return max_wait < base::Duration::zero() ? until : std::min(max_wait, until);
}

void EventLoop::HeapUp(std::size_t at) {
  Timer* moved = heap_[at];
  while (at > 0) {
    const std::size_t parent = (at - 1) / 2;
    if (heap_[parent]->scheduled_ <= moved->scheduled_) break;
    heap_[at] = heap_[parent];
    heap_[at]->heap_at_ = at;
    at = parent;
  }
  heap_[at] = moved;
  moved->heap_at_ = at;
}

void EventLoop::HeapDown(std::size_t at) {
  Timer* moved = heap_[at];
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->scheduled_ < heap_[child]->scheduled_)
      ++child;
    if (moved->scheduled_ <= heap_[child]->scheduled_) break;
    heap_[at] = heap_[child];
    heap_[at]->heap_at_ = at;
    at = child;
  }
  heap_[at] = moved;
  moved->heap_at_ = at;
}

void EventLoop::HeapPush(Timer* timer) {
  heap_.push_back(timer);
  HeapUp(heap_.size() - 1);
}

void EventLoop::HeapRemove(Timer* timer) {
  const std::size_t at = timer->heap_at_;
  SLUICE_CHECK(at < heap_.size() && heap_[at] == timer);
  timer->heap_at_ = Timer::kNotInHeap;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  heap_[at] = last;
  last->heap_at_ = at;
  HeapUp(at);
  HeapDown(last->heap_at_);
}

Timer::~Timer() {
  Cancel();
  if (loop_.firing_ == this) *loop_.dying_marker_ = true;
}

void Timer::ArmAt(base::MonoTime deadline) {
  SLUICE_CHECK(loop_.InLoop());
  deadline_ = deadline;
  armed_ = true;
  if (heap_at_ != kNotInHeap) {
    if (scheduled_ <= deadline) return;
    loop_.HeapRemove(this);
  }
  scheduled_ = deadline;
  loop_.HeapPush(this);
}

void Timer::Cancel() {
  armed_ = false;
  if (heap_at_ != kNotInHeap) loop_.HeapRemove(this);
}

}  // namespace sluice::net
