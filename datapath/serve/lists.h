// Answers to ListObjects, kept for the metadata TTL. Keyed by mount and never shared between
// mounts; all of a mount's are forgotten when something is written through it.
//
// Bounded by limits.h and by the memory pool, whose buffers' share they are taken from; the oldest
// go first. Thread rule: any thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "controller/base/clock.h"
#include "datapath/serve/directory.h"
#include "datapath/store/memory_pool.h"

namespace sluice::serve {

class ListCache {
 public:
  explicit ListCache(store::MemoryPool& pool) : pool_(pool) {}
  ~ListCache();
  ListCache(const ListCache&) = delete;
  ListCache& operator=(const ListCache&) = delete;

  struct Entry {
    std::string xml;
    base::MonoTime made_at;
  };
  using EntryPtr = std::shared_ptr<const Entry>;

  // `question`: the client's parameters, in one canonical form. Null: nothing kept.
  EntryPtr Get(const MountEntry& mount, const std::string& question);
  // A list read from the origin while something was written must not be kept: `generation` is what
  // Generation() said before it was asked for.
  void Put(const MountEntry& mount, const std::string& question, std::uint64_t generation,
           EntryPtr entry);
  std::uint64_t Generation(const MountEntry& mount);
  void ForgetMount(const MountEntry& mount);

 private:
  struct Kept {
    EntryPtr entry;
    std::uint64_t generation = 0;
  };
  static std::string PlaceOf(const MountEntry& mount);
  void DropOldest();  // mutex held
  void Drop(const std::string& key);

  store::MemoryPool& pool_;
  std::mutex mutex_;
  // Guarded by mutex_:
  std::unordered_map<std::string, Kept> entries_;
  std::deque<std::string> order_;
  std::unordered_map<std::string, std::uint64_t> generations_;  // bounded by configuration
};

}  // namespace sluice::serve
