// Moves what is still wanted out of blocks of huge pages that are mostly spent, so that they can be
// given up whole. Part of Cache. (docs/adr/0288-chunks-move-out-of-spent-pages.md)
#include <cstring>

#include "datapath/store/cache.h"
#include "datapath/store/shard.h"

namespace sluice::store {

// First touches are slow on hosts that take idle memory away; they are done here, ahead of use.
void Cache::MemoryLoop() {
  while (!stop_.load() && arena_.PreTouch(kPreTouchStepBytes) == kPreTouchStepBytes) {
  }
  std::unique_lock lock(background_mutex_);
  while (!stop_.load()) {
    mover_rests_ = true;
    background_wake_.wait(lock, [this] { return stop_.load() || arena_.HasMuchSpent(); });
    mover_rests_ = false;
    lock.unlock();
    const std::chrono::milliseconds pause = MoveRound() ? kMovePause : kMoveInVainPause;
    lock.lock();
    background_wake_.wait_for(lock, pause, [this] { return stop_.load(); });
  }
}

// True: something moved, or went.
bool Cache::MoveRound() {
  const std::uint64_t moved = counters_.moved_bytes.load(std::memory_order_relaxed);
  std::uint64_t may_drop = kMostDroppedPerRound;
  for (const Extent first : arena_.SpentBlocks()) {
    if (stop_.load() || !arena_.HasMuchSpent()) break;
    std::vector<std::pair<ChunkRef, Extent>> held;
    arena_.ForEachHeld(first, [&held](Chunk& chunk, Extent extent) {
      held.emplace_back(ChunkRef(&chunk), extent);
    });
    for (const auto& [chunk, extent] : held) {
      if (Move(chunk, extent)) continue;
      // There is nowhere to move to, which a block given up would change.
      if (may_drop < chunk->length) return true;
      if (Drop(*chunk)) may_drop -= chunk->length;
    }
  }
  return may_drop < kMostDroppedPerRound ||
         moved != counters_.moved_bytes.load(std::memory_order_relaxed);
}

// False: there is no room. A chunk that is in use stays where it is.
bool Cache::Move(const ChunkRef& chunk, Extent from) {
  ChunkPin pin;
  {
    std::lock_guard lock(chunk->shard.mutex);
    if (chunk->object == nullptr || chunk->state != Chunk::State::kResident ||
        chunk->extent != from || chunk->pins.load(std::memory_order_seq_cst) != 0)
      return true;
    chunk->pins.fetch_add(1, std::memory_order_seq_cst);
    pin = ChunkPin(this, chunk);
  }
  const auto to = arena_.AllocateElsewhere(from, chunk.get());
  if (!to.ok()) return false;
  std::memcpy(arena_.data(*to), pin.data(), chunk->length);
  std::lock_guard lock(chunk->shard.mutex);
  // Whoever came meanwhile reads where it was.
  if (chunk->object == nullptr || chunk->pins.load(std::memory_order_seq_cst) != 1) {
    arena_.Free(*to, false);
    return true;
  }
  arena_.Free(chunk->extent, chunk->sent_by_reference.load(std::memory_order_relaxed));
  chunk->extent = *to;
  chunk->sent_by_reference.store(false, std::memory_order_relaxed);
  counters_.moved_bytes.fetch_add(chunk->length, std::memory_order_relaxed);
  return true;
}

// Evicts a chunk though it is not its turn; false when it is in use or pinned.
bool Cache::Drop(Chunk& chunk) {
  std::lock_guard lock(chunk.shard.mutex);
  if (chunk.object == nullptr || chunk.state != Chunk::State::kResident ||
      chunk.pins.load(std::memory_order_seq_cst) != 0)
    return false;
  {
    std::lock_guard policy_lock(policy_mutex_);
    // In no queue: another thread took it out and is about to evict it.
    if (chunk.fifo_queue == FifoQueue::kNone || S3Fifo<Chunk>::IsPinned(chunk)) return false;
    policy_.Remove(chunk);
  }
  Evict(chunk);
  return true;
}

}  // namespace sluice::store
