// Summaries at the ends of segments: written when one is full, and of the open one at a stop in
// order; read at a start. FORMAT.md, "Summary". Part of DiskTier.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <tuple>

#include "controller/base/log.h"
#include "datapath/store/checksum.h"
#include "datapath/store/disk_looked.h"
#include "datapath/store/segment_pages.h"

namespace sluice::store {
namespace {

// Calls work(i) for each i below `count`, several at a time: what takes time is the disk.
template <typename Work>
void InParallel(std::size_t count, const Work& work) {
  std::atomic<std::size_t> next{0};
  const auto run = [&] {
    for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) work(i);
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < std::min<std::size_t>(count, kRecoveryThreads); ++i)
    others.emplace_back(run);
  run();
  for (std::thread& other : others) other.join();
}

// Whether the trailer's numbers can be meant, whoever wrote them.
bool Plausible(const SegmentTrailer& trailer, std::uint64_t segment_pages) {
  const std::uint64_t table_pages = RoundToPages(trailer.table_bytes) / kPageBytes;
  return trailer.entries > 0 &&
         std::uint64_t{trailer.entries} * sizeof(SummaryEntry) <= trailer.table_bytes &&
         trailer.next_page <= trailer.table_page &&
         trailer.table_page + table_pages + 1 == segment_pages &&
         std::max(trailer.next_sequence, trailer.incarnation) <= kMaxDiskCounter &&
         trailer.first_sequence > 0 && trailer.first_sequence < trailer.next_sequence &&
         trailer.next_sequence - trailer.first_sequence == trailer.entries;
}

}  // namespace

// The segments with something of ours, by rising generation, and those that cannot be read before
// them.
std::vector<DiskTier::Looked> DiskTier::LookAtSegments(std::uint64_t last_incarnation) {
  std::vector<Looked> all(superblock_.segment_count);
  InParallel(all.size(), [&](std::size_t i) {
    all[i].segment = static_cast<std::uint32_t>(i);
    LookAt(all[i], last_incarnation);
  });
  // A header or the superblock's last write may be lost and a trailer not: its generation and its
  // incarnation must not be used again, or it would be believed.
  for (const Looked& one : all) {
    next_generation_ = std::max(next_generation_, one.trailer_generation + 1);
    highest_incarnation_ = std::max(highest_incarnation_, one.trailer_incarnation);
  }
  std::erase_if(all, [](const Looked& one) { return one.generation == 0 && !one.unreadable; });
  std::sort(all.begin(), all.end(), [](const Looked& a, const Looked& b) {
    return std::tie(a.generation, a.segment) < std::tie(b.generation, b.segment);
  });
  // The youngest that fit; those before are as good as overwritten.
  std::uint64_t bytes = 0;
  std::size_t first = all.size();
  while (first > 0 && all[first - 1].generation > 0) {
    bytes += all[first - 1].trailer.has_value() ? all[first - 1].trailer->table_bytes : 0;
    if (bytes > kMaxSummaryBytes) break;
    --first;
  }
  if (first > 0 && all[first - 1].generation > 0) {
    base::log::Warn("the disk tier holds more than the index can; the oldest is left out",
                    {{"device", number_}, {"segments", first}});
    std::erase_if(all, [oldest = all[first].generation](const Looked& one) {
      return one.generation > 0 && one.generation < oldest;
    });
  }
  InParallel(all.size(), [&](std::size_t i) { ReadSummary(all[i]); });
  return all;
}

void DiskTier::LookAt(Looked& looked, std::uint64_t last_incarnation) {
  const auto segment_pages = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  SegmentPages pages(*device_, SegmentStart(looked.segment), segment_pages);
  const auto first = pages.Get(0, 1, 0);
  const auto header =
      first.ok() ? DecodeSegmentHeader(*first) : base::StatusOr<SegmentHeader>(first.status());
  if (header.ok()) {
    if (header->store_id == superblock_.store_id && header->segment == looked.segment)
      looked.generation = header->generation;
  } else if (!first.ok() || first->find_first_not_of('\0') != first->npos) {  // was it ever used?
    base::log::Warn("disk segment has no readable header",
                    {{"device", number_}, {"segment", looked.segment}});
    looked.unreadable = true;
    looked.generation = GenerationByRecords(pages, superblock_.store_id);
  }
  const auto last = pages.Get(segment_pages - 1, 1, 0);
  if (!last.ok()) return;
  const auto trailer = DecodeSegmentTrailer(*last);
  if (trailer.ok() && trailer->store_id == superblock_.store_id) {
    looked.trailer_generation = std::min(trailer->generation, kMaxDiskCounter);
    looked.trailer_incarnation = std::min(trailer->incarnation, kMaxDiskCounter);
  }
  if (looked.unreadable) return;
  const bool ours = looked.generation > 0 && looked.trailer_generation == looked.generation &&
                    trailer->segment == looked.segment;
  looked.appendable = !ours || trailer->open;
  if (ours) looked.known_end = std::min(trailer->next_page, segment_pages);
  // One that was left open holds for the log as it was at that stop only.
  if (ours && (!trailer->open || trailer->incarnation == last_incarnation) &&
      Plausible(*trailer, segment_pages))
    looked.trailer = *trailer;
}

void DiskTier::ReadSummary(Looked& looked) {
  if (!looked.trailer.has_value()) return;
  const SegmentTrailer& trailer = *looked.trailer;
  PageBuffer table = AllocatePages(trailer.table_bytes);
  if (table == nullptr) return;
  const std::uint64_t at =
      SegmentStart(looked.segment) + std::uint64_t{trailer.table_page} * kPageBytes;
  const base::Status read = device_->Read(at, {table.get(), RoundToPages(trailer.table_bytes)});
  if (read.ok() && Crc32c({table.get(), trailer.table_bytes}) == trailer.table_crc) {
    Summary summary(std::move(table), trailer.table_bytes, trailer.entries);
    if (summary.Fits(trailer.next_page)) looked.summary = std::move(summary);
  }
  if (looked.summary.size() == 0)
    base::log::Warn("a summary on disk cannot be read; its segment is replayed",
                    {{"device", number_}, {"segment", looked.segment}});
}

void DiskTier::TakeSummary(Looked& looked) {
  const SegmentTrailer& trailer = *looked.trailer;
  if (next_sequence_ > 1 && trailer.first_sequence != next_sequence_) {
    ++damaged_places_;
    base::log::Warn("records on disk are missing; what is older is forgotten",
                    {{"device", number_}, {"segment", looked.segment}});
    ForgetOlder();
  }
  next_sequence_ = std::max(next_sequence_, trailer.next_sequence);
  first_sequence_ = trailer.first_sequence;
  summary_whole_ = true;
  summary_.Clear();
  next_page_ = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  if (trailer.open) {
    next_page_ = trailer.next_page;
    summary_.Restore(looked.summary);
  }
  recovered_.parts.push_back({looked.segment, looked.generation, std::move(looked.summary)});
}

// Writes the summary of the current segment to its end. Not when there is none, or no room; then a
// start replays the segment.
void DiskTier::SealSegment(bool open) {
  const auto segment_pages = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  const auto table_pages = static_cast<std::uint32_t>(RoundToPages(summary_.bytes()) / kPageBytes);
  if (summary_.size() == 0 || !summary_whole_ || next_page_ + table_pages + 1 > segment_pages)
    return;
  const std::size_t table_room = table_pages * kPageBytes;
  const PageBuffer pages = AllocatePages(table_room + kPageBytes);
  if (pages == nullptr) return;
  summary_.CopyTo(pages.get());
  std::memset(pages.get() + summary_.bytes(), 0, table_room - summary_.bytes());
  const SegmentTrailer trailer{
      .open = open,
      .store_id = superblock_.store_id,
      .generation = segments_[current_].generation.load(),
      .incarnation = superblock_.incarnation,
      .first_sequence = first_sequence_,
      .next_sequence = next_sequence_,
      .segment = current_,
      .next_page = next_page_,
      .table_page = segment_pages - 1 - table_pages,
      .table_bytes = static_cast<std::uint32_t>(summary_.bytes()),
      .table_crc = Crc32c({pages.get(), summary_.bytes()}),
      .entries = summary_.size(),
  };
  EncodeSegmentTrailer(trailer, {pages.get() + table_room, kPageBytes});
  const iovec piece{pages.get(), table_room + kPageBytes};
  const base::Status written =
      device_->Write(SegmentStart(current_) + std::uint64_t{trailer.table_page} * kPageBytes,
                     std::span<const iovec>(&piece, 1));
  if (!written.ok())
    base::log::Warn("summary of a disk segment not written",
                    {{"device", number_}, {"segment", current_}, {"error", written}});
}

}  // namespace sluice::store
