// A disk of any content, summaries of any content among it: recovery ends, tells of no place
// outside its segment, and leaves a tier whose own writes are there after the next start.
//
// The input places structures, pages of the input's own bytes and single flipped bytes; encoders
// seal them, since hardly any input of a fuzzer's would pass a checksum.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "datapath/store/checksum.h"
#include "datapath/store/disk_tier.h"

namespace sluice::store {
namespace {

constexpr std::uint32_t kChunk = kMinChunkBytes;
constexpr std::uint32_t kSegments = kMinDiskSegments;
constexpr std::uint32_t kSegmentPages = kMinDiskSegmentBytes / kPageBytes;
constexpr std::uint64_t kStoreId = 0x51;

using Page = std::array<char, kPageBytes>;
using Pages = std::map<std::uint64_t, Page>;  // by number; what is not here reads as zeros

class SparseDevice final : public Device {
 public:
  explicit SparseDevice(Pages& pages) : pages_(pages) {}
  std::uint64_t size_bytes() const override {
    return kPageBytes + std::uint64_t{kSegments} * kMinDiskSegmentBytes;
  }
  base::Status Read(std::uint64_t offset, std::span<char> into) override {
    std::memset(into.data(), 0, into.size());
    const std::uint64_t first = offset / kPageBytes, end = first + into.size() / kPageBytes;
    for (auto it = pages_.lower_bound(first); it != pages_.end() && it->first < end; ++it)
      std::memcpy(into.data() + (it->first - first) * kPageBytes, it->second.data(), kPageBytes);
    return base::OkStatus();
  }
  base::Status Write(std::uint64_t offset, std::span<const iovec> pieces) override {
    for (const iovec& piece : pieces)
      for (std::size_t at = 0; at < piece.iov_len; at += kPageBytes, offset += kPageBytes)
        std::memcpy(pages_[offset / kPageBytes].data(),
                    static_cast<const char*>(piece.iov_base) + at, kPageBytes);
    return base::OkStatus();
  }
  base::Status Sync() override { return base::OkStatus(); }

 private:
  Pages& pages_;
};

class Owner final : public DiskOwner {
 public:
  void OnSegmentRecycled(std::uint8_t, std::uint32_t, std::span<const ChunkRef>) override {}
  bool StillWanted(const Chunk&) override { return false; }
  std::uint64_t NextOrder() override { return ++order_; }

 private:
  std::uint64_t order_ = 0;
};

// Judges what was recovered; true: a tombstone of "mark" is among it, or all was forgotten.
bool Judge(const Recovered& recovered) {
  bool marked = recovered.older_is_void;
  for (const Recovered::Part& part : recovered.parts) {
    SLUICE_CHECK(part.segment < kSegments && part.generation > 0);
    for (std::uint32_t i = 0; i < part.summary.size(); ++i) {
      const SummaryEntry entry = part.summary.entry(i);
      SLUICE_CHECK(entry.page > 0 && entry.header_pages > 0);
      SLUICE_CHECK(entry.page + entry.header_pages + RoundToPages(entry.data_bytes) / kPageBytes <=
                   kSegmentPages);
      SLUICE_CHECK(entry.order <= kMaxDiskCounter);
      ObjectMeta meta;
      static_cast<void>(part.summary.Describe(entry, meta));
      marked |= entry.tombstone() && part.summary.name(entry) == "mark";
    }
  }
  return marked;
}

void Put(Pages& disk, std::uint64_t page, std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += kPageBytes)
    std::memcpy(disk[page + at / kPageBytes].data(), bytes.data() + at,
                std::min(kPageBytes, bytes.size() - at));
}

std::string RecordOf(FuzzedDataProvider& input) {
  Record record;
  record.kind = input.ConsumeBool() ? Record::Kind::kChunk : Record::Kind::kTombstone;
  record.store_id = input.ConsumeIntegralInRange<std::uint64_t>(kStoreId - 1, kStoreId);
  record.generation = input.ConsumeIntegralInRange<std::uint64_t>(0, 6);
  record.incarnation = input.ConsumeIntegralInRange<std::uint64_t>(0, 3);
  record.sequence = input.ConsumeIntegralInRange<std::uint64_t>(0, 20);
  record.data_bytes = input.ConsumeBool() ? input.ConsumeIntegral<std::uint32_t>()
                                          : input.ConsumeIntegralInRange<std::uint32_t>(0, kChunk);
  record.chunk_index = input.ConsumeIntegral<std::uint32_t>();
  record.name = input.ConsumeRandomLengthString(64);
  record.meta.size = input.ConsumeIntegral<std::uint64_t>();
  record.meta.etag = input.ConsumeRandomLengthString(16);
  std::string bytes = EncodeRecordHeader(record);
  if (!input.ConsumeBool()) return bytes;
  // Any text or length under a checksum that holds (FORMAT.md: at 4, over all with it zero).
  const std::string own = input.ConsumeRandomLengthString(128);
  std::memcpy(bytes.data() + 12, own.data(), own.size());
  std::memset(bytes.data() + 4, 0, 4);
  const std::uint32_t crc = Crc32c(bytes);
  std::memcpy(bytes.data() + 4, &crc, sizeof crc);
  return bytes;
}

// A summary of records, of a table of the input's own bytes, or of both, at a segment's end.
void PlaceSummary(FuzzedDataProvider& input, Pages& disk, std::uint32_t segment) {
  SummaryBuilder builder;
  for (int i = input.ConsumeIntegralInRange<int>(0, 4); i > 0; --i) {
    Record record;
    record.kind = input.ConsumeBool() ? Record::Kind::kChunk : Record::Kind::kTombstone;
    record.name = input.ConsumeRandomLengthString(16);
    record.meta.etag = input.ConsumeRandomLengthString(8);
    record.meta.size = input.ConsumeIntegral<std::uint64_t>();
    record.data_bytes = input.ConsumeIntegralInRange<std::uint32_t>(0, 3 * kChunk);
    record.chunk_index = input.ConsumeIntegral<std::uint32_t>();
    record.order = input.ConsumeIntegral<std::uint64_t>();
    builder.Add(record, input.ConsumeIntegralInRange<std::uint32_t>(0, 40), 1);
  }
  std::string table(builder.bytes(), '\0');
  builder.CopyTo(table.data());
  const auto at = input.ConsumeIntegralInRange<std::size_t>(0, table.size());
  const std::string own = input.ConsumeRandomLengthString(64);
  table.replace(at, std::min(own.size(), table.size() - at), own);
  const auto pages = static_cast<std::uint32_t>(RoundToPages(table.size()) / kPageBytes);
  const std::uint64_t first = input.ConsumeIntegralInRange<std::uint64_t>(1, 20);
  const auto entries =
      input.ConsumeBool() ? builder.size() : input.ConsumeIntegral<std::uint32_t>();
  const SegmentTrailer trailer{
      .open = input.ConsumeBool(),
      .store_id = kStoreId,
      .generation = input.ConsumeIntegralInRange<std::uint64_t>(0, 6),
      .incarnation = input.ConsumeIntegralInRange<std::uint64_t>(0, 3),
      .first_sequence = first,
      .next_sequence = first + entries,
      .segment = segment,
      .next_page = input.ConsumeIntegralInRange<std::uint32_t>(1, kSegmentPages),
      .table_page =
          input.ConsumeBool() ? kSegmentPages - 1 - pages : input.ConsumeIntegral<std::uint32_t>(),
      .table_bytes = input.ConsumeBool() ? static_cast<std::uint32_t>(table.size())
                                         : input.ConsumeIntegral<std::uint32_t>(),
      .table_crc = Crc32c(table),
      .entries = entries,
  };
  const std::uint64_t end = 1 + std::uint64_t{segment + 1} * kSegmentPages;
  Put(disk, end - 1 - pages, table);
  EncodeSegmentTrailer(trailer, disk[end - 1]);
}

void Place(FuzzedDataProvider& input, Pages& disk) {
  const std::uint32_t segment = input.ConsumeIntegralInRange<std::uint32_t>(0, kSegments - 1);
  const std::uint64_t start = 1 + std::uint64_t{segment} * kSegmentPages;
  const auto page = input.ConsumeIntegralInRange<std::uint32_t>(1, 40);
  Page bytes{};
  switch (input.ConsumeIntegralInRange<int>(0, 4)) {
    case 0:
      EncodeSegmentHeader({.store_id = kStoreId,
                           .generation = input.ConsumeIntegralInRange<std::uint64_t>(0, 6),
                           .segment = segment},
                          bytes);
      return Put(disk, start, {bytes.data(), bytes.size()});
    case 1:
      return Put(disk, start + page, RecordOf(input));
    case 2:
      return Put(disk, start + (input.ConsumeBool() ? page : kSegmentPages - page),
                 input.ConsumeRandomLengthString(kPageBytes));
    case 3:
      return PlaceSummary(input, disk, segment);
    default:
      disk[start + page - 1][input.ConsumeIntegralInRange<std::size_t>(0, 127)] ^= 4;
  }
}

std::unique_ptr<DiskTier> Reopen(Pages& disk, DiskOwner& owner, base::Clock& clock) {
  const DiskTier::Options options{
      .path = {}, .bytes = 0, .open = [&] {
        return base::StatusOr<std::unique_ptr<Device>>(std::make_unique<SparseDevice>(disk));
      }};
  auto tier = DiskTier::Open(options, kChunk, 1 << 20, 0, owner, clock);
  SLUICE_CHECK(tier.ok());
  return std::move(tier).value();
}

}  // namespace
}  // namespace sluice::store

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  using namespace sluice::store;
  static const bool quiet =
      (base::log::Configure(base::log::Level::kError, base::log::Format::kText), true);
  static_cast<void>(quiet);
  FuzzedDataProvider input(data, size);
  Pages disk;
  EncodeSuperblock({.store_id = kStoreId,
                    .incarnation = input.ConsumeIntegralInRange<std::uint64_t>(0, 3),
                    .segment_bytes = kMinDiskSegmentBytes,
                    .segment_count = kSegments,
                    .chunk_bytes = kChunk},
                   disk[0]);
  for (int placed = 0; placed < 64 && input.remaining_bytes() > 0; ++placed) Place(input, disk);
  base::RealClock clock;
  Owner owner;
  auto tier = Reopen(disk, owner, clock);
  static_cast<void>(Judge(tier->TakeRecovered()));
  tier->WriteTombstone("mark", [](base::Status written) { SLUICE_CHECK(written.ok()); });
  tier->Flush();
  const Pages killed = disk;
  const bool orderly = input.ConsumeBool();  // then a summary tells of it, else the record
  tier.reset();
  if (!orderly) disk = killed;
  tier = Reopen(disk, owner, clock);
  SLUICE_CHECK(Judge(tier->TakeRecovered()));
  return 0;
}
