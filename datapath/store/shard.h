// One lock's worth of the index. Private to this folder.
#pragma once

#include <array>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "datapath/store/dormant.h"
#include "datapath/store/limits.h"
#include "datapath/store/object.h"

namespace sluice::store {

struct NameHash {
  using is_transparent = void;
  std::uint64_t seed = 0;
  std::size_t operator()(std::string_view name) const;
};

struct alignas(64) Shard {
  std::mutex mutex;
  // Keys are views into the objects' own names.
  std::unordered_map<std::string_view, ObjectRef, NameHash> objects;
  std::uint64_t invalidations = 0;
  DormantIndex dormant;
  // Names the origin did not know, and when it was asked; a place for each of the hashes that share
  // it, so a newcomer takes it. Empty name: free.
  struct Absent {
    std::string name;
    base::MonoTime asked;
  };
  std::array<Absent, kMaxAbsentPerShard> absent;
  Absent& AbsentPlace(std::uint64_t name_hash) { return absent[name_hash % absent.size()]; }
  // In order of arrival; for trimming objects without chunks.
  std::list<ObjectRef> order;
};

}  // namespace sluice::store
