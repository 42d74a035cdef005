// What a device holds when it is opened: FORMAT.md, "Recovery". Part of DiskTier.
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "controller/base/log.h"
#include "datapath/store/disk_looked.h"
#include "datapath/store/disk_tier.h"
#include "datapath/store/limits.h"
#include "datapath/store/segment_pages.h"

namespace sluice::store {
namespace {

// Records shorter than this are read many at a time; of longer ones only the headers are.
constexpr std::uint32_t kDensePages = 16;

// Where a record's header has the store's id and the segment's generation (FORMAT.md).
constexpr std::size_t kRecordIdsAt = 16;

// Whether a page that is no good record was one of this store once: then damage, not an end.
bool LooksOurs(std::string_view page, std::uint64_t store_id, std::uint64_t generation) {
  std::uint64_t ids[2];
  std::memcpy(ids, page.data() + kRecordIdsAt, sizeof ids);
  return ids[1] == generation && (ids[0] == store_id || RecordHeaderPages(page).ok());
}

base::Status WritePage(Device& device, std::uint64_t offset, std::span<const char> bytes) {
  const PageBuffer page = AllocatePages(kPageBytes);
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
  const std::uint64_t last_incarnation = superblock_.incarnation++;
  SLUICE_RETURN_IF_ERROR(WriteSuperblock(*device_, superblock_));

  current_ = superblock_.segment_count - 1;
  next_page_ = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  bool damaged_end = false;
  std::vector<Looked> written = LookAtSegments(last_incarnation);
  for (Looked& looked : written) {
    if (looked.unreadable) ++damaged_places_;
    if (looked.generation == 0) {
      damaged_end = true;  // perhaps the youngest
      continue;
    }
    current_ = looked.segment;
    next_generation_ = std::max(next_generation_, looked.generation + 1);
    segments_[current_].generation.store(looked.generation);
    if (looked.summary.size() > 0) {
      TakeSummary(looked);
      continue;
    }
    const base::Status end = ReplaySegment(looked);
    if (&looked == &written.back() && !end.ok()) {
      damaged_end = true;
      ++damaged_places_;
      base::log::Warn("the end of the log on disk is damaged; what is older is forgotten",
                      {{"device", number_}, {"segment", current_}, {"page", next_page_}});
    }
    // A summary that cannot be read now may be read later: behind it nothing is appended.
    if (!looked.appendable)
      next_page_ = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  }
  if (highest_incarnation_ >= superblock_.incarnation) {  // the superblock's last write was lost
    superblock_.incarnation = highest_incarnation_ + 1;
    SLUICE_RETURN_IF_ERROR(WriteSuperblock(*device_, superblock_));
  }
  if (damaged_end) ForgetOlder();
  return base::OkStatus();
}

void DiskTier::ForgetOlder() {
  recovered_.older_is_void = true;
  recovered_.parts.clear();
  summary_.Clear();
  summary_whole_ = false;  // of the current segment it knows only a part now
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

// Replays the segment's records, over damaged ones too, and leaves next_page_ behind the last.
//
// Sequences have no holes: when one is missing, a tombstone of anything replayed so far may be, and
// all of that is forgotten. Behind the last record lies whatever was there before. That is searched
// only when records are missing, or for all we know may be, and no further than the longest record
// reaches behind what looks like one of ours, or is known to have been one.
//
// DataLoss: behind the last record is a damaged one, or were others.
base::Status DiskTier::ReplaySegment(const Looked& looked) {
  const std::uint32_t segment = looked.segment;
  const std::uint64_t generation = looked.generation;
  const auto segment_pages = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  const auto longest =
      static_cast<std::uint32_t>(superblock_.chunk_bytes / kPageBytes) + kLongestHeaderPages;
  const auto ours = [&](const base::StatusOr<FoundRecord>& found, std::uint64_t of_generation) {
    return found.ok() && found->record.store_id == superblock_.store_id &&
           found->record.generation == of_generation;
  };
  const std::uint32_t next = (segment + 1) % superblock_.segment_count;
  SegmentPages next_pages(*device_, SegmentStart(next), segment_pages);
  const auto next_first = RecordAt(next_pages, 1, 0);

  SegmentPages pages(*device_, SegmentStart(segment), segment_pages);
  base::Status end;
  std::uint64_t last_sequence = 0;
  std::uint64_t last_incarnation = 0;
  std::uint32_t ahead = kWindowPages;
  std::uint32_t search_end = 0;
  std::uint32_t page = next_page_ = 1;
  summary_.Clear();
  summary_whole_ = true;
  while (page < segment_pages) {
    auto found = RecordAt(pages, page, ahead);
    // Not good: of an older use of this place, or of a write that power loss let overtake another.
    const bool good = ours(found, generation) && found->record.sequence > last_sequence &&
                      found->record.incarnation >= last_incarnation;
    if (!good) {
      if (ours(next_first, generation + 1) && next_first->record.sequence == next_sequence_) break;
      if (search_end == 0) search_end = std::max(page, looked.known_end) + longest;
      const auto bytes = pages.Get(page, 1, 0);
      if (!bytes.ok() || (!found.ok() && LooksOurs(*bytes, superblock_.store_id, generation))) {
        end = base::DataLoss("a damaged record");
        search_end = std::max(search_end, page + longest);
      }
      if (++page > search_end) break;
      ahead = kWindowPages;
      continue;
    }
    const Record& record = found->record;
    if (next_sequence_ > 1 && record.sequence != next_sequence_) {
      ++damaged_places_;
      base::log::Warn("records on disk are damaged; what is older is forgotten",
                      {{"device", number_}, {"segment", segment}, {"page", next_page_}});
      ForgetOlder();
    }
    end = base::OkStatus();
    search_end = 0;
    last_sequence = record.sequence;
    last_incarnation = record.incarnation;
    highest_incarnation_ = std::max(highest_incarnation_, last_incarnation);
    next_sequence_ = std::max(next_sequence_, last_sequence + 1);
    if (summary_.size() == 0) first_sequence_ = last_sequence;
    summary_.Add(record, page, found->header_pages);
    ahead = found->pages <= kDensePages ? kWindowPages : 0;
    page += found->pages;
    next_page_ = page;
  }
  if (next_page_ < looked.known_end) end = base::DataLoss("records are missing");
  if (summary_.size() > 0) recovered_.parts.push_back({segment, generation, summary_.Finish()});
  return end;
}

}  // namespace sluice::store
