// Extents in blocks of huge pages: invariant 4 of arena.h.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "controller/base/check.h"
#include "datapath/store/arena_parts.h"

namespace sluice::store {
namespace {

std::uint32_t AllSlots(std::uint32_t count) {
  return static_cast<std::uint32_t>((std::uint64_t{1} << count) - 1);
}

}  // namespace

bool Arena::HostHasHugePages() {
  const int fd = ::open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[64];
  const ssize_t got = ::read(fd, text, sizeof text);
  ::close(fd);
  return got > 0 && std::string_view(text, static_cast<std::size_t>(got)).find("[never]") ==
                        std::string_view::npos;
}

bool Arena::FillsHugePages(std::size_t bytes) const {
  return huge_from_ > 0 && bytes >= huge_from_ && std::has_single_bit(bytes);
}

void Arena::PutInList(Extent first) {
  Block& block = BlockOf(first);
  SizeClass& slots = classes_[segments_[first.segment]->size_class];
  const auto list_of = [&slots](Block::List list) -> std::vector<Extent>* {
    return list == Block::List::kSome    ? &slots.some
           : list == Block::List::kWhole ? &slots.whole
           : list == Block::List::kSpent ? &slots.spent
                                         : nullptr;
  };
  const auto wanted = block.idle == 0 ? Block::List::kNone
                      : block.idle == AllSlots(segments_[first.segment]->slots_a_block())
                          ? Block::List::kWhole
                      : IsMuchSpent(first) ? Block::List::kSpent
                                           : Block::List::kSome;
  if (wanted == block.list) return;
  if (std::vector<Extent>* const from = list_of(block.list)) {
    BlockOf(from->back()).place = block.place;
    (*from)[block.place] = from->back();
    from->pop_back();
  }
  block.list = wanted;
  if (std::vector<Extent>* const to = list_of(wanted)) {
    block.place = static_cast<std::uint32_t>(to->size());
    to->push_back(first);
  }
}

Arena::Block& Arena::BlockOf(Extent extent) const {
  Segment& segment = *segments_[extent.segment];
  return segment.blocks[extent.slot / segment.slots_a_block()];
}

Extent Arena::FirstOf(Extent extent) const {
  const std::uint32_t count = segments_[extent.segment]->slots_a_block();
  return {extent.segment, static_cast<std::uint16_t>(extent.slot / count * count)};
}

bool Arena::IsMuchSpent(Extent first) const {
  const auto spent = static_cast<std::uint32_t>(std::popcount(BlockOf(first).spent));
  return spent * kLeftBlockDivisor >= segments_[first.segment]->slots_a_block() && spent > 0;
}

bool Arena::TakeBlock(std::size_t size_class, bool drop_others, Extent* first) {
  SizeClass& slots = classes_[size_class];
  const std::size_t block_bytes = std::max(kHugePageBytes, kPageBytes << size_class);
  if (!(drop_others ? Reserve(block_bytes)
                    : pool_.TryReserve(MemoryPool::Use::kCache, block_bytes)))
    return false;
  if (slots.bare_blocks.empty() && !AddHugeSegment(size_class)) {
    pool_.Release(MemoryPool::Use::kCache, block_bytes);
    return false;
  }
  *first = slots.bare_blocks.back();
  slots.bare_blocks.pop_back();
  Block& block = BlockOf(*first);
  block.idle = AllSlots(segments_[first->segment]->slots_a_block());
  PresentOf(*first) = static_cast<std::uint32_t>(block_bytes);
  idle_bytes_ += block_bytes;
  PutInList(*first);
  return true;
}

bool Arena::TakeHugeSlot(std::size_t size_class, For what, Extent* extent, Extent* fresh) {
  SizeClass& slots = classes_[size_class];
  if (!slots.some.empty()) {
    *extent = TakeIdle(slots.some.back());
  } else if (!slots.whole.empty() || TakeBlock(size_class, true, fresh)) {
    *extent = TakeIdle(slots.whole.back());
  } else if (what == For::kNewcomer && !slots.spent.empty()) {
    *extent = TakeIdle(slots.spent.back());
  } else {
    return false;
  }
  return true;
}

base::StatusOr<Extent> Arena::AllocateHuge(std::size_t size_class, For what, Chunk* owner) {
  Extent extent, fresh;
  {
    std::lock_guard lock(mutex_);
    if (!TakeHugeSlot(size_class, what, &extent, &fresh))
      return base::ResourceExhausted("the memory pool is full");
    Segment& segment = *segments_[extent.segment];
    if (segment.shares_pages) segment.owners[extent.slot] = owner;
  }
  if (fresh.valid()) Populate(data(fresh), std::max(kHugePageBytes, kPageBytes << size_class));
  return extent;
}

base::StatusOr<Extent> Arena::AllocateElsewhere(Extent extent, Chunk* owner) {
  return AllocateHuge(segments_[extent.segment]->size_class, For::kMove, owner);
}

bool Arena::MayLend(Extent extent) const {
  return !segments_[extent.segment]->shares_pages ||
         spent_bytes() <= pool_.cache_limit() / kLendUpToDivisor;
}

std::vector<Extent> Arena::SpentBlocks() const {
  std::vector<std::pair<std::uint64_t, Extent>> found;  // by what is spent of it
  {
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < segment_count_; ++i) {
      const Segment& segment = *segments_[i];
      if (!segment.shares_pages) continue;
      for (std::uint32_t slot = 0; slot < segment.owners.size(); slot += segment.slots_a_block()) {
        const Extent first{static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(slot)};
        if (IsMuchSpent(first))
          found.emplace_back(std::popcount(BlockOf(first).spent) * segment.slot_bytes, first);
      }
    }
  }
  std::ranges::sort(found, std::greater{}, [](const auto& block) { return block.first; });
  std::vector<Extent> blocks;
  for (const auto& [bytes, first] : found) blocks.push_back(first);
  return blocks;
}

void Arena::ForEachHeld(Extent first, const std::function<void(Chunk&, Extent)>& visit) const {
  std::lock_guard lock(mutex_);
  if (!IsMuchSpent(first)) return;  // given up meanwhile
  const Segment& segment = *segments_[first.segment];
  const Block& block = BlockOf(first);
  for (std::uint32_t i = 0; i < segment.slots_a_block(); ++i) {
    const Extent extent{first.segment, static_cast<std::uint16_t>(first.slot + i)};
    if (((block.idle | block.spent) >> i & 1) == 0 && segment.owners[extent.slot] != nullptr)
      visit(*segment.owners[extent.slot], extent);
  }
}

Extent Arena::TakeIdle(Extent first) {
  Block& block = BlockOf(first);
  const auto bit = static_cast<std::uint32_t>(std::countr_zero(block.idle));
  block.idle &= block.idle - 1;
  idle_bytes_ -= segments_[first.segment]->slot_bytes;
  PutInList(first);
  return {first.segment, static_cast<std::uint16_t>(first.slot + bit)};
}

bool Arena::TouchBlock() {
  Extent first, held;
  {
    std::lock_guard lock(mutex_);
    if (!TakeBlock(classes_.size() - 1, false, &first)) return false;
    held = TakeIdle(first);
  }
  Populate(data(first), std::max(kHugePageBytes, max_extent_bytes_));
  Free(held, false);
  return true;
}

std::uint32_t& Arena::PresentOf(Extent first) const {
  Segment& segment = *segments_[first.segment];
  return segment.present_bytes[first.slot / segment.slots_a_block()];
}

void Arena::FreeHugeSlot(Extent extent, bool sent_by_reference) {
  Segment& segment = *segments_[extent.segment];
  const Extent first = FirstOf(extent);
  Block& block = BlockOf(extent);
  const std::uint32_t bit = std::uint32_t{1} << (extent.slot - first.slot);
  (sent_by_reference ? block.spent : block.idle) |= bit;
  if (sent_by_reference) {
    spent_bytes_.fetch_add(segment.slot_bytes, std::memory_order_relaxed);
  } else {
    idle_bytes_ += segment.slot_bytes;
  }
  if (segment.shares_pages) segment.owners[extent.slot] = nullptr;
  if (block.spent != 0 && (block.idle | block.spent) == AllSlots(segment.slots_a_block()))
    DropBlock(first);
  PutInList(first);
}

// All of it is free. Whoever was sent its pages keeps them; the next use gets others.
std::uint64_t Arena::DropBlock(Extent first) {
  Segment& segment = *segments_[first.segment];
  Block& block = BlockOf(first);
  const std::uint32_t bytes = std::exchange(PresentOf(first), 0);
  SLUICE_CHECK(::madvise(data(first), bytes, MADV_DONTNEED) == 0);
  idle_bytes_ -= static_cast<std::uint64_t>(std::popcount(block.idle)) * segment.slot_bytes;
  spent_bytes_.fetch_sub(
      static_cast<std::uint64_t>(std::popcount(block.spent)) * segment.slot_bytes,
      std::memory_order_relaxed);
  block.idle = block.spent = 0;
  PutInList(first);
  classes_[segment.size_class].bare_blocks.push_back(first);
  pool_.Release(MemoryPool::Use::kCache, bytes);
  return bytes;
}

bool Arena::AddHugeSegment(std::size_t size_class) {
  if (segment_count_ == kMaxSegments) return false;
  auto segment = std::make_unique<Segment>();
  segment->size_class = size_class;
  segment->slot_bytes = kPageBytes << size_class;
  segment->bytes = kSegmentBytes;
  // A huge page lies at a multiple of its size: what is too much on either side is given back.
  void* const space = ::mmap(nullptr, kSegmentBytes + kHugePageBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED) return false;
  const auto at = reinterpret_cast<std::uintptr_t>(space);
  const std::uintptr_t base = (at + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  if (base > at) ::munmap(space, base - at);
  const std::size_t behind = kHugePageBytes - (base - at);
  if (behind > 0) ::munmap(reinterpret_cast<char*>(base) + kSegmentBytes, behind);
  segment->base = reinterpret_cast<char*>(base);
  ::madvise(segment->base, kSegmentBytes, MADV_HUGEPAGE);  // refused: ordinary pages
  const std::size_t block_bytes = std::max(kHugePageBytes, segment->slot_bytes);
  segment->blocks.resize(kSegmentBytes / block_bytes);
  segment->present_bytes.resize(segment->blocks.size());
  const auto index = static_cast<std::uint16_t>(segment_count_);
  const std::uint32_t count = segment->slots_a_block();
  segment->shares_pages = count > 1;
  if (segment->shares_pages) segment->owners.resize(kSegmentBytes / segment->slot_bytes);
  SizeClass& slots = classes_[size_class];
  for (auto i = static_cast<std::uint32_t>(segment->blocks.size()); i-- > 0;)
    slots.bare_blocks.push_back({index, static_cast<std::uint16_t>(i * count)});
  segments_[segment_count_++] = std::move(segment);
  return true;
}

}  // namespace sluice::store
