// What a device holds when it is opened: FORMAT.md, "Recovery". Part of DiskTier.
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "datapath/store/disk_tier.h"
#include "datapath/store/limits.h"
#include "datapath/store/shard.h"
#include "datapath/store/snapshot.h"

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
  std::uint32_t count() const { return pages_; }

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

// Counters that no store reaches: one more of what lies beyond could be less.
constexpr std::uint64_t kMaxCounter = std::uint64_t{1} << 62;

struct Found {
  Record record;
  std::uint32_t header_pages = 0;
  std::uint32_t pages = 0;  // with its data
};

// The record that begins at `page`. Errors: as DecodeRecordHeader() and the device; OutOfRange when
// it would reach past the segment.
base::StatusOr<Found> RecordAt(SegmentPages& pages, std::uint32_t page, std::uint32_t ahead) {
  auto start = pages.Get(page, 1, ahead);
  if (!start.ok() && ahead > 0) start = pages.Get(page, 1, 0);  // one bad page fails no others
  if (!start.ok()) return start.status();
  Found found;
  SLUICE_ASSIGN_OR_RETURN(found.header_pages, RecordHeaderPages(*start));
  SLUICE_ASSIGN_OR_RETURN(const std::string_view header, pages.Get(page, found.header_pages, 0));
  SLUICE_ASSIGN_OR_RETURN(found.record, DecodeRecordHeader(header));
  const Record& record = found.record;
  if (std::max({record.sequence, record.incarnation, record.generation}) > kMaxCounter)
    return base::DataLoss("impossible counters");
  found.pages = found.header_pages +
                static_cast<std::uint32_t>(RoundToPages(found.record.data_bytes) / kPageBytes);
  if (page + found.pages > pages.count()) return base::OutOfRange("past the segment's end");
  return found;
}

// Where a record's header has the store's id and the segment's generation (FORMAT.md).
constexpr std::size_t kRecordIdsAt = 16;
constexpr std::uint32_t kLongestHeaderPages = 8;

// Whether a page that is no good record was one of this store once: then damage, not an end.
bool LooksOurs(std::string_view page, std::uint64_t store_id, std::uint64_t generation) {
  std::uint64_t ids[2];
  std::memcpy(ids, page.data() + kRecordIdsAt, sizeof ids);
  return ids[1] == generation && (ids[0] == store_id || RecordHeaderPages(page).ok());
}

// Of a segment whose header cannot be read: the highest of its records', 0 when it has none.
std::uint64_t GenerationByRecords(SegmentPages& pages, std::uint64_t store_id) {
  std::uint64_t highest = 0;
  for (std::uint32_t page = 1; page < pages.count();) {
    const auto found = RecordAt(pages, page, kWindowPages);
    const bool ours = found.ok() && found->record.store_id == store_id;
    if (ours) highest = std::max(highest, found->record.generation);
    page += ours ? found->pages : 1;
  }
  return highest;
}

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
  const auto snapshot = FittingSnapshot();
  ++superblock_.incarnation;  // from here on the snapshot is of another log
  SLUICE_RETURN_IF_ERROR(WriteSuperblock(*device_, superblock_));
  if (!folder_.empty()) RemoveSnapshot(folder_);
  if (snapshot != nullptr && TakeSnapshot(*snapshot)) return base::OkStatus();

  const auto segment_pages = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  std::vector<std::pair<std::uint64_t, std::uint32_t>> written;  // generation, segment
  bool damaged_end = false;
  for (std::uint32_t i = 0; i < superblock_.segment_count; ++i) {
    SegmentPages pages(*device_, SegmentStart(i), segment_pages);
    const auto bytes = pages.Get(0, 1, 0);
    if (bytes.ok()) {
      const auto header = DecodeSegmentHeader(*bytes);
      if (header.ok() && header->store_id == superblock_.store_id && header->segment == i)
        written.emplace_back(header->generation, i);
      if (header.ok() || bytes->find_first_not_of('\0') == bytes->npos) continue;  // or never used
    }
    ++damaged_places_;
    base::log::Warn("disk segment has no readable header", {{"device", number_}, {"segment", i}});
    if (const std::uint64_t generation = GenerationByRecords(pages, superblock_.store_id)) {
      written.emplace_back(generation, i);
    } else {
      damaged_end = true;  // perhaps the youngest
    }
  }
  std::sort(written.begin(), written.end());
  for (const auto& [generation, segment] : written) {
    segments_[segment].generation.store(generation);
    const base::Status end = ReplaySegment(segment, generation);
    if (segment == written.back().second && !end.ok()) {
      damaged_end = true;
      ++damaged_places_;
      base::log::Warn("the end of the log on disk is damaged; what is older is forgotten",
                      {{"device", number_}, {"segment", segment}, {"page", next_page_}});
    }
    next_generation_ = generation + 1;
    current_ = segment;
  }
  if (highest_incarnation_ >= superblock_.incarnation) {  // the superblock's last write was lost
    superblock_.incarnation = highest_incarnation_ + 1;
    SLUICE_RETURN_IF_ERROR(WriteSuperblock(*device_, superblock_));
  }
  if (damaged_end) owner_.OnRecoveredTombstone("");
  if (written.empty()) {
    current_ = superblock_.segment_count - 1;
    next_page_ = segment_pages;
  }
  return base::OkStatus();
}

// That of the log as it stands; nullptr: there is none.
std::unique_ptr<SnapshotReader> DiskTier::FittingSnapshot() {
  if (folder_.empty()) return nullptr;
  auto snapshot = SnapshotReader::Open(folder_);
  if (!snapshot.ok()) {
    if (snapshot.status().code() != base::Code::kNotFound)
      base::log::Warn("snapshot of the disk tier not used",
                      {{"device", number_}, {"error", snapshot.status()}});
    return nullptr;
  }
  const SnapshotHead& head = (*snapshot)->head();
  const bool fits =
      head.store_id == superblock_.store_id && head.incarnation == superblock_.incarnation &&
      head.generations.size() == segments_.size() && head.current < segments_.size() &&
      head.next_page <= superblock_.segment_bytes / kPageBytes;
  return fits ? std::move(snapshot).value() : nullptr;
}

bool DiskTier::TakeSnapshot(SnapshotReader& reader) {
  const SnapshotHead& head = reader.head();
  const std::uint64_t segment_pages = superblock_.segment_bytes / kPageBytes;
  for (std::size_t i = 0; i < segments_.size(); ++i)
    segments_[i].generation.store(head.generations[i]);
  RecoveredChunk found;
  DiskPlace place;
  bool fits = true;
  while (fits && reader.Next(found.record, place)) {
    const std::uint64_t end = std::uint64_t{place.page} + place.header_pages +
                              RoundToPages(found.record.data_bytes) / kPageBytes;
    fits = place.segment < segments_.size() && end <= segment_pages;
    if (!fits) break;
    place.device = number_;
    if (ChunkRef chunk = owner_.OnRecovered(found, place))
      segments_[place.segment].chunks.push_back(std::move(chunk));
  }
  if (!fits || !reader.whole()) {  // its checksum was right: a fault of ours
    base::log::Error("snapshot of the disk tier contradicts itself", {{"device", number_}});
    owner_.OnRecoveredTombstone("");
    segments_ = std::vector<Segment>(superblock_.segment_count);
    return false;
  }
  next_generation_ = head.next_generation;
  next_sequence_ = head.next_sequence;
  damaged_places_ = head.damaged_places;
  current_ = head.current;
  next_page_ = head.next_page;
  return true;
}

// After the threads have ended: nothing changes any more.
void DiskTier::SaveSnapshot() {
  SnapshotHead head{.store_id = superblock_.store_id,
                    .incarnation = superblock_.incarnation,
                    .next_generation = next_generation_,
                    .next_sequence = next_sequence_,
                    .damaged_places = damaged_places_,
                    .current = current_,
                    .next_page = next_page_,
                    .generations = {}};
  for (const Segment& segment : segments_) head.generations.push_back(segment.generation.load());
  auto writer = SnapshotWriter::Begin(folder_, head);
  base::Status outcome = writer.status();
  for (std::uint32_t i = 0; outcome.ok() && i < segments_.size(); ++i) {
    for (const ChunkRef& chunk : segments_[i].chunks) {
      const std::lock_guard lock(chunk->shard.mutex);
      const bool here = chunk->object != nullptr && chunk->place.valid() &&
                        chunk->place.segment == i && chunk->place.device == number_;
      if (here) (*writer)->Add(chunk->object->name(), chunk->object->meta(), *chunk, chunk->place);
    }
  }
  // The records first: a snapshot on the medium must not tell of what is not there.
  if (outcome.ok()) outcome = device_->Sync();
  if (outcome.ok()) outcome = (*writer)->Commit();
  if (!outcome.ok())
    base::log::Warn("snapshot of the disk tier not written; the next start replays its log",
                    {{"device", number_}, {"error", outcome}});
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
// the owner is told so by a tombstone without a name. Behind the last record lies whatever was
// there before. That is searched only when records are missing, or for all we know may be, and no
// further than the longest record reaches behind what looks like one of ours.
//
// DataLoss: behind the last record is a damaged one.
base::Status DiskTier::ReplaySegment(std::uint32_t segment, std::uint64_t generation) {
  const auto segment_pages = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  const auto longest =
      static_cast<std::uint32_t>(superblock_.chunk_bytes / kPageBytes) + kLongestHeaderPages;
  const auto ours = [&](const base::StatusOr<Found>& found, std::uint64_t of_generation) {
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
  while (page < segment_pages) {
    auto found = RecordAt(pages, page, ahead);
    // Not good: of an older use of this place, or of a write that power loss let overtake another.
    const bool good = ours(found, generation) && found->record.sequence > last_sequence &&
                      found->record.incarnation >= last_incarnation;
    if (!good) {
      if (ours(next_first, generation + 1) && next_first->record.sequence == next_sequence_) break;
      if (search_end == 0) search_end = page + longest;
      const auto bytes = pages.Get(page, 1, 0);
      if (!bytes.ok() || (!found.ok() && LooksOurs(*bytes, superblock_.store_id, generation))) {
        end = base::DataLoss("a damaged record");
        search_end = page + longest;
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
      owner_.OnRecoveredTombstone("");
    }
    end = base::OkStatus();
    search_end = 0;
    last_sequence = record.sequence;
    last_incarnation = record.incarnation;
    highest_incarnation_ = std::max(highest_incarnation_, last_incarnation);
    next_sequence_ = std::max(next_sequence_, last_sequence + 1);
    const DiskPlace place{.segment = segment,
                          .page = page,
                          .header_pages = static_cast<std::uint16_t>(found->header_pages),
                          .device = number_};
    ahead = found->pages <= kDensePages ? kWindowPages : 0;
    page += found->pages;
    next_page_ = page;
    if (record.kind == Record::Kind::kTombstone) {
      owner_.OnRecoveredTombstone(record.name);
    } else if (ChunkRef chunk = owner_.OnRecovered({record}, place)) {
      segments_[segment].chunks.push_back(std::move(chunk));
    }
  }
  return end;
}

}  // namespace sluice::store
