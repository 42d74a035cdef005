#include "datapath/store/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "controller/base/check.h"
#include "datapath/store/arena_parts.h"

namespace sluice::store {

// One call for all pages instead of a fault for each. A kernel without it faults later.
void Arena::Populate(char* from, std::size_t bytes) { ::madvise(from, bytes, MADV_POPULATE_WRITE); }

Arena::Arena(MemoryPool& pool, std::size_t max_extent_bytes, std::size_t huge_from)
    : pool_(pool),
      max_extent_bytes_(max_extent_bytes),
      huge_from_(huge_from),
      segments_(std::make_unique<std::unique_ptr<Segment>[]>(kMaxSegments)) {
  SLUICE_CHECK(std::has_single_bit(max_extent_bytes) && max_extent_bytes >= kPageBytes);
  classes_.resize(ClassOf(max_extent_bytes) + 1);
}

Arena::~Arena() {
  for (std::size_t i = 0; i < segment_count_; ++i) {
    Segment& segment = *segments_[i];
    for (const std::uint32_t present : segment.present_bytes)
      pool_.Release(MemoryPool::Use::kCache, present);
    ::munmap(segment.base, segment.bytes);
    if (segment.fd >= 0) ::close(segment.fd);
  }
}

std::size_t Arena::ClassOf(std::size_t bytes) const {
  const std::size_t slot = std::bit_ceil(std::max(bytes, kPageBytes));
  return static_cast<std::size_t>(std::countr_zero(slot) - std::countr_zero(kPageBytes));
}

char* Arena::data(Extent extent) const {
  const Segment& segment = *segments_[extent.segment];
  return segment.base + extent.slot * segment.slot_bytes;
}

base::StatusOr<Extent> Arena::Allocate(std::size_t bytes, Chunk* owner) {
  SLUICE_CHECK(bytes > 0 && bytes <= max_extent_bytes_);
  if (FillsHugePages(bytes)) {
    if (auto extent = AllocateHuge(ClassOf(bytes), For::kNewcomer, owner); extent.ok())
      return extent;
  }
  const std::size_t need = RoundToPages(bytes);
  Extent extent;
  std::size_t populate_from = 0;
  {
    std::lock_guard lock(mutex_);
    SLUICE_ASSIGN_OR_RETURN(extent, TakeSlot(ClassOf(bytes), need));
    std::uint32_t& present = segments_[extent.segment]->present_bytes[extent.slot];
    populate_from = present;
    present = static_cast<std::uint32_t>(std::max<std::size_t>(present, need));
  }
  if (populate_from < need) Populate(data(extent) + populate_from, need - populate_from);
  return extent;
}

// Takes a free slot and reserves what its missing pages need.
base::StatusOr<Extent> Arena::TakeSlot(std::size_t size_class, std::size_t need) {
  SizeClass& slots = classes_[size_class];
  if (!slots.idle.empty()) {
    const Extent extent = slots.idle.back();
    const std::uint32_t present = segments_[extent.segment]->present_bytes[extent.slot];
    if (present >= need || Reserve(need - present)) {
      // Reserve() may have dropped idle slots of any class, this one included.
      if (!slots.idle.empty() && slots.idle.back().segment == extent.segment &&
          slots.idle.back().slot == extent.slot) {
        slots.idle.pop_back();
        idle_bytes_ -= present;
        return extent;
      }
      pool_.Release(MemoryPool::Use::kCache, need - present);
    }
  }
  if (slots.bare.empty()) SLUICE_RETURN_IF_ERROR(AddSegment(size_class));
  if (!Reserve(need)) return base::ResourceExhausted("the memory pool is full");
  const Extent extent = slots.bare.back();
  slots.bare.pop_back();
  return extent;
}

bool Arena::Reserve(std::uint64_t bytes) {
  while (!pool_.TryReserve(MemoryPool::Use::kCache, bytes)) {
    if (!DropIdle(bytes)) return false;
  }
  return true;
}

// Gives at least one idle slot's pages back to the kernel; false when there is none.
bool Arena::DropIdle(std::uint64_t bytes) {
  std::uint64_t dropped = 0;
  for (auto slots = classes_.rbegin(); slots != classes_.rend() && dropped < bytes; ++slots) {
    while (!slots->whole.empty() && dropped < bytes) dropped += DropBlock(slots->whole.back());
    while (!slots->idle.empty() && dropped < bytes) {
      const Extent extent = slots->idle.back();
      slots->idle.pop_back();
      const std::uint32_t present = segments_[extent.segment]->present_bytes[extent.slot];
      idle_bytes_ -= present;
      dropped += present;
      Punch(extent);
      slots->bare.push_back(extent);
    }
  }
  return dropped > 0;
}

void Arena::Punch(Extent extent) {
  Segment& segment = *segments_[extent.segment];
  std::uint32_t& present = segment.present_bytes[extent.slot];
  const int done = ::fallocate(segment.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               static_cast<off_t>(extent.slot * segment.slot_bytes), present);
  SLUICE_CHECK(done == 0);  // on a memfd of ours it can only fail by a bug
  pool_.Release(MemoryPool::Use::kCache, present);
  present = 0;
}

void Arena::Free(Extent extent, bool sent_by_reference) {
  std::lock_guard lock(mutex_);
  const Segment& segment = *segments_[extent.segment];
  if (!segment.blocks.empty()) return FreeHugeSlot(extent, sent_by_reference);
  SizeClass& slots = classes_[segment.size_class];
  if (sent_by_reference) {
    Punch(extent);
    slots.bare.push_back(extent);
    return;
  }
  idle_bytes_ += segment.present_bytes[extent.slot];
  slots.idle.push_back(extent);
}

base::Status Arena::AddSegment(std::size_t size_class) {
  if (segment_count_ == kMaxSegments) return base::ResourceExhausted("too many memory segments");
  auto segment = std::make_unique<Segment>();
  segment->size_class = size_class;
  segment->slot_bytes = kPageBytes << size_class;
  segment->bytes = std::max(kSegmentBytes, segment->slot_bytes);
  segment->fd = ::memfd_create("sluice-cache", MFD_CLOEXEC);
  if (segment->fd < 0) return base::FromErrno(errno, "memfd_create");
  if (::ftruncate(segment->fd, static_cast<off_t>(segment->bytes)) != 0) {
    const base::Status failed = base::FromErrno(errno, "size a memory segment");
    ::close(segment->fd);
    return failed;
  }
  void* base = ::mmap(nullptr, segment->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                      segment->fd, 0);
  if (base == MAP_FAILED) {
    const base::Status failed = base::FromErrno(errno, "map a memory segment");
    ::close(segment->fd);
    return failed;
  }
  segment->base = static_cast<char*>(base);
  // A hole in the middle of a huge page would be zeroed where it lies, under whoever was sent it.
  ::madvise(base, segment->bytes, MADV_NOHUGEPAGE);
  const auto count = static_cast<std::uint32_t>(segment->bytes / segment->slot_bytes);
  segment->present_bytes.assign(count, 0);
  SizeClass& slots = classes_[size_class];
  slots.bare.reserve(slots.bare.size() + count);
  const auto index = static_cast<std::uint16_t>(segment_count_);
  for (std::uint32_t slot = count; slot-- > 0;)
    slots.bare.push_back({index, static_cast<std::uint16_t>(slot)});
  segments_[segment_count_++] = std::move(segment);
  return base::OkStatus();
}

std::uint64_t Arena::PreTouch(std::uint64_t bytes) {
  const bool huge = FillsHugePages(max_extent_bytes_);
  const std::size_t step = huge ? std::max(kHugePageBytes, max_extent_bytes_) : max_extent_bytes_;
  std::uint64_t touched = 0;
  while (touched + step <= bytes && (huge ? TouchBlock() : TouchSlot())) touched += step;
  return touched;
}

// The slot, or block, is ours, like one being allocated, while its pages come: that takes long, and
// fills must not wait for it.
bool Arena::TouchSlot() {
  Extent extent;
  {
    std::lock_guard lock(mutex_);
    SizeClass& slots = classes_.back();
    if (slots.bare.empty() && !AddSegment(classes_.size() - 1).ok()) return false;
    if (!pool_.TryReserve(MemoryPool::Use::kCache, max_extent_bytes_)) return false;
    extent = slots.bare.back();
    slots.bare.pop_back();
    segments_[extent.segment]->present_bytes[extent.slot] =
        static_cast<std::uint32_t>(max_extent_bytes_);
  }
  Populate(data(extent), max_extent_bytes_);
  Free(extent, false);
  return true;
}

std::uint64_t Arena::idle_bytes() const {
  std::lock_guard lock(mutex_);
  return idle_bytes_;
}

}  // namespace sluice::store
