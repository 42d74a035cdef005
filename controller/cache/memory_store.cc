#include "controller/cache/memory_store.h"

#include <algorithm>
#include <mutex>

#include "controller/cache/limits.h"
#include "controller/cache/resource_version.h"

namespace sluice::cache {

using meta::ObjectPtr;

bool MemoryStore::KeyLess::operator()(const ObjectPtr& a, const ObjectPtr& b) const {
  const int ns = a->ns().compare(b->ns());
  return ns != 0 ? ns < 0 : a->name() < b->name();
}

bool MemoryStore::synced() const {
  std::shared_lock lock(mutex_);
  return synced_;
}

ObjectPtr MemoryStore::Get(const meta::Key& key) const {
  std::shared_lock lock(mutex_);
  const auto found = entries_.find(ViewOf(key));
  return found == entries_.end() ? nullptr : found->object;
}

std::vector<ObjectPtr> MemoryStore::Unsorted() const {
  std::vector<ObjectPtr> out;
  std::shared_lock lock(mutex_);
  out.reserve(entries_.size());
  for (const Entry& entry : entries_) out.push_back(entry.object);
  return out;
}

std::vector<ObjectPtr> MemoryStore::List() const {
  std::vector<ObjectPtr> out = Unsorted();
  std::sort(out.begin(), out.end(), KeyLess());
  return out;
}

std::vector<meta::Key> MemoryStore::Keys() const {
  std::vector<meta::Key> out;
  std::shared_lock lock(mutex_);
  out.reserve(entries_.size());
  for (const Entry& entry : entries_) out.push_back(entry.object->key());
  return out;
}

std::vector<ObjectPtr> MemoryStore::ByIndex(std::string_view index, std::string_view value) const {
  std::shared_lock lock(mutex_);
  const auto found = indexes_.find(index);
  SLUICE_CHECK(found != indexes_.end());  // asked for an index nobody added
  const auto bucket = found->second.values.find(std::string(value));
  if (bucket == found->second.values.end()) return {};
  return {bucket->second.begin(), bucket->second.end()};
}

std::size_t MemoryStore::size() const {
  std::shared_lock lock(mutex_);
  return entries_.size();
}

std::size_t MemoryStore::MemoryBytes() const {
  constexpr std::size_t kNodeBytes = 48 + sizeof(void*);  // and its bucket
  std::shared_lock lock(mutex_);
  std::size_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.object->memory_bytes() + kNodeBytes;
  return bytes;
}

void MemoryStore::AddIndex(std::string name, IndexFunction function) {
  std::unique_lock lock(mutex_);
  Index& index = indexes_[name];
  index = {std::move(function), {}};
  for (const Entry& entry : entries_) {
    for (std::string& value : ValuesOf(name, index, *entry.object)) {
      index.values[std::move(value)].insert(entry.object);
    }
  }
}

// None for one whose function throws: it is pure, so it does again when the object goes.
std::vector<std::string> MemoryStore::ValuesOf(const std::string& name, const Index& index,
                                               const meta::Object& object) {
  std::vector<std::string> values;
  guard_.Call("index " + name, &object, [&] { values = index.function(object); });
  return values;
}

void MemoryStore::IndexObject(const ObjectPtr& object) {
  for (auto& [name, index] : indexes_) {
    for (std::string& value : ValuesOf(name, index, *object)) {
      index.values[std::move(value)].insert(object);
    }
  }
}

void MemoryStore::UnindexObject(const ObjectPtr& object) {
  for (auto& [name, index] : indexes_) {
    for (const std::string& value : ValuesOf(name, index, *object)) {
      const auto bucket = index.values.find(value);
      if (bucket == index.values.end()) continue;
      bucket->second.erase(object);
      if (bucket->second.empty()) index.values.erase(bucket);
    }
  }
}

void MemoryStore::UseComparableVersions() {
  std::unique_lock lock(mutex_);
  comparable_ = true;
  recent_.clear();
}

void MemoryStore::BeginState() {
  std::unique_lock lock(mutex_);
  reading_ = true;
  withheld_.clear();
  ++state_;
}

bool MemoryStore::IsOlder(const meta::Object& object, const meta::Object& stored) const {
  return comparable_ && !VersionAtLeast(object.resource_version(), stored.resource_version());
}

// Of an object that is not here: all that there was at version_ is, so what is as old was deleted
// since.
bool MemoryStore::WasGone(const meta::Object& object) const {
  return comparable_ && synced_ && reading_ && VersionAtLeast(version_, object.resource_version());
}

std::optional<Event> MemoryStore::Put(ObjectPtr object) {
  std::unique_lock lock(mutex_);
  Seen(*object, false);
  const auto found = entries_.find(KeyView{object->ns(), object->name()});
  const bool held = found != entries_.end();
  if (held) found->state = state_;
  if (held ? IsOlder(*object, *found->object) : WasGone(*object)) {
    if (reading_) withheld_.insert_or_assign(object->key(), std::move(object));
    return std::nullopt;
  }
  // A stream may go on to a later state of what it showed first.
  if (!withheld_.empty()) withheld_.erase(object->key());
  return Change(found, std::move(object));
}

std::optional<Event> MemoryStore::Change(Entries::iterator found, ObjectPtr object) {
  if (found == entries_.end()) {
    entries_.insert(Entry{object, state_});
    IndexObject(object);
    return Event{nullptr, std::move(object), reading_};
  }
  const ObjectPtr before = found->object;
  const bool same =
      before->uid() == object->uid() && before->resource_version() == object->resource_version();
  if (same) return std::nullopt;
  UnindexObject(before);
  found->object = object;
  IndexObject(object);
  return Event{before, std::move(object), reading_};
}

std::optional<Event> MemoryStore::Remove(const ObjectPtr& last) {
  std::unique_lock lock(mutex_);
  Seen(*last, true);
  if (!withheld_.empty()) withheld_.erase(last->key());
  const auto found = entries_.find(KeyView{last->ns(), last->name()});
  if (found == entries_.end()) return std::nullopt;
  if (IsOlder(*last, *found->object)) {
    if (reading_) found->state = state_ - 1;  // not in the state that is read: its end decides
    return std::nullopt;
  }
  UnindexObject(found->object);
  entries_.erase(found);
  return Event{last, nullptr, false};
}

bool MemoryStore::LagsBehind(std::string_view version) const {
  std::shared_lock lock(mutex_);
  if (!comparable_ || !synced_) return false;
  const auto order = CompareVersions(version, newest_);
  return order.has_value() && *order < 0;
}

std::vector<Event> MemoryStore::EndState(std::string_view version) {
  std::unique_lock lock(mutex_);
  std::vector<Event> changes;
  for (auto& [key, object] : withheld_) {
    auto change = Change(entries_.find(ViewOf(key)), std::move(object));
    if (change) changes.push_back(*std::move(change));
  }
  withheld_.clear();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->state == state_) {
      ++entry;
      continue;
    }
    changes.push_back({entry->object, nullptr, true});
    UnindexObject(entry->object);
    entry = entries_.erase(entry);
  }
  // A consistent list shows every write that was answered before it began; where versions compare,
  // one that lags behind is told apart.
  std::erase_if(expectations_, [&](const auto& e) {
    return comparable_ ? VersionAtLeast(version, e.second.version) : e.second.state < state_;
  });
  expecting_ = !expectations_.empty();
  reading_ = false;
  synced_ = true;
  version_ = newest_ = version;
  return changes;
}

void MemoryStore::OnVersion(std::string_view version) {
  std::unique_lock lock(mutex_);
  version_ = version;
  Heard(version);
}

void MemoryStore::Heard(std::string_view version) {
  if (!VersionAtLeast(newest_, version)) newest_ = version;
}

void MemoryStore::Seen(const meta::Object& object, bool deleted) {
  if (!reading_) version_ = object.resource_version();
  Heard(object.resource_version());
  if (!comparable_ && !reading_ && !deleted) {
    recent_.emplace_back(object.uid(), object.resource_version());
    if (recent_.size() > kRecentVersions) recent_.pop_front();
  }
  if (expectations_.empty()) return;
  const auto found = expectations_.find(object.key());
  if (found == expectations_.end()) return;
  const Expectation& expected = found->second;
  const bool reached = expected.version == object.resource_version() ||
                       (deleted && expected.uid == object.uid()) ||
                       (comparable_ && VersionAtLeast(object.resource_version(), expected.version));
  if (reached) expectations_.erase(found);
  expecting_ = !expectations_.empty();
}

void MemoryStore::ExpectAtLeast(const meta::Object& written) {
  std::unique_lock lock(mutex_);
  Await(written);
}

void MemoryStore::ExpectIfHeld(const meta::Object& written) {
  std::unique_lock lock(mutex_);
  const auto held = entries_.find(KeyView{written.ns(), written.name()});
  if (held != entries_.end() && held->object->uid() == written.uid()) Await(written);
}

void MemoryStore::Await(const meta::Object& written) {
  const std::string_view version = written.resource_version();
  if (version.empty()) return;
  if (comparable_ && !reading_ && VersionAtLeast(version_, version)) return;
  const auto current = entries_.find(KeyView{written.ns(), written.name()});
  if (current != entries_.end() && current->object->uid() == written.uid() &&
      (current->object->resource_version() == version ||
       (comparable_ && VersionAtLeast(current->object->resource_version(), version)))) {
    return;
  }
  // The watch may have been faster than the answer to our write, and moved on since.
  if (std::find(recent_.begin(), recent_.end(),
                std::pair(std::string(written.uid()), std::string(version))) != recent_.end()) {
    return;
  }
  const auto awaited = expectations_.find(written.key());
  if (awaited != expectations_.end() && awaited->second.uid == written.uid() && comparable_ &&
      VersionAtLeast(awaited->second.version, version)) {
    return;  // two wrote, and the earlier one tells later
  }
  if (expectations_.size() >= kMaxExpectations) {
    const base::MonoTime oldest = clock_.Mono() - kExpectationLife;
    std::erase_if(expectations_, [&](const auto& e) { return e.second.since <= oldest; });
    if (expectations_.size() >= kMaxExpectations) expectations_.erase(expectations_.begin());
  }
  expectations_[written.key()] = {std::string(written.uid()), std::string(version), clock_.Mono(),
                                  state_};
  expecting_ = true;
}

bool MemoryStore::IsStale(const meta::Key& key) const {
  if (!expecting_) return false;
  std::shared_lock lock(mutex_);
  const auto found = expectations_.find(key);
  if (found == expectations_.end()) return false;
  const Expectation& expected = found->second;
  if (comparable_ && !reading_ && VersionAtLeast(version_, expected.version)) return false;
  return clock_.Mono() - expected.since < kExpectationLife;
}

}  // namespace sluice::cache
