// The index's values: an Object is one version of one origin object, a Chunk one piece of it on the
// fixed grid of Cache::Options::chunk_bytes.
//
// Invariants:
//  1. An Object never changes its version (ETag, version id, size); a changed object is a new
//  Object.
//     So whoever holds an ObjectRef or a chunk of it reads bytes of one version only.
//  2. Only an Object in the index has chunks. When it leaves, its chunks are detached: readers that
//     hold them read on, nobody new finds them, and their memory goes with the last reader.
//  3. A chunk's extent is fixed while a reader has it pinned; bytes below `available` do not change
//     any more.
//
// Thread rule: fields marked (shard) are guarded by the shard's mutex, (policy) by the policy's;
// the others are constant or atomic.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/store/arena.h"
#include "datapath/store/s3fifo.h"

namespace sluice::store {

// Intrusive reference: T has Ref() and Unref().
template <typename T>
class RefPtr {
 public:
  RefPtr() = default;
  explicit RefPtr(T* target) : target_(target) {
    if (target_ != nullptr) target_->Ref();
  }
  RefPtr(const RefPtr& other) : RefPtr(other.target_) {}
  RefPtr(RefPtr&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  RefPtr& operator=(RefPtr other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~RefPtr() {
    if (target_ != nullptr) target_->Unref();
  }
  T* get() const { return target_; }
  T* operator->() const { return target_; }
  T& operator*() const { return *target_; }
  explicit operator bool() const { return target_ != nullptr; }
  friend bool operator==(const RefPtr& a, const RefPtr& b) { return a.target_ == b.target_; }

 private:
  T* target_ = nullptr;
};

// What the origin said about an object, kept to repeat it. Opaque to the cache but for the version.
struct ObjectMeta {
  std::string etag;        // as the origin gave it, quotes included; never empty
  std::string version_id;  // "" when the origin has none
  std::uint64_t size = 0;
  std::string last_modified;                                 // HTTP date
  std::vector<std::pair<std::string, std::string>> headers;  // the others worth repeating
  // Rendered once by the owner for the answer's head; not stored on disk.
  std::string rendered;

  bool SameVersion(const ObjectMeta& other) const {
    return etag == other.etag && version_id == other.version_id && size == other.size;
  }
  bool SameAnswer(const ObjectMeta& other) const {
    return last_modified == other.last_modified && headers == other.headers;
  }
};

// Where a chunk's record lies in the disk tier.
struct DiskPlace {
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::uint32_t segment = kNone;
  std::uint32_t page = 0;  // of the record's first byte, in kPageBytes
  std::uint16_t header_pages = 0;
  std::uint8_t device = 0;
  bool valid() const { return segment != kNone; }
  friend bool operator==(const DiskPlace&, const DiskPlace&) = default;
};

// Told that a chunk it waits for has more bytes or has failed. Runs on any thread, under a lock:
// it may only pass the word on (post to a loop).
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void OnChunkProgress() = 0;
};

class Object;
struct Shard;

struct Chunk {
  enum class State : std::uint8_t {
    kFilling,   // a FillTicket brings bytes
    kResident,  // all bytes in memory
    kOnDisk,    // in the disk tier only
  };
  Chunk(Shard& in_shard, Object* of, std::uint32_t at, std::uint32_t bytes, std::uint64_t hashed)
      : shard(in_shard), index(at), length(bytes), hash(hashed), object(of) {}

  void Ref() { refs.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // There while somebody waits for bytes, and after a failure.
  struct Waiting {
    std::vector<std::pair<Waiter*, std::uint32_t>> waiters;  // and from how many bytes on to wake
    base::Status failure;
  };
  Waiting& MakeWaiting() {  // (shard)
    if (waiting == nullptr) waiting = std::make_unique<Waiting>();
    return *waiting;
  }

  Shard& shard;
  const std::uint32_t index;
  const std::uint32_t length;
  const std::uint64_t hash;

  std::atomic<std::uint32_t> refs{0};
  std::atomic<std::uint32_t> pins{0};  // raised under the shard's mutex, lowered anywhere
  std::atomic<std::uint32_t> available{0};
  std::atomic<bool> detached{false};
  std::atomic<bool> failed{false};
  std::atomic<bool> sent_by_reference{false};
  State state = State::kFilling;  // (shard)

  // (shard)
  Object* object;  // null once detached
  std::unique_ptr<Waiting> waiting;
  Extent extent;          // valid while bytes are or come into memory
  std::uint32_t crc = 0;  // CRC32C of all bytes, once they were all here
  DiskPlace place;

  // (policy), but fifo_hits
  FifoQueue fifo_queue = FifoQueue::kNone;
  std::atomic<std::uint8_t> fifo_hits{0};
  Chunk* fifo_next = nullptr;
  Chunk* fifo_previous = nullptr;
  std::uint32_t fifo_bytes() const { return length; }
  std::uint64_t fifo_hash() const { return hash; }
};
using ChunkRef = RefPtr<Chunk>;
// With the allocator's 8 bytes, the 8 of the object's table and the 8 of the arena's: 120 a cached
// chunk.
static_assert(sizeof(Chunk) <= 96);

class Object {
 public:
  Object(Shard& in_shard, std::string name, std::uint64_t name_hash, ObjectMeta meta,
         std::uint32_t chunk_bytes);

  const std::string& name() const { return name_; }
  const ObjectMeta& meta() const { return meta_; }
  std::uint32_t chunk_bytes() const { return chunk_bytes_; }
  std::uint32_t chunk_count() const { return chunk_count_; }
  std::uint32_t chunk_length(std::uint32_t index) const;

  // When the origin last confirmed this version; MonoTime::min() after a restart.
  base::MonoTime checked_at() const {
    return base::MonoTime(base::Duration(checked_at_.load(std::memory_order_relaxed)));
  }
  void SetCheckedAt(base::MonoTime at) {
    checked_at_.store(at.time_since_epoch().count(), std::memory_order_relaxed);
  }
  // The lines "x-amz-checksum-…: …" that the origin gave for the whole object, to be told to who
  // asks; nullptr while it was not asked for them. Kept in memory only. Any thread; set once.
  const std::string* checksums() const { return checksums_.load(std::memory_order_acquire); }
  void SetChecksums(std::string lines);

  // False once another version took its place or it was invalidated.
  bool current() const { return current_.load(std::memory_order_acquire); }

  void Ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  friend class Cache;
  ~Object() { delete checksums_.load(std::memory_order_relaxed); }

  Shard& shard_;
  const std::string name_;
  const std::uint64_t name_hash_;
  const ObjectMeta meta_;
  const std::uint32_t chunk_bytes_;
  const std::uint32_t chunk_count_;
  const std::uint64_t version_hash_;
  std::atomic<std::uint32_t> refs_{0};
  std::atomic<base::Duration::rep> checked_at_{base::MonoTime::min().time_since_epoch().count()};
  std::atomic<bool> current_{true};
  std::atomic<const std::string*> checksums_{nullptr};
  std::vector<ChunkRef> chunks_;  // (shard) the presence map: empty reference = absent
  std::uint32_t present_ = 0;     // (shard) non-empty references in it
};
using ObjectRef = RefPtr<Object>;

}  // namespace sluice::store
