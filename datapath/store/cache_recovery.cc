// What disks held at the start: it stays as it lies in the segments' summaries until somebody asks
// for a name, or the loader comes to it. Part of Cache.
//
// A name's entries are in its shard's dormant index or the name's object is in the index, never
// both: whoever looks a name up under the shard's mutex (Lookup) makes the object first. So a
// request served right after the start sees what one served later would.
#include <algorithm>
#include <bit>

#include "datapath/store/cache.h"
#include "datapath/store/shard.h"

namespace sluice::store {

// Before any other thread knows the cache. Devices come in their order; within one, the log's.
void Cache::TakeRecovered(std::uint8_t device, Recovered recovered) {
  if (recovered.older_is_void) {
    recovered_.clear();
    for (std::size_t i = 0; i < kShards; ++i) shards_[i].dormant.Clear();
  }
  std::uint64_t order = order_.load();
  for (Recovered::Part& part : recovered.parts) {
    const auto table = static_cast<std::uint32_t>(recovered_.size());
    for (std::uint32_t i = 0; i < part.summary.size(); ++i) {
      const SummaryEntry entry = part.summary.entry(i);
      order = std::max(order, entry.order);
      const std::uint64_t hash = HashOf(part.summary.name(entry));
      ShardOf(hash).dormant.Add(hash, table, i);
    }
    recovered_.push_back({device, std::move(part)});
  }
  order_.store(order);
}

ObjectRef Cache::Lookup(Shard& shard, std::string_view name, std::uint64_t hash) {
  const auto found = shard.objects.find(name);
  if (found != shard.objects.end()) return found->second;
  return shard.dormant.empty() ? ObjectRef() : Wake(shard, name, hash);
}

// Makes an object of what the disks hold of `name`, if anything: its youngest version, as far as no
// tombstone lies behind it.
ObjectRef Cache::Wake(Shard& shard, std::string_view name, std::uint64_t hash) {
  const auto entry_of = [this](const DormantIndex::Node& node) {
    return recovered_[node.table].part.summary.entry(node.entry);
  };
  auto nodes = shard.dormant.Take(hash, [&](const DormantIndex::Node& node) {
    return recovered_[node.table].part.summary.name(entry_of(node)) == name;
  });
  // The log of each device is in order; `order` is what tells between them.
  std::stable_sort(nodes.begin(), nodes.end(), [&](const auto& a, const auto& b) {
    return entry_of(a).order > entry_of(b).order;
  });
  ObjectRef object;
  ObjectMeta meta;
  const DormantIndex::Node* described = nullptr;
  for (const DormantIndex::Node& node : nodes) {
    const SummaryEntry entry = entry_of(node);
    if (entry.tombstone()) break;
    const bool same_texts = described != nullptr && described->table == node.table &&
                            entry_of(*described).object_at == entry.object_at;
    if (!same_texts) {
      described = &node;
      const bool good = recovered_[node.table].part.summary.Describe(entry, meta) &&
                        !meta.etag.empty() && meta.size <= kMaxObjectBytes;
      if (!good) break;
    }
    if (!object) object = InsertObject(shard, name, hash, meta);
    if (!same_texts && !object->meta().SameVersion(meta)) break;
    AddRecovered(*object, recovered_[node.table], entry);
  }
  return object;
}

void Cache::AddRecovered(Object& object, const RecoveredTable& table, const SummaryEntry& entry) {
  if (entry.chunk_index >= object.chunk_count() ||
      entry.data_bytes != object.chunk_length(entry.chunk_index))
    return;
  ChunkRef& slot = object.chunks_[entry.chunk_index];
  if (slot) return;  // written again later
  ChunkRef chunk(new Chunk(object.shard_, &object, entry.chunk_index, entry.data_bytes,
                           object.version_hash_ + entry.chunk_index * 0x9e3779b97f4a7c15ull));
  chunk->state = Chunk::State::kOnDisk;
  chunk->crc = entry.data_crc;
  chunk->place = {.segment = table.part.segment,
                  .page = entry.page,
                  .header_pages = entry.header_pages,
                  .device = table.device};
  if (!disks_[table.device]->Adopt(chunk, table.part.segment, table.part.generation)) return;
  slot = std::move(chunk);
  ++object.present_;
  counters_.disk_bytes.fetch_add(entry.data_bytes, std::memory_order_relaxed);
  counters_.recovered_chunks.fetch_add(1, std::memory_order_relaxed);
}

void Cache::StartLoading() {
  std::size_t entries = 0;
  for (std::size_t i = 0; i < kShards; ++i) shards_[i].dormant.Link();
  for (const RecoveredTable& table : recovered_) entries += table.part.summary.size();
  if (entries > 0 && options_.load_behind) loader_ = std::thread([this] { LoadLoop(); });
}

// A little at a time, so that requests need not wait long for a shard.
void Cache::LoadLoop() {
  for (std::size_t i = 0; i < kShards; ++i) {
    Shard& shard = shards_[i];
    bool more = true;
    while (more) {
      if (stop_.load()) return;
      std::this_thread::yield();  // who serves comes first
      std::lock_guard lock(shard.mutex);
      for (std::uint32_t woken = 0; more && woken < kWokenPerTurn; ++woken) {
        const auto node = shard.dormant.Next();
        more = node.has_value();
        if (!more) break;
        const Summary& summary = recovered_[node->table].part.summary;
        const std::string_view name = summary.name(summary.entry(node->entry));
        const ObjectRef object = Wake(shard, name, HashOf(name));
        woken += object ? object->present_ : 0;
      }
      if (!more) shard.dormant.Clear();
    }
  }
  recovered_.clear();  // nobody comes here any more: every dormant index is empty
  loaded_.store(true);
  loaded_.notify_all();
}

void Cache::WaitUntilLoaded() {
  if (loader_.joinable()) loaded_.wait(false);
}

}  // namespace sluice::store
