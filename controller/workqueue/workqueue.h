// The queue between watches and workers: which object to look at next.
//
// Invariants
//  1. A key waits at most once, however often it is added.
//  2. A key is with at most one worker; added meanwhile, it waits once more after Done.
//  3. Handing a key out covers everything asked for it so far, a delayed add too: the run that
//     follows reads the whole world and says anew when to look again.
//  4. kLow (start-up, relist) yields to kNormal, but of every kLowPriorityShare keys one is low as
//     long as one waits. A normal add of a key that waits as low moves it up.
//  5. Back-off is per key: base * 2^failures with jitter, at most the longest wait, until Forget.
//  6. At most max_keys keys are known at a time.
//  7. Many keys added at once wake the workers only when a whole slice of them waits: on one core a
//     worker woken for the first key would take turns with the adding thread, key by key.
//  8. While anybody sleeps and a key is delayed, one sleeper, the keeper, wakes when the first of
//     them is due. Adds wake the others first, so that the keeper seldom changes; one that leaves
//     with a key has another take its place. Nobody sleeps beside a key that waits for nobody: who
//     leaves without a keeper wakes another for it.
//
// Idea and metric names from client-go util/workqueue; own implementation: one lock, one table of
// entries that are linked into the lists (entry_table.h). An add costs one look-up; handing out and
// giving back cost none, because an Item points to its entry.
//
// Thread rule: any thread. Stop: ShutDown() (Get gives what still waits, then nullopt) or
// ShutDownNow() (Get gives nullopt at once). The queue must outlive its workers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/meta/resource.h"
#include "controller/workqueue/entry_table.h"
#include "controller/workqueue/limits.h"

namespace sluice::workqueue {

struct Options {
  std::string name;  // label of its metrics
  base::Duration base_backoff = kBaseBackoff;
  base::Duration max_backoff = kMaxBackoff;
  double jitter = kBackoffJitter;  // waits are moved by up to this share, either way
  std::size_t max_keys = kMaxKeys;
  std::uint64_t seed =
      0;  // of the jitter; 0: one of its own, so that replicas do not retry in step
};

// A key handed out. Valid, as its key, until it is given back by Done.
class Item {
 public:
  const meta::Key& key() const { return entry_->key; }
  Priority priority() const { return priority_; }

 private:
  friend class Workqueue;
  Item(Entry& entry, Priority priority) : entry_(&entry), priority_(priority) {}
  Entry* entry_;
  Priority priority_;
};

// What becomes of a key's back-off when it is given back.
enum class Backoff : std::uint8_t { kStays, kStartsOver };

// What /debug shows.
struct Snapshot {
  struct Entry {
    std::string key;
    std::string state;   // "waiting", "low", "running", "delayed"
    double seconds = 0;  // in that state; until due when delayed
    int failures = 0;
  };
  std::size_t waiting = 0, running = 0, delayed = 0;
  std::vector<Entry> entries;  // the first ones, bounded by the caller
};

class Workqueue {
 public:
  Workqueue(Options options, base::Clock& clock, base::metrics::Registry& registry);
  ~Workqueue();
  Workqueue(const Workqueue&) = delete;
  Workqueue& operator=(const Workqueue&) = delete;

  // False only when the queue is full or shut down; the caller has to look at everything later.
  bool Add(const meta::Key& key, Priority priority = Priority::kNormal);
  // The same for many, in their order; false when any was refused.
  bool AddMany(std::span<const meta::Key> keys, Priority priority = Priority::kNormal);
  // Adds after `wait`, which counts as a retry; an earlier due time of the same key stays.
  bool AddAfter(const meta::Key& key, base::Duration wait, Priority priority = Priority::kNormal);
  // Adds after the key's back-off, but not before `at_least`.
  bool AddRateLimited(const meta::Key& key, Priority priority = Priority::kNormal,
                      base::Duration at_least = {});
  int Failures(const meta::Key& key) const;

  // Blocks for the next key; nullopt when shut down. Each key must be given back by Done, once.
  std::optional<Item> Get();
  // As Get, without waiting.
  std::optional<Item> TryGet();
  // Returns for how long the key was handed out.
  base::Duration Done(const Item& item, Backoff backoff = Backoff::kStays);

  void ShutDown();
  void ShutDownNow();

  // Both without the lock: workers ask after every key.
  std::size_t depth() const { return waiting_; }  // now, delayed ones apart
  std::uint64_t refused() const { return refused_; }
  Snapshot Look(std::size_t max_entries) const;

 private:
  Entry* FindOrMake(const meta::Key& key);
  // True when one more key waits now; whoever calls wakes a worker for it.
  bool Enqueue(Entry& entry, Priority priority, base::MonoTime now);
  bool AddAt(const meta::Key& key, base::MonoTime due, Priority priority);
  void Undelay(Entry& entry);
  void PromoteDue(base::MonoTime now);
  // Whom a key that waits as the last of all wakes; nullptr: nobody sleeps.
  std::condition_variable* SleeperFor();
  // Until a key waits or is due, or the keeper's place is free.
  void Sleep(std::unique_lock<std::mutex>& lock);
  Entry* Next();
  Item HandOut(Entry& entry, base::MonoTime now);
  std::size_t& AgainOf(Priority priority) {
    return priority == Priority::kNormal ? again_normal_ : again_low_;
  }
  base::Duration NextBackoff(int failures);
  void SetDepth();
  double UnfinishedSeconds(bool longest) const;

  const Options options_;
  base::Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;      // of sleepers
  std::condition_variable due_wake_;  // of the keeper
  // Guarded by mutex_:
  EntryTable entries_;
  EntryList normal_, low_, running_;
  std::set<std::pair<base::MonoTime, Entry*>> delayed_;
  std::size_t again_normal_ = 0, again_low_ = 0;  // added while they run
  int normal_streak_ = 0;
  std::size_t sleepers_ = 0;  // the keeper apart
  bool has_keeper_ = false;
  std::uint64_t random_;
  bool stopping_ = false;
  bool stopped_now_ = false;
  // Written under mutex_, read by anyone:
  std::atomic<std::size_t> waiting_{0};
  std::atomic<std::uint64_t> refused_{0};

  base::metrics::Registry& registry_;
  base::metrics::Gauge& depth_normal_;
  base::metrics::Gauge& depth_low_;
  base::metrics::Counter& adds_;
  base::metrics::Counter& retries_;
  base::metrics::Counter& refusals_;
  base::metrics::Histogram& queue_seconds_;
  base::metrics::Histogram& work_seconds_;
};

}  // namespace sluice::workqueue
