// The scrubber: finds chunks whose bytes are not what they were when they came. Part of Cache.
//
// What is bad in memory leaves the index with all it has (readers that hold it read on: what they
// have sent cannot be called back). What is bad on disk loses its place there, and leaves the index
// when it was nowhere else. Nothing is repaired from the other copy: the next reader brings it from
// the origin, which is the one place that is known to be right.
#include <cstdlib>
#include <future>

#include "controller/base/log.h"
#include "datapath/store/cache.h"
#include "datapath/store/checksum.h"
#include "datapath/store/shard.h"

namespace sluice::store {

void Cache::ScrubLoop() {
  const std::uint64_t rate = options_.scrub_bytes_per_second;
  std::uint64_t round = 0;
  std::unique_lock lock(background_mutex_);
  while (!stop_.load()) {
    lock.unlock();
    const std::uint64_t bytes = ScrubStep();
    const bool ended =
        std::exchange(round, counters_.scrub_rounds.load(std::memory_order_relaxed)) !=
        counters_.scrub_rounds.load(std::memory_order_relaxed);
    lock.lock();
    const base::Duration pause =
        ended ? base::Duration(kScrubPause)
              : base::Duration(std::chrono::nanoseconds(bytes * 1'000'000'000 / rate));
    background_wake_.wait_for(lock, pause, [this] { return stop_.load(); });
  }
}

std::uint64_t Cache::ScrubStep() {
  for (int looked = 0; looked < kScrubSlotsPerStep; ++looked) {
    if (scrub_objects_.empty()) {
      if (scrub_shard_ == kShards) {
        scrub_shard_ = 0;
        counters_.scrub_rounds.fetch_add(1, std::memory_order_relaxed);
        return 0;
      }
      Shard& shard = shards_[scrub_shard_++];
      std::lock_guard lock(shard.mutex);
      scrub_objects_.reserve(shard.objects.size());
      for (const auto& [name, object] : shard.objects) scrub_objects_.push_back(object);
      scrub_index_ = 0;
      continue;
    }
    Object& object = *scrub_objects_.back();
    if (scrub_index_ >= object.chunk_count() || !object.current()) {
      scrub_objects_.pop_back();
      scrub_index_ = 0;
      continue;
    }
    const std::uint64_t bytes = ScrubChunk(object, scrub_index_++);
    if (bytes == 0) continue;
    counters_.scrubbed_bytes.fetch_add(bytes, std::memory_order_relaxed);
    return bytes;
  }
  return 0;
}

std::uint64_t Cache::ScrubChunk(Object& object, std::uint32_t index) {
  ChunkRef chunk;
  ChunkPin pin;
  DiskPlace place;
  std::uint32_t crc = 0;
  {
    std::lock_guard lock(object.shard_.mutex);
    if (!object.current()) return 0;
    chunk = object.chunks_[index];
    if (!chunk || chunk->state == Chunk::State::kFilling) return 0;
    place = chunk->place;
    crc = chunk->crc;
    if (chunk->state == Chunk::State::kResident) {
      chunk->pins.fetch_add(1, std::memory_order_seq_cst);
      pin = ChunkPin(this, chunk);
    }
  }
  std::uint64_t bytes = 0;
  if (pin) {
    bytes += chunk->length;
    if (Crc32c({pin.data(), chunk->length}) != crc) {
      DropBad(*chunk, nullptr);
      return bytes;
    }
    pin.Reset();
  }
  return place.valid() ? bytes + ScrubDisk(*chunk, place, crc) : bytes;
}

std::uint64_t Cache::ScrubDisk(Chunk& chunk, const DiskPlace& place, std::uint32_t crc) {
  const std::size_t room = RoundToPages(chunk.length);
  if (!pool_.TryReserve(MemoryPool::Use::kBuffer, room)) return 0;  // requests come first
  std::uint64_t bytes = 0;
  {
    const std::unique_ptr<char, decltype(&std::free)> buffer(
        static_cast<char*>(std::aligned_alloc(kPageBytes, room)), &std::free);
    SLUICE_CHECK(buffer != nullptr);
    // Shared: the tier's thread may still be leaving it when the outcome is here.
    const auto done = std::make_shared<std::promise<base::Status>>();
    DiskTier::ReadRequest request{
        .place = place,
        .crc = crc,
        .data = {buffer.get(), chunk.length},
        .done = [done](base::Status read) { done->set_value(std::move(read)); }};
    // The tier calls back in any case, at the latest when it stops (after this thread).
    if (disks_[place.device]->TryRead(request)) {
      const base::Status read = done->get_future().get();
      bytes = chunk.length;
      if (read.code() == base::Code::kDataLoss) DropBad(chunk, &place);
    }
  }
  pool_.Release(MemoryPool::Use::kBuffer, room);
  return bytes;
}

// `only_at`: the copy on disk there is bad, not the one in memory.
void Cache::DropBad(Chunk& chunk, const DiskPlace* only_at) {
  std::lock_guard lock(chunk.shard.mutex);
  if (chunk.object == nullptr) return;  // it left meanwhile
  Object& object = *chunk.object;
  if (only_at != nullptr) {
    // Overwritten, or being read by somebody who will find out by himself.
    if (chunk.place != *only_at || chunk.state == Chunk::State::kFilling) return;
    if (chunk.state == Chunk::State::kResident) {
      chunk.place = DiskPlace{};
      counters_.disk_bytes.fetch_sub(chunk.length, std::memory_order_relaxed);
    }
  }
  counters_.corrupt_chunks.fetch_add(1, std::memory_order_relaxed);
  base::log::Warn("the scrubber found a bad chunk",
                  {{"tier", only_at != nullptr ? "disk" : "memory"},
                   {"chunk", chunk.index},
                   {"bytes", chunk.length}});
  if (only_at != nullptr && chunk.state == Chunk::State::kResident) return;
  const ChunkRef keep = std::move(object.chunks_[chunk.index]);
  object.chunks_[chunk.index] = ChunkRef();
  --object.present_;
  Detach(*keep);
}

}  // namespace sluice::store
