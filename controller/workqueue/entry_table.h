// What the queue knows of its keys: found by key, linked into lists, and used again.
//
// A key enters the queue and leaves it with every look at its object, thousands of times a second
// after a relist. So an entry is found by one hash, leaves without any, stays where it is (whoever
// has a key in hand points to it), and its memory waits for the next key instead of going back to
// the allocator. Values of the queue alone. Thread rule: the queue's lock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "controller/base/clock.h"
#include "controller/meta/resource.h"

namespace sluice::workqueue {

enum class Priority : std::uint8_t { kNormal, kLow };

struct Entry;

// First in, first out, linked through the entries themselves.
struct EntryList {
  Entry* head = nullptr;
  Entry* tail = nullptr;
  std::size_t size = 0;

  void PushBack(Entry& entry);
  void Remove(Entry& entry);
};

struct Entry {
  meta::Key key;  // does not change while the entry is in the table
  std::size_t hash = 0;
  Entry* chain = nullptr;  // the next one in its bucket, or of the spare ones
  Entry* previous = nullptr;
  Entry* next = nullptr;
  EntryList* list = nullptr;  // waiting or running; at most one
  std::optional<base::MonoTime> due;
  base::MonoTime since{};        // start of waiting or of running
  base::MonoTime again_since{};  // when it was added while running
  int failures = 0;
  bool running = false;
  bool again = false;  // added while running
  Priority again_priority = Priority::kLow;
  Priority delayed_priority = Priority::kLow;
};

class EntryTable {
 public:
  EntryTable();
  ~EntryTable();
  EntryTable(const EntryTable&) = delete;
  EntryTable& operator=(const EntryTable&) = delete;

  Entry* Find(const meta::Key& key) const { return Find(key, meta::KeyHash()(key)); }
  // Made when it is not there; nullptr when there are `most` others already.
  Entry* FindOrMake(const meta::Key& key, std::size_t most);
  void Erase(Entry& entry);
  std::size_t size() const { return size_; }
  std::size_t spares() const { return spares_; }

 private:
  Entry*& Bucket(std::size_t hash) { return buckets_[hash & (buckets_.size() - 1)]; }
  Entry* Find(const meta::Key& key, std::size_t hash) const;
  void Grow();

  std::vector<Entry*> buckets_;  // as many as a power of two
  std::size_t size_ = 0;
  Entry* spare_ = nullptr;
  std::size_t spares_ = 0;
};

}  // namespace sluice::workqueue
