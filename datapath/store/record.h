// The bytes on disk, as FORMAT.md specifies them: encode and decode, nothing else. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "datapath/store/object.h"

namespace sluice::store {

// Written; all from 1 on are read.
inline constexpr std::uint32_t kFormatVersion = 2;

struct Superblock {
  std::uint64_t store_id = 0;     // random; another id makes every older record foreign
  std::uint64_t incarnation = 0;  // raised at each opening
  std::uint64_t segment_bytes = 0;
  std::uint32_t segment_count = 0;
  std::uint32_t chunk_bytes = 0;
};

struct SegmentHeader {
  std::uint64_t store_id = 0;
  std::uint64_t generation = 0;  // higher is younger; 0 is never written
  std::uint32_t segment = 0;
};

struct Record {
  enum class Kind : std::uint8_t { kChunk = 1, kTombstone = 2 };
  Kind kind = Kind::kChunk;
  std::uint64_t store_id = 0;
  std::uint64_t generation = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::uint32_t data_bytes = 0;
  std::uint32_t data_crc = 0;
  std::uint32_t chunk_index = 0;
  // Ascends over all devices of a node: tells a tombstone from what was written behind it
  // elsewhere. 0 in version 1.
  std::uint64_t order = 0;
  std::string name;
  ObjectMeta meta;  // not for tombstones
};

// The last page of a segment: where its summary lies (summary.h) and what it covers.
struct SegmentTrailer {
  bool open = false;  // written at a stop in order: more may follow in this segment
  std::uint64_t store_id = 0;
  std::uint64_t generation = 0;
  std::uint64_t incarnation = 0;     // of the run that wrote it
  std::uint64_t first_sequence = 0;  // of the records
  std::uint64_t next_sequence = 0;
  std::uint32_t segment = 0;
  std::uint32_t next_page = 0;  // behind the last record
  std::uint32_t table_page = 0;
  std::uint32_t table_bytes = 0;
  std::uint32_t table_crc = 0;
  std::uint32_t entries = 0;
};

// Each fills exactly one page.
void EncodeSegmentTrailer(const SegmentTrailer& trailer, std::span<char> page);
void EncodeSuperblock(const Superblock& superblock, std::span<char> page);
void EncodeSegmentHeader(const SegmentHeader& header, std::span<char> page);
// NotFound: a page of zeros or something else's; DataLoss: ours, but damaged; FailedPrecondition:
// ours, of a version this program does not read.
base::StatusOr<Superblock> DecodeSuperblock(std::string_view page);
base::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view page);
base::StatusOr<SegmentTrailer> DecodeSegmentTrailer(std::string_view page);

// The record's header, a whole number of pages; its data follows at the next page.
std::string EncodeRecordHeader(const Record& record);
// How many pages the header takes, from its first page. Errors: as above.
base::StatusOr<std::uint32_t> RecordHeaderPages(std::string_view first_page);
// `header` holds all its pages.
base::StatusOr<Record> DecodeRecordHeader(std::string_view header);

}  // namespace sluice::store
