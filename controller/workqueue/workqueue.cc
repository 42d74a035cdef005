#include "controller/workqueue/workqueue.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "controller/base/check.h"

namespace sluice::workqueue {

using base::Duration;
using base::MonoTime;

namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::vector<double> DurationBounds() { return base::metrics::ExponentialBounds(10e-9, 10, 12); }

}  // namespace

Workqueue::Workqueue(Options options, base::Clock& clock, base::metrics::Registry& registry)
    : options_(std::move(options)),
      clock_(clock),
      random_((options_.seed != 0 ? options_.seed : std::random_device()()) *
                  0x9E3779B97F4A7C15ull |
              1),
      registry_(registry),
      depth_normal_(registry.GetGauge(
          "workqueue_depth", "Current depth of workqueue",
          {{"controller", options_.name}, {"name", options_.name}, {"priority", "0"}})),
      depth_low_(registry.GetGauge(
          "workqueue_depth", "Current depth of workqueue",
          {{"controller", options_.name}, {"name", options_.name}, {"priority", "-100"}})),
      adds_(registry.GetCounter("workqueue_adds_total", "Total number of adds handled by workqueue",
                                {{"controller", options_.name}, {"name", options_.name}})),
      retries_(registry.GetCounter("workqueue_retries_total",
                                   "Total number of retries handled by workqueue",
                                   {{"controller", options_.name}, {"name", options_.name}})),
      refusals_(registry.GetCounter("workqueue_refused_total",
                                    "Adds refused because the queue was full",
                                    {{"controller", options_.name}, {"name", options_.name}})),
      queue_seconds_(registry.GetHistogram(
          "workqueue_queue_duration_seconds",
          "How long in seconds an item stays in workqueue before being requested", DurationBounds(),
          {{"controller", options_.name}, {"name", options_.name}})),
      work_seconds_(registry.GetHistogram(
          "workqueue_work_duration_seconds",
          "How long in seconds processing an item from workqueue takes.", DurationBounds(),
          {{"controller", options_.name}, {"name", options_.name}})) {
  const base::metrics::Labels labels = {{"controller", options_.name}, {"name", options_.name}};
  registry.AddGauge("workqueue_unfinished_work_seconds",
                    "How many seconds of work has been done that is in progress and hasn't been "
                    "observed by work_duration. Large values indicate stuck threads.",
                    labels, [this] { return UnfinishedSeconds(false); });
  registry.AddGauge("workqueue_longest_running_processor_seconds",
                    "How many seconds has the longest running processor for workqueue been "
                    "running.",
                    labels, [this] { return UnfinishedSeconds(true); });
}

Workqueue::~Workqueue() {
  registry_.RemoveSeries("workqueue_unfinished_work_seconds", "name", options_.name);
  registry_.RemoveSeries("workqueue_longest_running_processor_seconds", "name", options_.name);
}

Entry* Workqueue::FindOrMake(const meta::Key& key) {
  Entry* entry = entries_.FindOrMake(key, options_.max_keys);
  if (entry == nullptr) {
    ++refused_;
    refusals_.Add();
  }
  return entry;
}

void Workqueue::SetDepth() {
  waiting_.store(normal_.size + low_.size, std::memory_order_relaxed);
  depth_normal_.Set(static_cast<double>(normal_.size + again_normal_));
  depth_low_.Set(static_cast<double>(low_.size + again_low_));
}

bool Workqueue::Enqueue(Entry& entry, Priority priority, MonoTime now) {
  if (entry.running) {
    if (!std::exchange(entry.again, true)) {
      adds_.Add();
      entry.again_since = now;
      entry.again_priority = priority;
      ++AgainOf(priority);
    } else if (priority < entry.again_priority) {
      --AgainOf(std::exchange(entry.again_priority, priority));
      ++AgainOf(priority);
    }
    return false;
  }
  EntryList& wanted = priority == Priority::kNormal ? normal_ : low_;
  if (entry.list == &low_ && priority == Priority::kNormal) {
    low_.Remove(entry);
    wanted.PushBack(entry);
    return false;
  }
  if (entry.list != nullptr) return false;
  adds_.Add();
  entry.since = now;
  wanted.PushBack(entry);
  return true;
}

// Workers are woken when the lock is free again: they would wake only to wait for it.
bool Workqueue::Add(const meta::Key& key, Priority priority) {
  const MonoTime now = clock_.Mono();
  std::condition_variable* wake = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    Entry* entry = FindOrMake(key);
    if (entry == nullptr) return false;
    if (Enqueue(*entry, priority, now)) wake = SleeperFor();
    SetDepth();
  }
  if (wake != nullptr) wake->notify_one();
  return true;
}

bool Workqueue::AddMany(std::span<const meta::Key> keys, Priority priority) {
  const MonoTime now = clock_.Mono();
  bool all = true;
  for (std::size_t begin = 0; begin < keys.size(); begin += kAddSlice) {
    const std::size_t end = std::min(keys.size(), begin + kAddSlice);
    std::unique_lock lock(mutex_);
    if (stopping_) return false;
    bool more = false;
    for (std::size_t i = begin; i < end; ++i) {
      Entry* entry = FindOrMake(keys[i]);
      all = all && entry != nullptr;
      more = (entry != nullptr && Enqueue(*entry, priority, now)) || more;
    }
    SetDepth();
    more = more && (sleepers_ > 0 || has_keeper_);
    lock.unlock();
    if (more) wake_.notify_all();
    if (more) due_wake_.notify_one();
  }
  return all;
}

void Workqueue::Undelay(Entry& entry) {
  if (!entry.due.has_value()) return;
  delayed_.erase({*entry.due, &entry});
  entry.due.reset();
}

bool Workqueue::AddAt(const meta::Key& key, MonoTime due, Priority priority) {
  if (stopping_) return false;
  Entry* entry = FindOrMake(key);
  if (entry == nullptr) return false;
  if (entry->due.has_value() && *entry->due <= due) {
    entry->delayed_priority = std::min(entry->delayed_priority, priority);
    return true;
  }
  entry->delayed_priority =
      entry->due.has_value() ? std::min(entry->delayed_priority, priority) : priority;
  Undelay(*entry);
  entry->due = due;
  delayed_.emplace(due, entry);
  // The keeper waits for what was the first due time. There is none when it left with no key
  // delayed: one of the others takes its place.
  if (delayed_.begin()->second == entry) (has_keeper_ ? due_wake_ : wake_).notify_one();
  return true;
}

bool Workqueue::AddAfter(const meta::Key& key, Duration wait, Priority priority) {
  if (wait <= Duration::zero()) return Add(key, priority);
  const MonoTime due = clock_.Mono() + wait;
  const std::lock_guard lock(mutex_);
  if (!AddAt(key, due, priority)) return false;
  retries_.Add();
  return true;
}

Duration Workqueue::NextBackoff(int failures) {
  const double base = Seconds(options_.base_backoff);
  const double wait = std::min(Seconds(options_.max_backoff), base * std::exp2(failures));
  // xorshift64: jitter needs spread, not secrecy.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const double unit = static_cast<double>(random_ >> 11) * 0x1.0p-53;  // [0, 1)
  const double moved = wait * (1 + options_.jitter * (2 * unit - 1));
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(moved));
}

bool Workqueue::AddRateLimited(const meta::Key& key, Priority priority, Duration at_least) {
  const MonoTime now = clock_.Mono();
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  Entry* entry = FindOrMake(key);
  if (entry == nullptr) return false;
  retries_.Add();
  const Duration wait = std::max(at_least, NextBackoff(std::min(entry->failures, 40)));
  ++entry->failures;
  return AddAt(key, now + wait, priority);
}

int Workqueue::Failures(const meta::Key& key) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = entries_.Find(key);
  return entry == nullptr ? 0 : entry->failures;
}

// Whoever asks takes one of them itself.
void Workqueue::PromoteDue(MonoTime now) {
  bool own = true;
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    Entry& entry = *delayed_.begin()->second;
    Undelay(entry);
    if (Enqueue(entry, entry.delayed_priority, now) && !std::exchange(own, false)) {
      if (auto* const wake = SleeperFor()) wake->notify_one();
    }
    SetDepth();
  }
}

// Each key that waits has woken somebody who has yet to take it, so the keeper is the one for those
// beyond the number of the others.
std::condition_variable* Workqueue::SleeperFor() {
  if (normal_.size + low_.size <= sleepers_) return &wake_;
  return has_keeper_ ? &due_wake_ : nullptr;
}

void Workqueue::Sleep(std::unique_lock<std::mutex>& lock) {
  const auto called = [this] { return stopping_ || normal_.size > 0 || low_.size > 0; };
  const MonoTime no_time = clock_.Mono() + std::chrono::hours(1);
  if (has_keeper_) {
    ++sleepers_;
    clock_.WaitUntil(lock, wake_, no_time, [&] { return !has_keeper_ || called(); });
    --sleepers_;
    return;
  }
  has_keeper_ = true;
  const MonoTime due = delayed_.empty() ? no_time : delayed_.begin()->first;
  clock_.WaitUntil(lock, due_wake_, due, [&] {
    return called() || (!delayed_.empty() && delayed_.begin()->first < due);
  });
  has_keeper_ = false;
}

Entry* Workqueue::Next() {
  const bool lows_turn = low_.size > 0 && normal_streak_ >= kLowPriorityShare - 1;
  EntryList& from = normal_.size > 0 && !lows_turn ? normal_ : low_;
  if (from.head == nullptr) return nullptr;
  normal_streak_ = &from == &normal_ && low_.size > 0 ? normal_streak_ + 1 : 0;
  return from.head;
}

Item Workqueue::HandOut(Entry& entry, MonoTime now) {
  const Item item(entry, entry.list == &low_ ? Priority::kLow : Priority::kNormal);
  queue_seconds_.Observe(Seconds(now - entry.since));
  entry.list->Remove(entry);
  Undelay(entry);
  entry.running = true;
  entry.since = now;
  running_.PushBack(entry);
  SetDepth();
  // Invariant 8, and a key beside which this one was due at the same time.
  const bool more = !delayed_.empty() || normal_.size + low_.size > 0;
  if (!has_keeper_ && sleepers_ > 0 && more) wake_.notify_one();
  return item;
}

std::optional<Item> Workqueue::TryGet() {
  const MonoTime now = clock_.Mono();
  const std::lock_guard lock(mutex_);
  if (stopped_now_) return std::nullopt;
  PromoteDue(now);
  Entry* entry = Next();
  if (entry == nullptr) return std::nullopt;
  return HandOut(*entry, now);
}

std::optional<Item> Workqueue::Get() {
  MonoTime now = clock_.Mono();
  std::unique_lock lock(mutex_);
  while (!stopped_now_) {
    PromoteDue(now);
    if (Entry* const entry = Next()) return HandOut(*entry, now);
    if (stopping_) return std::nullopt;
    Sleep(lock);
    now = clock_.Mono();
  }
  return std::nullopt;
}

Duration Workqueue::Done(const Item& item, Backoff backoff) {
  const MonoTime now = clock_.Mono();
  std::unique_lock lock(mutex_);
  Entry& entry = *item.entry_;
  SLUICE_CHECK(entry.running);
  const Duration took = now - entry.since;
  work_seconds_.Observe(Seconds(took));
  running_.Remove(entry);
  entry.running = false;
  if (backoff == Backoff::kStartsOver) entry.failures = 0;
  if (!entry.again) {
    if (!entry.due.has_value() && entry.failures == 0) entries_.Erase(entry);
    return took;
  }
  entry.again = false;
  --AgainOf(entry.again_priority);
  EntryList& list = entry.again_priority == Priority::kNormal ? normal_ : low_;
  entry.since = entry.again_since;
  list.PushBack(entry);
  SetDepth();
  std::condition_variable* const wake = SleeperFor();
  lock.unlock();
  if (wake != nullptr) wake->notify_one();
  return took;
}

void Workqueue::ShutDown() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  due_wake_.notify_all();
}

void Workqueue::ShutDownNow() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  stopped_now_ = true;
  wake_.notify_all();
  due_wake_.notify_all();
}

double Workqueue::UnfinishedSeconds(bool longest) const {
  const MonoTime now = clock_.Mono();
  const std::lock_guard lock(mutex_);
  double total = 0;
  double most = 0;
  for (const Entry* entry = running_.head; entry != nullptr; entry = entry->next) {
    const double seconds = Seconds(now - entry->since);
    total += seconds;
    most = std::max(most, seconds);
  }
  return longest ? most : total;
}

Snapshot Workqueue::Look(std::size_t max_entries) const {
  const MonoTime now = clock_.Mono();
  const std::lock_guard lock(mutex_);
  Snapshot out;
  out.waiting = normal_.size + low_.size;
  out.running = running_.size;
  out.delayed = delayed_.size();
  const auto add = [&](const Entry& entry, const char* state, double seconds) {
    if (out.entries.size() >= max_entries) return false;
    out.entries.push_back({entry.key.ToString(), state, seconds, entry.failures});
    return true;
  };
  const std::pair<const EntryList*, const char*> lists[] = {
      {&running_, "running"}, {&normal_, "waiting"}, {&low_, "low"}};
  for (const auto& [list, state] : lists) {
    for (const Entry* entry = list->head; entry != nullptr; entry = entry->next) {
      if (!add(*entry, state, Seconds(now - entry->since))) break;
    }
  }
  for (const auto& [due, entry] : delayed_) {
    if (!add(*entry, "delayed", Seconds(due - now))) break;
  }
  return out;
}

}  // namespace sluice::workqueue
