#include "datapath/store/segment_pages.h"

#include <algorithm>

#include "controller/base/check.h"
#include "datapath/store/limits.h"

namespace sluice::store {

SegmentPages::SegmentPages(Device& device, std::uint64_t start, std::uint32_t pages)
    : device_(device),
      start_(start),
      pages_(pages),
      buffer_(AllocatePages(kWindowPages * kPageBytes)) {
  SLUICE_CHECK(buffer_ != nullptr);
}

base::StatusOr<std::string_view> SegmentPages::Get(std::uint32_t page, std::uint32_t count,
                                                   std::uint32_t ahead) {
  if (page + count > pages_) return base::OutOfRange("past the segment's end");
  if (page < first_ || page + count > first_ + held_) {
    const std::uint32_t want = std::min({count + ahead, kWindowPages, pages_ - page});
    held_ = 0;
    SLUICE_RETURN_IF_ERROR(device_.Read(start_ + std::uint64_t{page} * kPageBytes,
                                        {buffer_.get(), want * kPageBytes}));
    first_ = page;
    held_ = want;
  }
  return std::string_view(buffer_.get() + (page - first_) * kPageBytes, count * kPageBytes);
}

base::StatusOr<FoundRecord> RecordAt(SegmentPages& pages, std::uint32_t page, std::uint32_t ahead) {
  auto start = pages.Get(page, 1, ahead);
  if (!start.ok() && ahead > 0) start = pages.Get(page, 1, 0);  // one bad page fails no others
  if (!start.ok()) return start.status();
  FoundRecord found;
  SLUICE_ASSIGN_OR_RETURN(found.header_pages, RecordHeaderPages(*start));
  SLUICE_ASSIGN_OR_RETURN(const std::string_view header, pages.Get(page, found.header_pages, 0));
  SLUICE_ASSIGN_OR_RETURN(found.record, DecodeRecordHeader(header));
  const Record& record = found.record;
  if (std::max({record.sequence, record.incarnation, record.generation, record.order}) >
      kMaxDiskCounter)
    return base::DataLoss("impossible counters");
  found.pages = found.header_pages +
                static_cast<std::uint32_t>(RoundToPages(found.record.data_bytes) / kPageBytes);
  if (page + found.pages > pages.count()) return base::OutOfRange("past the segment's end");
  return found;
}

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

}  // namespace sluice::store
