// A segment as recovery reads it: pages, a window at a time, and the records that begin in them.
//
// Thread rule: one thread. Blocking I/O.
#pragma once

#include <cstdint>
#include <string_view>

#include "controller/base/status.h"
#include "datapath/store/device.h"
#include "datapath/store/page_buffer.h"
#include "datapath/store/record.h"

namespace sluice::store {

inline constexpr std::uint32_t kWindowPages = 64;

class SegmentPages {
 public:
  SegmentPages(Device& device, std::uint64_t start, std::uint32_t pages);
  std::uint32_t count() const { return pages_; }

  // [page, page + count) as bytes, valid until the next call; reads up to `ahead` pages more.
  base::StatusOr<std::string_view> Get(std::uint32_t page, std::uint32_t count,
                                       std::uint32_t ahead);

 private:
  Device& device_;
  const std::uint64_t start_;
  const std::uint32_t pages_;
  const PageBuffer buffer_;
  std::uint32_t first_ = 0;
  std::uint32_t held_ = 0;
};

struct FoundRecord {
  Record record;
  std::uint32_t header_pages = 0;
  std::uint32_t pages = 0;  // with its data
};

// The record that begins at `page`. Errors: as DecodeRecordHeader() and the device; OutOfRange when
// it would reach past the segment.
base::StatusOr<FoundRecord> RecordAt(SegmentPages& pages, std::uint32_t page, std::uint32_t ahead);

// Of a segment whose header cannot be read: the highest of its records', 0 when it has none.
std::uint64_t GenerationByRecords(SegmentPages& pages, std::uint64_t store_id);

}  // namespace sluice::store
