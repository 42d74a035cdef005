// Page-aligned extents in segments: memory that can be received into and lent to sockets.
//
// Invariants:
//  1. A page that was sent by reference is never written again: Free(extent, sent_by_reference)
//     gives it up, the kernel keeps it for whoever still has to read it, and the next user of the
//     place gets a fresh page. (docs/adr/0037-page-reuse.md)
//  2. Every page present in a segment is counted in the MemoryPool, in use or kept for reuse.
//  3. Extents of one power-of-two size class share segments, memfds; only the pages a chunk needs
//     are present, so rounding up costs address space, not memory.
//  4. With huge pages, an extent whose length is a power of two (a whole chunk, mostly) lies in a
//     block of them, private memory, which is counted and given up whole: part of a huge page given
//     up alone would stay present behind the account. What was lent is spent, free but not to be
//     written, until all of its block is free. (docs/adr/0286-huge-pages.md)
//  5. A block of which too much is spent takes newcomers last: its owner is to move what it still
//     holds elsewhere. (docs/adr/0288-chunks-move-out-of-spent-pages.md)
//
// Thread rule: any thread (one mutex; an extent is taken once per chunk filled, never per request).
// Errors: ResourceExhausted when the pool has no room (evict and ask again) or descriptors are out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "controller/base/status.h"
#include "datapath/store/limits.h"
#include "datapath/store/memory_pool.h"

namespace sluice::store {

struct Chunk;

struct Extent {
  std::uint16_t segment = kNone;
  std::uint16_t slot = 0;
  static constexpr std::uint16_t kNone = 0xffff;
  bool valid() const { return segment != kNone; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

class Arena {
 public:
  // Extents are at most `max_extent_bytes` (a power of two) long.
  // `huge_from`: the least length of those of invariant 4; 0: none. Where the host has no huge
  // pages their blocks are of ordinary ones, to no use.
  Arena(MemoryPool& pool, std::size_t max_extent_bytes, std::size_t huge_from);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  static bool HostHasHugePages();

  // `bytes` > 0; the pages are present and writable, their content is arbitrary. `owner` is told by
  // ForEachHeld(), and must live until the extent is freed.
  base::StatusOr<Extent> Allocate(std::size_t bytes, Chunk* owner = nullptr);
  void Free(Extent extent, bool sent_by_reference);

  // Whether it may be sent by reference: not where that could leave too much of the tier spent.
  bool MayLend(Extent extent) const;
  std::uint64_t spent_bytes() const { return spent_bytes_.load(std::memory_order_relaxed); }
  bool HasMuchSpent() const { return spent_bytes() > pool_.cache_limit() / kMoveAboveDivisor; }
  // Blocks of which much is spent, the most spent first; each is named by its first extent.
  std::vector<Extent> SpentBlocks() const;
  // What such a block still holds, if it still is one. Runs `visit` under the arena's lock: it may
  // take a reference, no more.
  void ForEachHeld(Extent first, const std::function<void(Chunk&, Extent)>& visit) const;
  // Room of the same size in another block, not a spent one.
  base::StatusOr<Extent> AllocateElsewhere(Extent extent, Chunk* owner);

  // The address of an extent. Valid until it is freed; no lock.
  char* data(Extent extent) const;

  // Makes free pages present ahead of use, at most `bytes`, while the pool has room; returns how
  // many were added. Called in steps by the thread that warms the tier up.
  std::uint64_t PreTouch(std::uint64_t bytes);
  std::uint64_t idle_bytes() const;  // present, counted, not in use

 private:
  struct Segment;
  struct SizeClass;
  static constexpr std::size_t kMaxSegments = Extent::kNone;

  std::size_t ClassOf(std::size_t bytes) const;
  base::StatusOr<Extent> TakeSlot(std::size_t size_class, std::size_t bytes);
  base::Status AddSegment(std::size_t size_class);
  bool Reserve(std::uint64_t bytes);
  bool DropIdle(std::uint64_t bytes);
  void Punch(Extent extent);
  bool TouchSlot();
  static void Populate(char* from, std::size_t bytes);

  // Blocks of huge pages (arena_huge.cc); each is named by its first slot.
  struct Block;
  bool FillsHugePages(std::size_t bytes) const;
  Block& BlockOf(Extent extent) const;
  Extent FirstOf(Extent extent) const;
  bool IsMuchSpent(Extent first) const;
  void PutInList(Extent first);
  bool TakeBlock(std::size_t size_class, bool drop_others, Extent* first);
  enum class For : std::uint8_t { kNewcomer, kMove };
  // `fresh`: a block that was taken for it, whose pages are still to be made present.
  bool TakeHugeSlot(std::size_t size_class, For what, Extent* extent, Extent* fresh);
  base::StatusOr<Extent> AllocateHuge(std::size_t size_class, For what, Chunk* owner);
  void FreeHugeSlot(Extent extent, bool sent_by_reference);
  Extent TakeIdle(Extent first);
  std::uint32_t& PresentOf(Extent first) const;
  bool TouchBlock();
  std::uint64_t DropBlock(Extent first);
  bool AddHugeSegment(std::size_t size_class);

  MemoryPool& pool_;
  const std::size_t max_extent_bytes_;
  const std::size_t huge_from_;
  // Readers index it without the lock: a fixed array whose entries are set once, before any extent
  // that names them is handed out.
  const std::unique_ptr<std::unique_ptr<Segment>[]> segments_;

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::size_t segment_count_ = 0;
  std::vector<SizeClass> classes_;
  std::uint64_t idle_bytes_ = 0;
  // Changed under mutex_:
  std::atomic<std::uint64_t> spent_bytes_{0};
};

}  // namespace sluice::store
