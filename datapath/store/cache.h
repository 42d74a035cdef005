// The node's one cache, shared by all loops: objects by name, chunks by (object, index), DRAM in
// front of disk.
//
// How a reader works: Find() or Publish() an object, Acquire() each chunk it needs, send from the
// pin. A chunk that is coming (from the origin by a FillTicket, from disk by the cache itself) is
// followed: Subscribe(), send what is there, wait for more. When a followed chunk fails, Acquire()
// again: the failed one is gone, and one caller gets the ticket to bring it.
//
// Single flight: of all callers that miss a chunk at once exactly one gets kFill. The ticket
// belongs to the fill, not to a client: a client that leaves cancels nothing.
//
// Locks: shard → policy, arena or a waiter's loop; eviction holds none while it takes a victim's
// shard (docs/adr/0038-cache-locks.md). A hit takes its shard's mutex twice for some tens of
// nanoseconds.
//
// Bytes that rot where they lie are looked for by a scrubber, at a bounded rate (ADR 0151). Chunks
// that nobody reads move out of huge pages that are mostly spent (ADR 0288).
//
// Thread rule: any thread. Stop: destroy it after every pin, ticket and reference is gone; the
// destructor finishes the disk writes in hand and drops those queued.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/store/arena.h"
#include "datapath/store/disk_tier.h"
#include "datapath/store/limits.h"
#include "datapath/store/memory_pool.h"
#include "datapath/store/object.h"
#include "datapath/store/pins.h"
#include "datapath/store/s3fifo.h"

namespace sluice::store {

class Cache;

// Keeps a chunk's bytes in place while they are read. Movable; one owner.
class ChunkPin {
 public:
  ChunkPin() = default;
  ChunkPin(ChunkPin&&) noexcept = default;
  ChunkPin& operator=(ChunkPin&& other) noexcept;
  ~ChunkPin() { Reset(); }

  explicit operator bool() const { return static_cast<bool>(chunk_); }
  void Reset();
  std::uint32_t index() const { return chunk_->index; }
  std::uint32_t length() const { return chunk_->length; }
  // Bytes that may be read now, from the chunk's start.
  std::uint32_t available() const { return chunk_->available.load(std::memory_order_acquire); }
  bool failed() const { return chunk_->failed.load(std::memory_order_acquire); }
  base::Status failure() const;
  // Only below available():
  const char* data() const;
  // Whether its bytes are better sent by reference than copied. A page that was sent by reference
  // is lost with the chunk, and a fresh one costs several times what a copy does (ADR 0260): so
  // only what is read often.
  bool worth_reference() const;
  // Must be called before the bytes are lent to a socket (arena.h, invariant 1).
  void MarkSentByReference() const {
    chunk_->sent_by_reference.store(true, std::memory_order_relaxed);
  }
  // `waiter` is called once when more than `have` bytes are available or the chunk failed. False:
  // that is so already, and it will not be called. At most one subscription a waiter.
  bool Subscribe(Waiter* waiter, std::uint32_t have);
  // After this `waiter` is not called.
  void Unsubscribe(Waiter* waiter);

 private:
  friend class Cache;
  friend class FillTicket;
  ChunkPin(Cache* cache, ChunkRef chunk) : cache_(cache), chunk_(std::move(chunk)) {}
  Cache* cache_ = nullptr;
  ChunkRef chunk_;
};

// The right and duty to bring one chunk's bytes. Movable; destroyed unfinished it fails the chunk.
class FillTicket {
 public:
  FillTicket() = default;
  FillTicket(FillTicket&&) noexcept = default;
  FillTicket& operator=(FillTicket&&) = delete;
  ~FillTicket();

  explicit operator bool() const { return static_cast<bool>(pin_); }
  std::uint32_t index() const { return pin_.index(); }
  std::uint32_t length() const { return pin_.length(); }
  std::uint32_t filled() const { return filled_; }
  // Where the next bytes go: the rest of the chunk. Empty when complete.
  std::span<char> Room() const;
  // `bytes` more were put into Room(). Readers see them at once. With the last byte the chunk is
  // sealed with its checksum and becomes ordinary cache content; then the ticket is spent.
  void Advance(std::size_t bytes);
  void Fail(base::Status why);

 private:
  friend class Cache;
  explicit FillTicket(ChunkPin pin) : pin_(std::move(pin)) {}
  ChunkPin pin_;
  std::uint32_t filled_ = 0;
  std::uint32_t crc_ = 0;
};

struct CacheCounters {
  std::atomic<std::uint64_t> evicted_chunks{0}, evicted_bytes{0};
  std::atomic<std::uint64_t> moved_bytes{0};     // out of huge pages that were mostly spent
  std::atomic<std::uint64_t> corrupt_chunks{0};  // failed their checksum, dropped
  std::atomic<std::uint64_t> scrubbed_bytes{0}, scrub_rounds{0};
  std::atomic<std::uint64_t> fills_shed{0};           // no memory even after evicting
  std::atomic<std::uint64_t> single_flight_waits{0};  // acquired while another brings the chunk
  std::atomic<std::uint64_t> promotions{0}, promotion_failures{0};
  std::atomic<std::uint64_t> disk_writes{0}, disk_write_failures{0}, disk_writes_shed{0};
  std::atomic<std::uint64_t> recovered_chunks{0};
  std::atomic<std::uint64_t> pins_refused{0};  // chunks that were to be pinned beyond the limit
  std::atomic<std::uint64_t> resident_bytes{0}, disk_bytes{0};
  std::atomic<std::uint64_t> objects{0};
};

class Cache final : private DiskOwner {
 public:
  struct Options {
    std::uint64_t memory_bytes = 0;  // the whole pool, buffers included
    std::uint32_t chunk_bytes = 1 << 20;
    // To no use where !Arena::HostHasHugePages() (docs/adr/0286-huge-pages.md).
    bool huge_pages = true;
    std::vector<DiskTier::Options> disks;      // one a device; none: DRAM only
    std::uint64_t scrub_bytes_per_second = 0;  // 0: no scrubber
    // False: what disks hold enters the index only when it is asked for. For tests.
    bool load_behind = true;
  };
  enum class Got : std::uint8_t {
    kReady,     // pin: all bytes are in memory
    kFollow,    // pin: bytes are coming; `from_disk` says from where
    kFill,      // pin and ticket: the caller brings them
    kAbsent,    // not here, and the caller did not want to fill
    kGone,      // the object is no longer current; look it up again
    kNoMemory,  // shed: answer SlowDown, or wait and try again
  };
  struct Acquired {
    Got got = Got::kAbsent;
    bool from_disk = false;
    ChunkPin pin;
    FillTicket ticket;
  };

  // Recovers what the devices hold; a device that cannot be used is logged, counted and left out.
  // All of it can be had from now on; counters tell of it as it enters the index behind this.
  // Errors: InvalidArgument (sizes), never a device.
  static base::StatusOr<std::unique_ptr<Cache>> Open(const Options& options, base::Clock& clock);
  ~Cache() override;
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // The current version of `name`, or nothing.
  ObjectRef Find(std::string_view name);
  // Makes `meta` the current version and marks it confirmed at `now` (MonoTime::min(): not
  // confirmed, which Confirm() may do later with the same `epoch`). The same version keeps its
  // chunks; another one replaces it, and the old version's chunks are detached.
  // Requires meta.etag not empty, name and metadata within limits.h.
  // `epoch`: what InvalidationEpoch() said before the origin was asked. If it has moved since, the
  // answer may be older than an acknowledged write: nothing is published, nothing returned.
  ObjectRef Publish(std::string_view name, ObjectMeta meta, base::MonoTime now,
                    std::uint64_t epoch);
  void Confirm(Object& object, base::MonoTime now, std::uint64_t epoch);
  std::uint64_t InvalidationEpoch(std::string_view name);
  // The origin, asked at `asked`, knows no such object; `epoch` as with Publish().
  void PublishAbsent(std::string_view name, base::MonoTime asked, std::uint64_t epoch);
  // When that was; MonoTime::min(): nobody has said so, or a write of the name went by since, or
  // there was no room to remember it.
  base::MonoTime AbsentSince(std::string_view name);
  // Forgets `name`, here and on disk. `done` runs (on any thread) when no restart can bring it
  // back; at once when there is no disk tier.
  void Invalidate(std::string_view name, std::function<void()> done);
  // The same for a name invalidated shortly before: nothing is written when nobody has published it
  // since (the usual case, behind a write that passed through).
  void InvalidateAgain(std::string_view name, std::function<void()> done);

  // From now on chunks of names that begin with one of `prefixes` are not evicted from memory, up
  // to an equal part of pinned_limit_bytes() for each prefix; beyond, and where a name is pinned no
  // more, they are as all others. Invalidation and new versions remove pinned chunks like any. At
  // most kMaxPins prefixes.
  static constexpr std::size_t kMaxPins = S3Fifo<Chunk>::kMaxPinnedQueues;
  void SetPins(std::vector<std::string> prefixes);
  std::uint64_t pinned_bytes();
  std::uint64_t pinned_limit_bytes() const { return pool_.cache_limit() / kPinnedShareDivisor; }

  // See Got. With `may_fill` false a miss answers kAbsent and starts nothing.
  Acquired Acquire(Object& object, std::uint32_t index, bool may_fill);

  // Whether chunks that nobody waits for yet may be brought: not while those that are coming hold
  // so much that readers of others would find no memory.
  bool MayFillAhead() const { return coming_bytes() < pool_.cache_limit() / kComingShareDivisor; }
  std::uint64_t coming_bytes() const { return coming_bytes_.load(std::memory_order_relaxed); }

  // Compares the next chunk with its checksum, in memory and on disk; a bad one is dropped (on disk
  // alone: its place) and counted, and the next reader has it brought anew. Walks the whole index,
  // round after round. Returns the bytes compared; 0: none in this stretch of the index. The
  // scrubber's thread calls it at its rate; otherwise one thread may.
  std::uint64_t ScrubStep();

  MemoryPool& pool() { return pool_; }
  std::uint64_t spent_bytes() const { return arena_.spent_bytes(); }  // lent, free, still held
  const CacheCounters& counters() const { return counters_; }
  std::uint32_t chunk_bytes() const { return options_.chunk_bytes; }
  std::uint64_t disk_limit_bytes() const;
  bool disk_healthy() const;
  std::uint64_t disk_damaged_places() const;  // found when the cache was opened
  // Waits until every disk write queued before this call is done. For shutdown and tests.
  void FlushDisk();
  // Until all that the disks held is in the index. For tests.
  void WaitUntilLoaded();

 private:
  friend class ChunkPin;
  friend class FillTicket;

  Cache(const Options& options, base::Clock& clock);
  Shard& ShardOf(std::uint64_t name_hash) const;
  Acquired StartFill(Object& object, std::uint32_t index, std::unique_lock<std::mutex>& lock);
  Acquired StartPromotion(Chunk& chunk, std::unique_lock<std::mutex>& lock);
  base::StatusOr<Extent> TakeExtent(Chunk& chunk);  // no lock held; evicts
  bool EvictOne();
  void Evict(Chunk& victim);                   // shard's mutex held; it is in no queue
  bool TryPin(Chunk& chunk);                   // shard's and policy's mutex held
  void Detach(Chunk& chunk);                   // shard's mutex held
  void FreeExtentIfUnpinned(Chunk& chunk);     // shard's mutex held
  void RemoveObject(Object& object);           // shard's mutex held
  void TrimObjects(Shard& shard);              // shard's mutex held
  void NotifyWaiters(Chunk& chunk, bool all);  // shard's mutex held
  void Unpin(Chunk& chunk);
  void Seal(Chunk& chunk, std::uint32_t crc);
  void FailFill(Chunk& chunk, base::Status why);
  void QueueDiskWrite(Chunk& chunk, ObjectRef object, DiskTier& disk);
  void OnPromoted(ChunkPin pin, const base::Status& read);
  // Huge pages (cache_move.cc).
  void MemoryLoop();
  bool MoveRound();
  bool Move(const ChunkRef& chunk, Extent from);
  bool Drop(Chunk& chunk);
  // The scrubber (cache_scrub.cc).
  void ScrubLoop();
  std::uint64_t ScrubChunk(Object& object, std::uint32_t index);
  std::uint64_t ScrubDisk(Chunk& chunk, const DiskPlace& place, std::uint32_t crc);
  void DropBad(Chunk& chunk, const DiskPlace* only_at);
  // What disks held (cache_recovery.cc).
  struct RecoveredTable {
    std::uint8_t device = 0;
    Recovered::Part part;
  };
  void TakeRecovered(std::uint8_t device, Recovered recovered);
  void StartLoading();
  void LoadLoop();
  // Shard's mutex held.
  ObjectRef Lookup(Shard& shard, std::string_view name, std::uint64_t hash);
  ObjectRef Wake(Shard& shard, std::string_view name, std::uint64_t hash);
  void AddRecovered(Object& object, const RecoveredTable& table, const SummaryEntry& entry);
  bool Forget(std::string_view name);  // true: it was known
  void WriteTombstones(std::string_view name, std::function<void()> done);
  ObjectRef InsertObject(Shard& shard, std::string_view name, std::uint64_t hash, ObjectMeta meta);
  std::uint64_t HashOf(std::string_view name) const;

  // DiskOwner:
  void OnSegmentRecycled(std::uint8_t device, std::uint32_t segment,
                         std::span<const ChunkRef> chunks) override;
  bool StillWanted(const Chunk& chunk) override;
  std::uint64_t NextOrder() override { return order_.fetch_add(1) + 1; }

  const Options options_;
  base::Clock& clock_;
  const std::uint64_t hash_seed_;
  MemoryPool pool_;
  Arena arena_;
  CacheCounters counters_;
  std::unique_ptr<Shard[]> shards_;             // kShards
  std::atomic<std::uint64_t> coming_bytes_{0};  // of chunks in state kFilling

  std::mutex policy_mutex_;
  S3Fifo<Chunk> policy_;  // guarded by policy_mutex_
  Pins pins_;             // guarded by policy_mutex_

  std::vector<std::unique_ptr<DiskTier>> disks_;
  // Pinned chunks whose record is overwritten are written again, unless that were most of what the
  // disks ever wrote. Set by Open(), before anything is written.
  bool rewrites_pinned_ = false;
  // Of what was written last, on any disk. It begins above what was recovered and above the wall
  // clock's microseconds, so that also what a device brings that was away meanwhile is older.
  std::atomic<std::uint64_t> order_{0};
  // Dormant entries of any shard refer to it; cleared by the loader when there are none.
  std::vector<RecoveredTable> recovered_;
  std::thread loader_;
  std::atomic<bool> loaded_{false};

  std::atomic<bool> stop_{false};
  std::thread memory_thread_;
  std::mutex background_mutex_;
  std::condition_variable background_wake_;  // at the stop, and when there is something to move
  bool mover_rests_ = false;                 // guarded by background_mutex_

  // Where the scrubber stands: in the objects that a shard had when it came there. Its thread's.
  std::size_t scrub_shard_ = 0;
  std::vector<ObjectRef> scrub_objects_;
  std::uint32_t scrub_index_ = 0;
  std::thread scrubber_;
};

}  // namespace sluice::store
