#include "datapath/serve/lists.h"

#include "datapath/serve/limits.h"

namespace sluice::serve {

ListCache::~ListCache() {
  std::lock_guard lock(mutex_);
  while (!order_.empty()) DropOldest();
}

std::string ListCache::PlaceOf(const MountEntry& mount) {
  std::string place = mount.bucket;
  place += '/';
  place += mount.key_prefix;
  return place;
}

void ListCache::Drop(const std::string& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  pool_.Release(store::MemoryPool::Use::kBuffer, found->second.entry->xml.size());
  entries_.erase(found);
}

void ListCache::DropOldest() {
  const std::string key = std::move(order_.front());
  order_.pop_front();
  Drop(key);
}

std::uint64_t ListCache::Generation(const MountEntry& mount) {
  std::lock_guard lock(mutex_);
  return generations_[PlaceOf(mount)];
}

void ListCache::ForgetMount(const MountEntry& mount) {
  std::lock_guard lock(mutex_);
  ++generations_[PlaceOf(mount)];
}

ListCache::EntryPtr ListCache::Get(const MountEntry& mount, const std::string& question) {
  const std::string place = PlaceOf(mount);
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(place + '\0' + question);
  if (found == entries_.end() || found->second.generation != generations_[place]) return nullptr;
  return found->second.entry;
}

void ListCache::Put(const MountEntry& mount, const std::string& question, std::uint64_t generation,
                    EntryPtr entry) {
  if (entry->xml.size() > kMaxListBytes) return;
  const std::string place = PlaceOf(mount);
  std::lock_guard lock(mutex_);
  if (generations_[place] != generation) return;
  const std::string key = place + '\0' + question;
  const bool known = entries_.contains(key);
  Drop(key);
  while (!order_.empty() && entries_.size() >= kMaxListEntries) DropOldest();
  while (!pool_.TryReserve(store::MemoryPool::Use::kBuffer, entry->xml.size())) {
    if (order_.empty()) return;
    DropOldest();
  }
  entries_[key] = {std::move(entry), generation};
  if (!known) order_.push_back(key);
}

}  // namespace sluice::serve
