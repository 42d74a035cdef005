#include "controller/base/growing_threads.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "controller/base/check.h"
#include "controller/base/log.h"

namespace sluice::base {

void GrowingThreads::Start(int least, int most, Body body) {
  SLUICE_CHECK(least >= 1 && least <= most);
  const std::lock_guard lock(mutex_);
  SLUICE_CHECK(threads_.empty() && !joining_);
  least_ = least;
  most_ = most;
  body_ = std::move(body);
  for (int i = 0; i < least; ++i) Spawn();
}

// mutex_ is held: the new thread's first TookWork waits for it.
void GrowingThreads::Spawn() {
  Self& self = threads_.emplace_back();
  self.thread = std::thread([this, &self] { body_(self); });
  ++free_;
}

void GrowingThreads::TookWork() {
  if (least_ == most_) return;
  const std::lock_guard lock(mutex_);
  if (--free_ > 0 || joining_) return;
  for (auto thread = threads_.begin(); thread != threads_.end();) {
    if (thread->ended) thread->thread.join();  // it is about to return
    thread = thread->ended ? threads_.erase(thread) : std::next(thread);
  }
  if (threads_.size() >= static_cast<std::size_t>(most_)) return;
  try {
    Spawn();
  } catch (const std::system_error& error) {
    threads_.pop_back();
    log::Error("no further thread could be started", {{"error", error.what()}});
  }
}

bool GrowingThreads::StaysFree(Self& self) {
  if (least_ == most_) return true;
  const std::lock_guard lock(mutex_);
  self.ended = free_ >= least_;
  if (!self.ended) ++free_;
  return !self.ended;
}

bool GrowingThreads::Join() {
  {
    const std::lock_guard lock(mutex_);
    if (joining_ || threads_.empty()) return false;
    joining_ = true;  // from here on nobody else changes the list
  }
  for (Self& self : threads_) self.thread.join();
  const std::lock_guard lock(mutex_);
  threads_.clear();
  return true;
}

int GrowingThreads::count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(threads_.begin(), threads_.end(),
                                        [](const Self& self) { return !self.ended; }));
}

}  // namespace sluice::base
