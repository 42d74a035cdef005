// The Store's memory: objects by key, indexes, and the writes whose echo is awaited. Its writer is
// the informer; everyone else sees it as a Store.
//
// Invariants:
//  1. An object's entry and its index entries change under one lock: readers see all or nothing.
//  2. Exactly one event is returned for each change that a reader can see, none for a repetition.
//  3. An expectation stands until the watch has shown that version or a later one, the object was
//     deleted after it, a list begun after the write was complete, or kExpectationLife passed.
//  4. Where versions compare, no reader of a synced store sees an object become older, or come back
//     that was gone, but by the end of a reading: what it shows of that kind is withheld until its
//     own version is known. If that is no older than all that was seen, the reading is the truth of
//     everything it shows and lacks: an event was lost, or the cluster was restored from a backup.
//
// Per object it costs one hash node (48 bytes) beside the object. Thread rule: as store.h; the
// methods for the writer from one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "controller/base/clock.h"
#include "controller/cache/guard.h"
#include "controller/cache/store.h"

namespace sluice::cache {

class MemoryStore final : public Store {
 public:
  MemoryStore(meta::Resource resource, base::Clock& clock)
      : resource_(std::move(resource)), clock_(clock), guard_(resource_.GroupResource()) {}

  const meta::Resource& resource() const override { return resource_; }
  bool synced() const override;
  meta::ObjectPtr Get(const meta::Key& key) const override;
  std::vector<meta::ObjectPtr> List() const override;
  std::vector<meta::ObjectPtr> Unsorted() const override;
  std::vector<meta::Key> Keys() const override;
  std::vector<meta::ObjectPtr> ByIndex(std::string_view index,
                                       std::string_view value) const override;
  std::size_t size() const override;
  void ExpectAtLeast(const meta::Object& written) override;
  bool IsStale(const meta::Key& key) const override;
  // The same for a write after which the object may not be shown any more (it left the cache's
  // part, or went): nothing where the object is not held, for then no echo is to come.
  void ExpectIfHeld(const meta::Object& written);

  // Builds the index of what is there already; replaces one of the same name.
  void AddIndex(std::string name, IndexFunction function);

  // Versions compare as numbers from now on (resource_version.h). From any thread.
  void UseComparableVersions();

  // For the writer.
  // A complete reading of the state begins: what it does not show is gone at its end (invariant 4).
  void BeginState();
  std::optional<Event> Put(meta::ObjectPtr object);
  // `last` is the object as it was when it went.
  std::optional<Event> Remove(const meta::ObjectPtr& last);
  // Whether a state at `version` is older than what was seen. False where versions do not compare.
  // The end of such a reading changes nothing if EndState is not called.
  bool LagsBehind(std::string_view version) const;
  // The reading is complete at `version` and believed: returns what was withheld of it and the
  // deletions it implies; synced from now on.
  std::vector<Event> EndState(std::string_view version);
  void OnVersion(std::string_view version);  // of a bookmark
  // Bytes of objects and nodes, for metrics; walks all.
  std::size_t MemoryBytes() const;
  // Of all that is called for objects of this store.
  Guard& guard() { return guard_; }
  const Guard& guard() const { return guard_; }

 private:
  struct KeyView {
    std::string_view ns;
    std::string_view name;
    friend bool operator==(const KeyView&, const KeyView&) = default;
  };
  struct Entry {
    // The key does not change when the object is replaced, so the hash stays right.
    mutable meta::ObjectPtr object;
    mutable std::uint32_t state = 0;  // the last reading that showed it
    KeyView key() const { return {object->ns(), object->name()}; }
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const KeyView& key) const {
      const std::hash<std::string_view> hash;
      return hash(key.ns) * 31 + hash(key.name);
    }
    std::size_t operator()(const Entry& entry) const { return (*this)(entry.key()); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Entry& a, const Entry& b) const { return a.key() == b.key(); }
    bool operator()(const KeyView& a, const Entry& b) const { return a == b.key(); }
    bool operator()(const Entry& a, const KeyView& b) const { return a.key() == b; }
  };
  using Entries = std::unordered_set<Entry, Hash, Equal>;
  struct KeyLess {
    bool operator()(const meta::ObjectPtr& a, const meta::ObjectPtr& b) const;
  };
  struct Index {
    IndexFunction function;
    std::unordered_map<std::string, std::set<meta::ObjectPtr, KeyLess>> values;
  };
  struct Expectation {
    std::string uid;
    std::string version;
    base::MonoTime since;
    std::uint32_t state = 0;  // the reading under way or done when it was made
  };

  static KeyView ViewOf(const meta::Key& key) { return {key.ns, key.name}; }
  std::vector<std::string> ValuesOf(const std::string& name, const Index& index,
                                    const meta::Object& object);
  void IndexObject(const meta::ObjectPtr& object);
  void UnindexObject(const meta::ObjectPtr& object);
  std::optional<Event> Change(Entries::iterator found, meta::ObjectPtr object);
  void Heard(std::string_view version);
  bool WasGone(const meta::Object& object) const;
  void Seen(const meta::Object& object, bool deleted);
  void Await(const meta::Object& written);
  bool IsOlder(const meta::Object& object, const meta::Object& stored) const;

  const meta::Resource resource_;
  base::Clock& clock_;
  Guard guard_;
  mutable std::shared_mutex mutex_;  // guards all below
  bool synced_ = false;
  bool comparable_ = false;
  bool reading_ = false;
  std::uint32_t state_ = 0;  // readings begun
  std::string version_;      // the latest the watch has shown: all that there was then is here
  std::string newest_;       // the latest of anything seen, readings under way included
  std::map<meta::Key, meta::ObjectPtr> withheld_;  // of the reading under way: invariant 4
  Entries entries_;
  std::map<std::string, Index, std::less<>> indexes_;
  std::map<meta::Key, Expectation> expectations_;
  std::deque<std::pair<std::string, std::string>> recent_;  // uid, version; opaque versions only
  // Whether expectations_ holds any; written under mutex_, read by anyone: nearly always there is
  // none, and workers ask before every key.
  std::atomic<bool> expecting_{false};
};

}  // namespace sluice::cache
