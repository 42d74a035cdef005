// What the records of one segment say, in the order in which they were written, as it lies at the
// segment's end (FORMAT.md, "Summary"): so that a start need not read the records, and can leave a
// name's entries as they are until somebody asks for it.
//
// Pure. Thread rule: SummaryBuilder one thread; Summary any, it is immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "datapath/store/page_buffer.h"
#include "datapath/store/record.h"

namespace sluice::store {

// As on disk.
struct SummaryEntry {
  std::uint32_t page = 0;  // of the record, in the segment
  std::uint16_t header_pages = 0;
  std::uint16_t kind = 0;  // Record::Kind
  std::uint32_t data_bytes = 0;
  std::uint32_t data_crc = 0;
  std::uint32_t chunk_index = 0;
  std::uint32_t object_at = 0;  // of its texts, behind the entries
  std::uint64_t order = 0;

  bool tombstone() const { return kind == static_cast<std::uint16_t>(Record::Kind::kTombstone); }
};
static_assert(sizeof(SummaryEntry) == 32);

class Summary {
 public:
  Summary() = default;
  // The first `bytes` of `table`, of which so many are entries. Requires
  // entries * sizeof(SummaryEntry) <= bytes.
  Summary(PageBuffer table, std::size_t bytes, std::uint32_t entries);

  std::uint32_t size() const { return entries_; }
  std::size_t bytes() const { return bytes_; }
  SummaryEntry entry(std::uint32_t i) const;
  // Of any entry, whatever it says; empty: it does not fit.
  std::string_view name(const SummaryEntry& entry) const;
  // False: it does not fit.
  bool Describe(const SummaryEntry& entry, ObjectMeta& meta) const;
  // Every entry is of a known kind, names something and lies within pages [1, end_page).
  bool Fits(std::uint32_t end_page) const;
  std::string_view table() const { return {table_.get(), bytes_}; }

 private:
  std::string_view TextsFrom(std::uint32_t at) const;

  PageBuffer table_;
  std::size_t bytes_ = 0;
  std::uint32_t entries_ = 0;
};

class SummaryBuilder {
 public:
  void Clear();
  void Restore(const Summary& summary);  // goes on behind its last entry
  void Add(const Record& record, std::uint32_t page, std::uint32_t header_pages);
  std::uint32_t size() const { return count_; }
  std::size_t bytes() const { return entries_.size() + texts_.size(); }
  // No more than this with one more record.
  std::size_t bytes_with(const Record& record) const;
  void CopyTo(char* table) const;  // bytes() of them
  Summary Finish() const;          // a copy; no memory: an empty one

 private:
  // `block`'s place in the texts: that of the last such block when it is the same.
  std::uint32_t Place(const std::string& block, std::uint32_t* last_at, std::uint32_t* last_bytes);

  std::string entries_;
  std::string texts_;
  std::uint32_t count_ = 0;
  std::uint32_t last_headers_at_ = 0, last_headers_bytes_ = 0;
  std::uint32_t last_object_at_ = 0, last_object_bytes_ = 0;
};

}  // namespace sluice::store
