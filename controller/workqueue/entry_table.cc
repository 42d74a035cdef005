#include "controller/workqueue/entry_table.h"

#include <utility>

#include "controller/base/check.h"
#include "controller/workqueue/limits.h"

namespace sluice::workqueue {
namespace {

constexpr std::size_t kFirstBuckets = 16;

void DeleteChain(Entry* entry) {
  while (entry != nullptr) delete std::exchange(entry, entry->chain);
}

}  // namespace

void EntryList::PushBack(Entry& entry) {
  SLUICE_CHECK(entry.list == nullptr);
  entry.list = this;
  entry.previous = tail;
  entry.next = nullptr;
  (tail != nullptr ? tail->next : head) = &entry;
  tail = &entry;
  ++size;
}

void EntryList::Remove(Entry& entry) {
  SLUICE_CHECK(entry.list == this);
  (entry.previous != nullptr ? entry.previous->next : head) = entry.next;
  (entry.next != nullptr ? entry.next->previous : tail) = entry.previous;
  entry.list = nullptr;
  --size;
}

EntryTable::EntryTable() : buckets_(kFirstBuckets) {}

EntryTable::~EntryTable() {
  for (Entry* first : buckets_) DeleteChain(first);
  DeleteChain(spare_);
}

Entry* EntryTable::Find(const meta::Key& key, std::size_t hash) const {
  Entry* entry = buckets_[hash & (buckets_.size() - 1)];
  while (entry != nullptr && (entry->hash != hash || entry->key != key)) entry = entry->chain;
  return entry;
}

Entry* EntryTable::FindOrMake(const meta::Key& key, std::size_t most) {
  const std::size_t hash = meta::KeyHash()(key);
  if (Entry* found = Find(key, hash)) return found;
  if (size_ >= most) return nullptr;
  if (size_ == buckets_.size()) Grow();
  Entry* made = spare_;
  if (made == nullptr) {
    made = new Entry;
  } else {
    spare_ = made->chain;
    --spares_;
  }
  made->key = key;
  made->hash = hash;
  made->chain = std::exchange(Bucket(hash), made);
  ++size_;
  return made;
}

void EntryTable::Erase(Entry& entry) {
  SLUICE_CHECK(entry.list == nullptr && !entry.running && !entry.due.has_value());
  Entry** link = &Bucket(entry.hash);
  while (*link != &entry) link = &(*link)->chain;
  *link = entry.chain;
  --size_;
  if (spares_ == kSpareEntries) {
    delete &entry;
    return;
  }
  // All that a new entry must not find; the key is replaced, in the memory it has.
  entry.failures = 0;
  entry.again = false;
  entry.chain = std::exchange(spare_, &entry);
  ++spares_;
}

void EntryTable::Grow() {
  const std::vector<Entry*> old = std::exchange(buckets_, {});
  buckets_.resize(old.size() * 2);
  for (Entry* entry : old) {
    while (entry != nullptr) {
      Entry* const next = entry->chain;
      entry->chain = std::exchange(Bucket(entry->hash), entry);
      entry = next;
    }
  }
}

}  // namespace sluice::workqueue
