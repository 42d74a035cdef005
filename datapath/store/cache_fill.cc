// How a chunk comes into memory: fills, promotions from disk, eviction to make room. Part of Cache.
#include "controller/base/log.h"
#include "datapath/store/cache.h"
#include "datapath/store/checksum.h"
#include "datapath/store/shard.h"

namespace sluice::store {

Cache::Acquired Cache::Acquire(Object& object, std::uint32_t index, bool may_fill) {
  std::unique_lock lock(object.shard_.mutex);
  if (!object.current()) return {.got = Got::kGone};
  SLUICE_CHECK(index < object.chunk_count());
  const ChunkRef& slot = object.chunks_[index];
  if (!slot) {
    if (!may_fill) return {.got = Got::kAbsent};
    return StartFill(object, index, lock);
  }
  Chunk& chunk = *slot;
  switch (chunk.state) {
    case Chunk::State::kResident:
      S3Fifo<Chunk>::Hit(chunk);
      chunk.pins.fetch_add(1, std::memory_order_seq_cst);
      return {.got = Got::kReady, .pin = ChunkPin(this, slot)};
    case Chunk::State::kFilling:
      counters_.single_flight_waits.fetch_add(1, std::memory_order_relaxed);
      chunk.pins.fetch_add(1, std::memory_order_seq_cst);
      return {.got = Got::kFollow, .from_disk = chunk.place.valid(), .pin = ChunkPin(this, slot)};
    case Chunk::State::kOnDisk:
      return StartPromotion(chunk, lock);
  }
  return {};
}

// The chunk enters the map before its memory is found, so that whoever comes meanwhile follows it.
Cache::Acquired Cache::StartFill(Object& object, std::uint32_t index,
                                 std::unique_lock<std::mutex>& lock) {
  ChunkRef chunk(new Chunk(object.shard_, &object, index, object.chunk_length(index),
                           object.version_hash_ + index * 0x9e3779b97f4a7c15ull));
  object.chunks_[index] = chunk;
  ++object.present_;
  coming_bytes_.fetch_add(chunk->length, std::memory_order_relaxed);
  chunk->pins.store(2, std::memory_order_seq_cst);  // the caller's and the ticket's
  lock.unlock();
  Acquired result{
      .got = Got::kFill, .pin = ChunkPin(this, chunk), .ticket = FillTicket(ChunkPin(this, chunk))};
  auto extent = TakeExtent(*chunk);
  if (!extent.ok()) {
    counters_.fills_shed.fetch_add(1, std::memory_order_relaxed);
    result.ticket.Fail(extent.status());
    return {.got = Got::kNoMemory};
  }
  lock.lock();
  chunk->extent = *extent;
  lock.unlock();
  return result;
}

Cache::Acquired Cache::StartPromotion(Chunk& chunk, std::unique_lock<std::mutex>& lock) {
  const ChunkRef keep(&chunk);
  const DiskPlace place = chunk.place;
  chunk.state = Chunk::State::kFilling;
  coming_bytes_.fetch_add(chunk.length, std::memory_order_relaxed);
  chunk.available.store(0, std::memory_order_relaxed);
  chunk.failed.store(false, std::memory_order_relaxed);
  chunk.pins.fetch_add(2, std::memory_order_seq_cst);  // the caller's and the read's
  lock.unlock();
  Acquired result{.got = Got::kFollow, .from_disk = true, .pin = ChunkPin(this, keep)};
  ChunkPin reading(this, keep);
  auto extent = TakeExtent(chunk);
  if (!extent.ok()) {
    counters_.fills_shed.fetch_add(1, std::memory_order_relaxed);
    OnPromoted(std::move(reading), extent.status());
    return {.got = Got::kNoMemory};
  }
  lock.lock();
  chunk.extent = *extent;
  const std::uint32_t crc = chunk.crc;
  lock.unlock();
  auto shared = std::make_shared<ChunkPin>(std::move(reading));
  DiskTier::ReadRequest request{
      .place = place,
      .crc = crc,
      .data = {arena_.data(*extent), chunk.length},
      .done = [this, shared](const base::Status& read) { OnPromoted(std::move(*shared), read); }};
  if (!disks_[place.device]->TryRead(request)) {
    OnPromoted(std::move(*shared), base::ResourceExhausted("too many reads wait for the disk"));
    return {.got = Got::kNoMemory};
  }
  return result;
}

// Ends a promotion. A chunk that could not be read for want of room stays on disk; a bad one goes.
void Cache::OnPromoted(ChunkPin pin, const base::Status& read) {
  Chunk& chunk = *pin.chunk_;
  if (read.ok()) {
    counters_.promotions.fetch_add(1, std::memory_order_relaxed);
    chunk.available.store(chunk.length, std::memory_order_release);
    Seal(chunk, chunk.crc);
    return;
  }
  {
    std::lock_guard lock(chunk.shard.mutex);
    const bool shed =
        read.code() == base::Code::kResourceExhausted || read.code() == base::Code::kCancelled;
    if (shed && chunk.object != nullptr && chunk.place.valid()) {
      // It stays where it was. Followers are told; they acquire it again, or follow the next try.
      if (chunk.extent.valid()) {
        arena_.Free(chunk.extent, false);  // nothing was available, so nobody looked at it
        chunk.extent = Extent{};
      }
      chunk.state = Chunk::State::kOnDisk;
      coming_bytes_.fetch_sub(chunk.length, std::memory_order_relaxed);
      chunk.MakeWaiting().failure = read;
      chunk.failed.store(true, std::memory_order_release);
      NotifyWaiters(chunk, true);
      return;
    }
    if (!shed) {
      counters_.promotion_failures.fetch_add(1, std::memory_order_relaxed);
      const bool overwritten = read.code() == base::Code::kAborted || !chunk.place.valid();
      if (read.code() == base::Code::kDataLoss && !overwritten)
        counters_.corrupt_chunks.fetch_add(1, std::memory_order_relaxed);
    }
  }
  FailFill(chunk, read);
}

base::StatusOr<Extent> Cache::TakeExtent(Chunk& chunk) {
  for (int tries = 0;; ++tries) {
    auto extent = arena_.Allocate(chunk.length, &chunk);
    if (extent.ok() || extent.status().code() != base::Code::kResourceExhausted) return extent;
    if (tries == kMaxEvictionsPerFill || !EvictOne()) return extent;
  }
}

// False: not to be pinned, or no room for it.
bool Cache::TryPin(Chunk& chunk) {
  const std::optional<std::size_t> pin = pins_.Match(chunk.object->name());
  if (!pin.has_value()) return false;
  // Each has its part whatever the others take, so that none comes too late.
  const std::uint64_t part = pinned_limit_bytes() / pins_.size();
  if (policy_.pinned_bytes(*pin) + chunk.length > part) {
    counters_.pins_refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  policy_.InsertPinned(chunk, *pin);
  return true;
}

void Cache::SetPins(std::vector<std::string> prefixes) {
  SLUICE_CHECK(prefixes.size() <= kMaxPins);
  Pins pins;
  pins.Set(std::move(prefixes));
  std::lock_guard lock(policy_mutex_);
  if (pins == pins_) return;
  pins_ = std::move(pins);
  policy_.UnpinAll();  // those that still are come back when they would be evicted
}

std::uint64_t Cache::pinned_bytes() {
  std::lock_guard lock(policy_mutex_);
  return policy_.pinned_bytes();
}

// Frees one chunk's memory; false when nothing can go.
bool Cache::EvictOne() {
  constexpr int kMaxPinnedSeen = 512;
  for (int pinned = 0; pinned < kMaxPinnedSeen; ++pinned) {
    ChunkRef victim;
    {
      std::lock_guard lock(policy_mutex_);
      victim = ChunkRef(policy_.Next());
    }
    if (!victim) return false;
    std::lock_guard lock(victim->shard.mutex);
    if (victim->object == nullptr) continue;  // detached since; its memory is on its way
    if (victim->pins.load(std::memory_order_seq_cst) != 0) {
      std::lock_guard policy_lock(policy_mutex_);
      policy_.Return(*victim);
      continue;
    }
    SLUICE_CHECK(victim->state == Chunk::State::kResident);
    {
      std::lock_guard policy_lock(policy_mutex_);
      if (TryPin(*victim)) {  // its name came to be pinned, or there is room for it again
        --pinned;
        continue;
      }
    }
    Evict(*victim);
    return true;
  }
  return false;
}

// What is on disk stays there; the rest leaves the index.
void Cache::Evict(Chunk& victim) {
  counters_.evicted_chunks.fetch_add(1, std::memory_order_relaxed);
  counters_.evicted_bytes.fetch_add(victim.length, std::memory_order_relaxed);
  if (!victim.place.valid()) {
    Object& object = *victim.object;
    object.chunks_[victim.index] = ChunkRef();
    --object.present_;
    Detach(victim);
    return;
  }
  counters_.resident_bytes.fetch_sub(victim.length, std::memory_order_relaxed);
  victim.state = Chunk::State::kOnDisk;
  FreeExtentIfUnpinned(victim);
  victim.sent_by_reference.store(false, std::memory_order_relaxed);
}

// All bytes are here: the chunk becomes cache content.
void Cache::Seal(Chunk& chunk, std::uint32_t crc) {
  ObjectRef object;
  {
    std::lock_guard lock(chunk.shard.mutex);
    chunk.crc = crc;
    chunk.state = Chunk::State::kResident;
    coming_bytes_.fetch_sub(chunk.length, std::memory_order_relaxed);
    NotifyWaiters(chunk, true);
    // A reader may still be about to ask why an earlier try failed.
    if (chunk.waiting != nullptr && chunk.waiting->failure.ok()) chunk.waiting.reset();
    if (chunk.object == nullptr) return;  // detached meanwhile: only its readers see it through
    counters_.resident_bytes.fetch_add(chunk.length, std::memory_order_relaxed);
    {
      std::lock_guard policy_lock(policy_mutex_);
      if (!TryPin(chunk)) policy_.Insert(chunk);
    }
    if (disks_.empty() || chunk.place.valid()) return;
    object = ObjectRef(chunk.object);
    chunk.pins.fetch_add(1, std::memory_order_seq_cst);  // the disk write's
  }
  // Objects spread over devices chunk by chunk, so that one large object uses all of them.
  QueueDiskWrite(chunk, std::move(object), *disks_[chunk.hash % disks_.size()]);
}

void Cache::QueueDiskWrite(Chunk& chunk, ObjectRef object, DiskTier& disk) {
  auto pin = std::make_shared<ChunkPin>(ChunkPin(this, ChunkRef(&chunk)));
  DiskTier::WriteRequest request{
      .chunk = ChunkRef(&chunk),
      .name = object->name(),
      .meta = object->meta(),
      .crc = chunk.crc,
      .data = {arena_.data(chunk.extent), chunk.length},
      .done = [this, pin](base::StatusOr<DiskPlace> place) {
        Chunk& written = *pin->chunk_;
        if (place.ok()) {
          counters_.disk_writes.fetch_add(1, std::memory_order_relaxed);
          std::lock_guard lock(written.shard.mutex);
          if (written.object != nullptr) {
            written.place = *place;
            counters_.disk_bytes.fetch_add(written.length, std::memory_order_relaxed);
          }
        } else if (place.status().code() != base::Code::kCancelled) {
          counters_.disk_write_failures.fetch_add(1, std::memory_order_relaxed);
        }
        pin->Reset();
      }};
  if (!disk.TryWrite(request)) counters_.disk_writes_shed.fetch_add(1, std::memory_order_relaxed);
}

void Cache::FailFill(Chunk& chunk, base::Status why) {
  coming_bytes_.fetch_sub(chunk.length, std::memory_order_relaxed);
  std::lock_guard lock(chunk.shard.mutex);
  chunk.MakeWaiting().failure = std::move(why);
  chunk.failed.store(true, std::memory_order_release);
  if (chunk.object != nullptr) {
    Object& object = *chunk.object;
    const ChunkRef keep = std::move(object.chunks_[chunk.index]);
    object.chunks_[chunk.index] = ChunkRef();
    --object.present_;
    Detach(chunk);
    NotifyWaiters(chunk, true);
    return;
  }
  NotifyWaiters(chunk, true);
}

void Cache::NotifyWaiters(Chunk& chunk, bool all) {
  if (chunk.waiting == nullptr) return;
  const std::uint32_t available = chunk.available.load(std::memory_order_relaxed);
  std::erase_if(chunk.waiting->waiters, [&](const std::pair<Waiter*, std::uint32_t>& entry) {
    if (!all && available < entry.second + kWakeBytes) return false;
    entry.first->OnChunkProgress();
    return true;
  });
}

// ---- ChunkPin and FillTicket ----

ChunkPin& ChunkPin::operator=(ChunkPin&& other) noexcept {
  if (this != &other) {
    Reset();
    cache_ = other.cache_;
    chunk_ = std::move(other.chunk_);
  }
  return *this;
}

void ChunkPin::Reset() {
  if (!chunk_) return;
  cache_->Unpin(*chunk_);
  chunk_ = ChunkRef();
}

base::Status ChunkPin::failure() const {
  std::lock_guard lock(chunk_->shard.mutex);
  return chunk_->waiting != nullptr ? chunk_->waiting->failure : base::OkStatus();
}

const char* ChunkPin::data() const { return cache_->arena_.data(chunk_->extent); }

bool ChunkPin::worth_reference() const {
  return chunk_->sent_by_reference.load(std::memory_order_relaxed) ||
         (S3Fifo<Chunk>::IsHot(*chunk_) && cache_->arena_.MayLend(chunk_->extent));
}

bool ChunkPin::Subscribe(Waiter* waiter, std::uint32_t have) {
  std::lock_guard lock(chunk_->shard.mutex);
  if (chunk_->failed.load(std::memory_order_relaxed)) return false;
  if (available() > have) return false;
  chunk_->MakeWaiting().waiters.emplace_back(waiter, have);
  return true;
}

void ChunkPin::Unsubscribe(Waiter* waiter) {
  if (!chunk_) return;
  std::lock_guard lock(chunk_->shard.mutex);
  if (chunk_->waiting == nullptr) return;
  std::erase_if(chunk_->waiting->waiters,
                [waiter](const auto& entry) { return entry.first == waiter; });
}

FillTicket::~FillTicket() {
  if (pin_) Fail(base::Cancelled("the fill was given up"));
}

std::span<char> FillTicket::Room() const {
  if (!pin_) return {};
  return {const_cast<char*>(pin_.data()) + filled_, length() - filled_};
}

void FillTicket::Advance(std::size_t bytes) {
  SLUICE_CHECK(pin_ && bytes <= length() - filled_);
  Chunk& chunk = *pin_.chunk_;
  crc_ = Crc32c({pin_.data() + filled_, bytes}, crc_);
  filled_ += static_cast<std::uint32_t>(bytes);
  chunk.available.store(filled_, std::memory_order_release);
  Cache& cache = *pin_.cache_;
  if (filled_ == length()) {
    cache.Seal(chunk, crc_);
    pin_.Reset();
    return;
  }
  std::lock_guard lock(chunk.shard.mutex);
  cache.NotifyWaiters(chunk, false);
}

void FillTicket::Fail(base::Status why) {
  SLUICE_CHECK(static_cast<bool>(pin_));
  pin_.cache_->FailFill(*pin_.chunk_, std::move(why));
  pin_.Reset();
}

}  // namespace sluice::store
