// What a device holds when it is opened: FORMAT.md, "Recovery". Part of DiskTier.
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "datapath/store/disk_tier.h"
#include "datapath/store/limits.h"

namespace sluice::store {
namespace {

constexpr std::uint32_t kWindowPages = 64;
// Records shorter than this are read many at a time; of longer ones only the headers are.
constexpr std::uint32_t kDensePages = 16;

// Pages of one segment, read a window at a time.
class SegmentPages {
 public:
  SegmentPages(Device& device, std::uint64_t start, std::uint32_t pages)
      : device_(device), start_(start), pages_(pages) {
    buffer_ = static_cast<char*>(std::aligned_alloc(kPageBytes, kWindowPages * kPageBytes));
    SLUICE_CHECK(buffer_ != nullptr);
  }
  ~SegmentPages() { std::free(buffer_); }
  SegmentPages(const SegmentPages&) = delete;
  SegmentPages& operator=(const SegmentPages&) = delete;

  // [page, page + count) as bytes, valid until the next call; reads up to `ahead` pages more.
  base::StatusOr<std::string_view> Get(std::uint32_t page, std::uint32_t count,
                                       std::uint32_t ahead) {
    if (page + count > pages_) return base::OutOfRange("past the segment's end");
    if (page < first_ || page + count > first_ + held_) {
      const std::uint32_t want = std::min({count + ahead, kWindowPages, pages_ - page});
      held_ = 0;
      SLUICE_RETURN_IF_ERROR(
          device_.Read(start_ + std::uint64_t{page} * kPageBytes, {buffer_, want * kPageBytes}));
      first_ = page;
      held_ = want;
    }
    return std::string_view(buffer_ + (page - first_) * kPageBytes, count * kPageBytes);
  }

 private:
  Device& device_;
  const std::uint64_t start_;
  const std::uint32_t pages_;
  char* buffer_;
  std::uint32_t first_ = 0;
  std::uint32_t held_ = 0;
};

base::Status WritePage(Device& device, std::uint64_t offset, std::span<const char> bytes) {
  std::unique_ptr<char, decltype(&std::free)> page(
      static_cast<char*>(std::aligned_alloc(kPageBytes, kPageBytes)), &std::free);
  if (page == nullptr) return base::ResourceExhausted("no memory for a page");
  std::copy(bytes.begin(), bytes.end(), page.get());
  const iovec piece{page.get(), kPageBytes};
  return device.Write(offset, std::span<const iovec>(&piece, 1));
}

base::Status WriteSuperblock(Device& device, const Superblock& superblock) {
  std::vector<char> page(kPageBytes);
  EncodeSuperblock(superblock, page);
  SLUICE_RETURN_IF_ERROR(WritePage(device, 0, page));
  return device.Sync();
}

// As many whole segments as fit, each a sixteenth of the device within limits.h.
base::StatusOr<Superblock> Layout(std::uint64_t device_bytes, std::uint32_t chunk_bytes) {
  Superblock layout;
  layout.chunk_bytes = chunk_bytes;
  const std::uint64_t least = std::max<std::uint64_t>(kMinDiskSegmentBytes, 2ull * chunk_bytes);
  const std::uint64_t wanted = device_bytes / 16 / kPageBytes * kPageBytes;
  layout.segment_bytes = std::clamp<std::uint64_t>(
      wanted, least, std::max<std::uint64_t>(least, kMaxDiskSegmentBytes));
  if (device_bytes < kPageBytes + kMinDiskSegments * layout.segment_bytes)
    return base::InvalidArgument(
        fmt::format("a disk tier needs at least {} bytes a device with chunks of {}, it has {}",
                    kPageBytes + kMinDiskSegments * least, chunk_bytes, device_bytes));
  layout.segment_count =
      static_cast<std::uint32_t>((device_bytes - kPageBytes) / layout.segment_bytes);
  return layout;
}

}  // namespace

base::Status DiskTier::Recover(std::uint32_t chunk_bytes) {
  SLUICE_ASSIGN_OR_RETURN(const Superblock layout, Layout(device_->size_bytes(), chunk_bytes));
  SegmentPages first(*device_, 0, 1);
  SLUICE_ASSIGN_OR_RETURN(const std::string_view page, first.Get(0, 1, 0));
  auto found = DecodeSuperblock(page);
  if (!found.ok() && found.status().code() == base::Code::kFailedPrecondition)
    return found.status().Annotate("the disk tier was written by another version");
  const bool same = found.ok() && found->segment_bytes == layout.segment_bytes &&
                    found->segment_count == layout.segment_count &&
                    found->chunk_bytes == layout.chunk_bytes;
  superblock_ = same ? *found : layout;
  segments_ = std::vector<Segment>(superblock_.segment_count);
  if (!same) return StartFresh(chunk_bytes);
  ++superblock_.incarnation;
  SLUICE_RETURN_IF_ERROR(WriteSuperblock(*device_, superblock_));

  std::vector<std::pair<std::uint64_t, std::uint32_t>> written;  // generation, segment
  for (std::uint32_t i = 0; i < superblock_.segment_count; ++i) {
    SegmentPages pages(*device_, SegmentStart(i), 1);
    auto bytes = pages.Get(0, 1, 0);
    if (!bytes.ok()) continue;  // unreadable: its chunks are simply not there
    auto header = DecodeSegmentHeader(*bytes);
    if (header.ok() && header->store_id == superblock_.store_id && header->segment == i)
      written.emplace_back(header->generation, i);
  }
  std::sort(written.begin(), written.end());
  for (const auto& [generation, segment] : written) {
    segments_[segment].generation.store(generation);
    const base::Status replayed = ReplaySegment(segment, generation);
    if (!replayed.ok())
      base::log::Warn("disk segment was recovered in part",
                      {{"device", number_}, {"segment", segment}, {"error", replayed}});
    next_generation_ = generation + 1;
    current_ = segment;
  }
  if (written.empty()) {
    current_ = superblock_.segment_count - 1;
    next_page_ = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  }
  return base::OkStatus();
}

base::Status DiskTier::StartFresh(std::uint32_t chunk_bytes) {
  superblock_.chunk_bytes = chunk_bytes;
  superblock_.incarnation = 1;
  if (::getrandom(&superblock_.store_id, sizeof superblock_.store_id, 0) !=
      sizeof superblock_.store_id)
    return base::Unavailable("no random bytes from the system");
  SLUICE_RETURN_IF_ERROR(WriteSuperblock(*device_, superblock_));
  current_ = superblock_.segment_count - 1;
  next_page_ = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  return base::OkStatus();
}

// Replays records until the first that is not this segment's next one, and leaves next_page_ there.
base::Status DiskTier::ReplaySegment(std::uint32_t segment, std::uint64_t generation) {
  const auto segment_pages = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  SegmentPages pages(*device_, SegmentStart(segment), segment_pages);
  std::uint64_t last_sequence = 0;
  std::uint64_t last_incarnation = 0;
  std::uint32_t ahead = kWindowPages;
  next_page_ = 1;
  while (next_page_ < segment_pages) {
    SLUICE_ASSIGN_OR_RETURN(const std::string_view start, pages.Get(next_page_, 1, ahead));
    auto header_pages = RecordHeaderPages(start);
    if (!header_pages.ok() || next_page_ + *header_pages > segment_pages) break;
    SLUICE_ASSIGN_OR_RETURN(const std::string_view header, pages.Get(next_page_, *header_pages, 0));
    auto record = DecodeRecordHeader(header);
    if (!record.ok()) break;
    // A header of an older use of this place, or of a write that power loss let overtake another.
    if (record->store_id != superblock_.store_id || record->generation != generation ||
        record->sequence <= last_sequence || record->incarnation < last_incarnation)
      break;
    const auto data_pages =
        static_cast<std::uint32_t>((record->data_bytes + kPageBytes - 1) / kPageBytes);
    if (next_page_ + *header_pages + data_pages > segment_pages) break;
    last_sequence = record->sequence;
    last_incarnation = record->incarnation;
    next_sequence_ = std::max(next_sequence_, last_sequence + 1);
    const DiskPlace place{.segment = segment,
                          .page = next_page_,
                          .header_pages = static_cast<std::uint16_t>(*header_pages),
                          .device = number_};
    if (record->kind == Record::Kind::kTombstone) {
      owner_.OnRecoveredTombstone(record->name);
    } else if (ChunkRef chunk = owner_.OnRecovered({std::move(*record)}, place)) {
      segments_[segment].chunks.push_back(std::move(chunk));
    }
    const std::uint32_t taken = *header_pages + data_pages;
    ahead = taken <= kDensePages ? kWindowPages : 0;
    next_page_ += taken;
  }
  return base::OkStatus();
}

}  // namespace sluice::store
