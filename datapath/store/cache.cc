#include "datapath/store/cache.h"

#include <fmt/format.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>

#include "controller/base/log.h"
#include "datapath/store/shard.h"

namespace sluice::store {
namespace {

// Seeded, so that nobody can choose names that collide.
std::uint64_t RandomSeed() {
  std::uint64_t seed = 0;
  SLUICE_CHECK(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seed;
}

constexpr std::size_t kGhostBytesAChunk = 64 << 10;  // one remembered hash for so much memory

std::size_t HugeFrom(const Cache::Options& options, const MemoryPool& pool) {
  const std::size_t largest = std::min<std::size_t>(options.chunk_bytes, kHugePageBytes / 2);
  const auto sizes = static_cast<std::size_t>(std::bit_width(largest / kMinHugeSlotBytes));
  const bool large = pool.cache_limit() >= sizes * kHugePageBytes * kHugeShareDivisor;
  return options.huge_pages && large ? kMinHugeSlotBytes : 0;
}

}  // namespace

std::size_t NameHash::operator()(std::string_view name) const {
  return XXH3_64bits_withSeed(name.data(), name.size(), seed);
}

Cache::Cache(const Options& options, base::Clock& clock)
    : options_(options),
      clock_(clock),
      hash_seed_(RandomSeed()),
      pool_(options.memory_bytes),
      arena_(pool_, options.chunk_bytes, HugeFrom(options, pool_)),
      shards_(std::make_unique<Shard[]>(kShards)),
      policy_(pool_.cache_limit(),
              static_cast<std::size_t>(options.memory_bytes / kGhostBytesAChunk)),
      order_(static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(clock.Wall().time_since_epoch())
              .count())) {
  for (std::size_t i = 0; i < kShards; ++i)
    shards_[i].objects = decltype(Shard::objects)(16, NameHash{hash_seed_});
}

base::StatusOr<std::unique_ptr<Cache>> Cache::Open(const Options& options, base::Clock& clock) {
  if (!std::has_single_bit(options.chunk_bytes) || options.chunk_bytes < kMinChunkBytes ||
      options.chunk_bytes > kMaxChunkBytes)
    return base::InvalidArgument("cache.chunkBytes must be a power of two, 64 KiB to 16 MiB");
  if (options.memory_bytes < std::max<std::uint64_t>(kMinMemoryBytes, 8ull * options.chunk_bytes))
    return base::InvalidArgument(fmt::format(
        "cache.memoryBytes must be at least {} with chunks of {} bytes",
        std::max<std::uint64_t>(kMinMemoryBytes, 8ull * options.chunk_bytes), options.chunk_bytes));
  std::unique_ptr<Cache> cache(new Cache(options, clock));
  for (std::size_t i = 0; i < options.disks.size(); ++i) {
    const DiskTier::Options& disk = options.disks[i];
    auto tier =
        DiskTier::Open(disk, options.chunk_bytes, options.memory_bytes / kDiskWriteQueueDivisor,
                       static_cast<std::uint8_t>(cache->disks_.size()), *cache, clock);
    if (!tier.ok()) {
      base::log::Error("disk tier device left out",
                       {{"path", disk.path}, {"error", tier.status()}});
      continue;
    }
    cache->disks_.push_back(std::move(tier).value());
    cache->TakeRecovered(static_cast<std::uint8_t>(cache->disks_.size() - 1),
                         cache->disks_.back()->TakeRecovered());
  }
  cache->rewrites_pinned_ =
      cache->disk_limit_bytes() >= kPinnedDiskFactor * cache->pinned_limit_bytes();
  cache->memory_thread_ = std::thread([raw = cache.get()] { raw->MemoryLoop(); });
  cache->StartLoading();
  if (options.scrub_bytes_per_second > 0)
    cache->scrubber_ = std::thread([raw = cache.get()] { raw->ScrubLoop(); });
  return cache;
}

Cache::~Cache() {
  {
    std::lock_guard lock(background_mutex_);
    stop_.store(true);
  }
  background_wake_.notify_all();
  memory_thread_.join();
  if (loader_.joinable()) loader_.join();
  if (scrubber_.joinable()) scrubber_.join();  // before the disks it reads
  scrub_objects_.clear();
  disks_.clear();  // joins their threads; nothing calls back after this
  for (std::size_t i = 0; i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    while (!shards_[i].objects.empty()) RemoveObject(*shards_[i].objects.begin()->second);
  }
}

std::uint64_t Cache::HashOf(std::string_view name) const { return NameHash{hash_seed_}(name); }
Shard& Cache::ShardOf(std::uint64_t name_hash) const { return shards_[name_hash >> 58]; }

ObjectRef Cache::Find(std::string_view name) {
  const std::uint64_t hash = HashOf(name);
  Shard& shard = ShardOf(hash);
  std::lock_guard lock(shard.mutex);
  return Lookup(shard, name, hash);
}

std::uint64_t Cache::InvalidationEpoch(std::string_view name) {
  Shard& shard = ShardOf(HashOf(name));
  std::lock_guard lock(shard.mutex);
  return shard.invalidations;
}

void Cache::Confirm(Object& object, base::MonoTime now, std::uint64_t epoch) {
  std::lock_guard lock(object.shard_.mutex);
  if (epoch == object.shard_.invalidations) object.SetCheckedAt(now);
}

ObjectRef Cache::Publish(std::string_view name, ObjectMeta meta, base::MonoTime now,
                         std::uint64_t epoch) {
  SLUICE_CHECK(!meta.etag.empty() && name.size() <= kMaxNameBytes);
  const std::uint64_t hash = HashOf(name);
  Shard& shard = ShardOf(hash);
  bool replaced = false;
  ObjectRef object;
  {
    std::lock_guard lock(shard.mutex);
    if (epoch != shard.invalidations) return {};
    const ObjectRef old = Lookup(shard, name, hash);
    if (old && old->meta().SameVersion(meta) && old->meta().SameAnswer(meta) &&
        old->meta().rendered.empty() == meta.rendered.empty()) {
      old->SetCheckedAt(now);
      return old;
    }
    std::vector<ChunkRef> kept;
    if (old) {
      if (old->meta().SameVersion(meta)) {
        // Same bytes under new headers: the chunks change hands.
        kept.swap(old->chunks_);
        old->chunks_.resize(old->chunk_count_);
      } else {
        replaced = true;
      }
      const std::uint32_t present = std::exchange(old->present_, replaced ? old->present_ : 0);
      RemoveObject(*old);
      object = InsertObject(shard, name, hash, std::move(meta));
      if (!kept.empty()) {
        object->chunks_.swap(kept);
        object->present_ = present;
        for (ChunkRef& chunk : object->chunks_)
          if (chunk) chunk->object = object.get();
      }
    } else {
      object = InsertObject(shard, name, hash, std::move(meta));
    }
    object->SetCheckedAt(now);
  }
  // The old version's records must not come back by a restart.
  if (replaced)
    for (auto& disk : disks_) disk->WriteTombstone(std::string(name), [](const base::Status&) {});
  return object;
}

ObjectRef Cache::InsertObject(Shard& shard, std::string_view name, std::uint64_t hash,
                              ObjectMeta meta) {
  TrimObjects(shard);
  if (Shard::Absent& place = shard.AbsentPlace(hash); place.name == name) place.name.clear();
  ObjectRef object(
      new Object(shard, std::string(name), hash, std::move(meta), options_.chunk_bytes));
  shard.objects.emplace(object->name(), object);
  shard.order.push_back(object);
  counters_.objects.fetch_add(1, std::memory_order_relaxed);
  return object;
}

// Keeps the number of objects bounded: those without chunks go first; then the oldest with theirs.
void Cache::TrimObjects(Shard& shard) {
  constexpr int kLooked = 32;
  for (int i = 0; i < kLooked && shard.objects.size() >= kMaxObjectsPerShard; ++i) {
    const ObjectRef oldest = shard.order.front();
    shard.order.pop_front();
    if (!oldest->current()) continue;  // left the index earlier
    if (oldest->present_ > 0 && i + 1 < kLooked) {
      shard.order.push_back(oldest);
    } else {
      RemoveObject(*oldest);
    }
  }
  // Entries of objects that left are swept when they outnumber the live ones.
  if (shard.order.size() > 2 * shard.objects.size() + 64)
    shard.order.remove_if([](const ObjectRef& object) { return !object->current(); });
}

void Cache::RemoveObject(Object& object) {
  const ObjectRef keep(&object);  // the index may hold the last reference
  object.current_.store(false, std::memory_order_release);
  for (ChunkRef& slot : object.chunks_) {
    if (!slot) continue;
    const ChunkRef chunk = std::move(slot);
    slot = ChunkRef();
    Detach(*chunk);
  }
  object.present_ = 0;
  object.shard_.objects.erase(object.name());
  counters_.objects.fetch_sub(1, std::memory_order_relaxed);
}

// The chunk has left its object's map; its memory goes now or with its last reader.
void Cache::Detach(Chunk& chunk) {
  {
    std::lock_guard lock(policy_mutex_);
    policy_.Remove(chunk);
  }
  if (chunk.state == Chunk::State::kResident)
    counters_.resident_bytes.fetch_sub(chunk.length, std::memory_order_relaxed);
  if (chunk.place.valid()) counters_.disk_bytes.fetch_sub(chunk.length, std::memory_order_relaxed);
  chunk.object = nullptr;
  chunk.place = DiskPlace{};
  chunk.detached.store(true, std::memory_order_seq_cst);
  FreeExtentIfUnpinned(chunk);
}

void Cache::FreeExtentIfUnpinned(Chunk& chunk) {
  if (!chunk.extent.valid() || chunk.pins.load(std::memory_order_seq_cst) != 0) return;
  arena_.Free(chunk.extent, chunk.sent_by_reference.load(std::memory_order_relaxed));
  chunk.extent = Extent{};
  if (!arena_.HasMuchSpent()) return;
  std::lock_guard lock(background_mutex_);
  if (mover_rests_) background_wake_.notify_all();
}

void Cache::Unpin(Chunk& chunk) {
  if (chunk.pins.fetch_sub(1, std::memory_order_seq_cst) != 1) return;
  if (!chunk.detached.load(std::memory_order_seq_cst)) return;
  std::lock_guard lock(chunk.shard.mutex);
  if (chunk.object == nullptr) FreeExtentIfUnpinned(chunk);
}

void Cache::PublishAbsent(std::string_view name, base::MonoTime asked, std::uint64_t epoch) {
  const std::uint64_t hash = HashOf(name);
  Shard& shard = ShardOf(hash);
  std::lock_guard lock(shard.mutex);
  if (epoch != shard.invalidations || name.empty() || name.size() > kMaxNameBytes) return;
  Shard::Absent& place = shard.AbsentPlace(hash);
  place.name = name;
  place.asked = asked;
}

base::MonoTime Cache::AbsentSince(std::string_view name) {
  const std::uint64_t hash = HashOf(name);
  Shard& shard = ShardOf(hash);
  std::lock_guard lock(shard.mutex);
  const Shard::Absent& place = shard.AbsentPlace(hash);
  return place.name == name ? place.asked : base::MonoTime::min();
}

bool Cache::Forget(std::string_view name) {
  const std::uint64_t hash = HashOf(name);
  Shard& shard = ShardOf(hash);
  std::lock_guard lock(shard.mutex);
  ++shard.invalidations;
  if (Shard::Absent& place = shard.AbsentPlace(hash); place.name == name) place.name.clear();
  const ObjectRef known = Lookup(shard, name, hash);
  if (known) RemoveObject(*known);
  return static_cast<bool>(known);
}

void Cache::Invalidate(std::string_view name, std::function<void()> done) {
  Forget(name);
  WriteTombstones(name, std::move(done));
}

void Cache::InvalidateAgain(std::string_view name, std::function<void()> done) {
  if (!Forget(name)) return done();
  WriteTombstones(name, std::move(done));
}

void Cache::WriteTombstones(std::string_view name, std::function<void()> done) {
  if (disks_.empty()) return done();
  auto left = std::make_shared<std::atomic<std::size_t>>(disks_.size());
  auto shared_done = std::make_shared<std::function<void()>>(std::move(done));
  for (auto& disk : disks_) {
    disk->WriteTombstone(std::string(name), [left, shared_done](const base::Status& written) {
      if (!written.ok()) base::log::Warn("tombstone was not written", {{"error", written}});
      if (left->fetch_sub(1) == 1) (*shared_done)();
    });
  }
}

std::uint64_t Cache::disk_limit_bytes() const {
  std::uint64_t total = 0;
  for (const auto& disk : disks_) total += disk->capacity_bytes();
  return total;
}

std::uint64_t Cache::disk_damaged_places() const {
  std::uint64_t total = 0;
  for (const auto& disk : disks_) total += disk->damaged_places();
  return total;
}

bool Cache::disk_healthy() const {
  if (disks_.size() != options_.disks.size()) return false;
  for (const auto& disk : disks_)
    if (!disk->healthy()) return false;
  return true;
}

void Cache::FlushDisk() {
  for (auto& disk : disks_) disk->Flush();
}

void Cache::OnSegmentRecycled(std::uint8_t device, std::uint32_t segment,
                              std::span<const ChunkRef> chunks) {
  std::vector<std::pair<ChunkRef, ObjectRef>> again;
  for (const ChunkRef& chunk : chunks) {
    std::lock_guard lock(chunk->shard.mutex);
    if (chunk->object == nullptr || chunk->place.segment != segment ||
        chunk->place.device != device)
      continue;
    chunk->place = DiskPlace{};
    counters_.disk_bytes.fetch_sub(chunk->length, std::memory_order_relaxed);
    if (chunk->state == Chunk::State::kResident && rewrites_pinned_) {
      std::lock_guard policy_lock(policy_mutex_);
      if (S3Fifo<Chunk>::IsPinned(*chunk)) {
        chunk->pins.fetch_add(1, std::memory_order_seq_cst);  // the disk write's
        again.emplace_back(chunk, ObjectRef(chunk->object));
      }
    }
    if (chunk->state != Chunk::State::kOnDisk) continue;
    Object& object = *chunk->object;
    const ChunkRef keep = std::move(object.chunks_[chunk->index]);
    object.chunks_[chunk->index] = ChunkRef();
    --object.present_;
    Detach(*keep);
  }
  // To the device whose thread this is: at the stop the others may be gone.
  for (auto& [chunk, object] : again) QueueDiskWrite(*chunk, std::move(object), *disks_[device]);
}

bool Cache::StillWanted(const Chunk& chunk) {
  return !chunk.detached.load(std::memory_order_seq_cst);
}

}  // namespace sluice::store
