#include "datapath/store/record.h"

#include <bit>
#include <cstring>

#include "controller/base/check.h"
#include "datapath/store/checksum.h"
#include "datapath/store/limits.h"

namespace sluice::store {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::uint32_t kSuperMagic = 0x50534c53;    // "SLSP"
constexpr std::uint32_t kSegmentMagic = 0x47534c53;  // "SLSG"
constexpr std::uint32_t kRecordMagic = 0x43524c53;   // "SLRC"
constexpr std::uint32_t kTrailerMagic = 0x4d534c53;  // "SLSM"
constexpr std::size_t kFixedRecordBytes = 80;
// Name, version and headers with their lengths: what one object may make us keep.
static_assert(kFixedRecordBytes + kMaxNameBytes + 2 * kMaxMetadataBytes <=
              kLongestHeaderPages * kPageBytes);

template <typename T>
void Put(std::span<char> page, std::size_t at, T value) {
  std::memcpy(page.data() + at, &value, sizeof value);
}
template <typename T>
T Get(std::string_view page, std::size_t at) {
  T value;
  std::memcpy(&value, page.data() + at, sizeof value);
  return value;
}

// Every structure: magic u32, checksum u32 (over all its pages with this field zero), version u32.
void Seal(std::span<char> bytes, std::uint32_t magic) {
  Put(bytes, 0, magic);
  Put(bytes, 4, std::uint32_t{0});
  Put(bytes, 8, kFormatVersion);
  Put(bytes, 4, Crc32c(std::string_view(bytes.data(), bytes.size())));
}
base::Status Open(std::string_view bytes, std::uint32_t magic) {
  if (Get<std::uint32_t>(bytes, 0) != magic) return base::NotFound("not ours");
  const char zero[4] = {};
  std::uint32_t crc = Crc32c(bytes.substr(0, 4));
  crc = Crc32c(std::string_view(zero, 4), crc);
  crc = Crc32c(bytes.substr(8), crc);
  if (crc != Get<std::uint32_t>(bytes, 4)) return base::DataLoss("checksum mismatch");
  const auto version = Get<std::uint32_t>(bytes, 8);
  if (version == 0 || version > kFormatVersion)
    return base::FailedPrecondition("another format version");
  return base::OkStatus();
}

void PutText(std::string& out, std::string_view text) {
  const auto length = static_cast<std::uint32_t>(text.size());
  out.append(reinterpret_cast<const char*>(&length), sizeof length);
  out.append(text);
}

// Reads lengths and texts; once something does not fit, everything after is refused too.
class TextReader {
 public:
  explicit TextReader(std::string_view bytes) : left_(bytes) {}
  std::uint32_t Number() {
    if (left_.size() < 4) return ok_ = false, 0;
    const auto value = Get<std::uint32_t>(left_, 0);
    left_.remove_prefix(4);
    return value;
  }
  std::string Text() {
    const std::uint32_t length = Number();
    if (!ok_ || length > left_.size()) return ok_ = false, std::string();
    std::string text(left_.substr(0, length));
    left_.remove_prefix(length);
    return text;
  }
  bool ok() const { return ok_; }

 private:
  std::string_view left_;
  bool ok_ = true;
};

}  // namespace

void EncodeSuperblock(const Superblock& superblock, std::span<char> page) {
  SLUICE_CHECK(page.size() == kPageBytes);
  std::memset(page.data(), 0, page.size());
  Put(page, 16, superblock.store_id);
  Put(page, 24, superblock.incarnation);
  Put(page, 32, superblock.segment_bytes);
  Put(page, 40, superblock.segment_count);
  Put(page, 44, superblock.chunk_bytes);
  Seal(page, kSuperMagic);
}

base::StatusOr<Superblock> DecodeSuperblock(std::string_view page) {
  SLUICE_RETURN_IF_ERROR(Open(page, kSuperMagic));
  return Superblock{.store_id = Get<std::uint64_t>(page, 16),
                    .incarnation = Get<std::uint64_t>(page, 24),
                    .segment_bytes = Get<std::uint64_t>(page, 32),
                    .segment_count = Get<std::uint32_t>(page, 40),
                    .chunk_bytes = Get<std::uint32_t>(page, 44)};
}

void EncodeSegmentHeader(const SegmentHeader& header, std::span<char> page) {
  SLUICE_CHECK(page.size() == kPageBytes);
  std::memset(page.data(), 0, page.size());
  Put(page, 16, header.store_id);
  Put(page, 24, header.generation);
  Put(page, 32, header.segment);
  Seal(page, kSegmentMagic);
}

base::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view page) {
  SLUICE_RETURN_IF_ERROR(Open(page, kSegmentMagic));
  return SegmentHeader{.store_id = Get<std::uint64_t>(page, 16),
                       .generation = Get<std::uint64_t>(page, 24),
                       .segment = Get<std::uint32_t>(page, 32)};
}

// The ids are not where a record has them: a replay that comes by must not take it for one.
void EncodeSegmentTrailer(const SegmentTrailer& trailer, std::span<char> page) {
  SLUICE_CHECK(page.size() == kPageBytes);
  std::memset(page.data(), 0, page.size());
  Put(page, 12, std::uint32_t{trailer.open});
  Put(page, 16, trailer.table_page);
  Put(page, 20, trailer.entries);
  Put(page, 32, trailer.store_id);
  Put(page, 40, trailer.generation);
  Put(page, 48, trailer.incarnation);
  Put(page, 56, trailer.first_sequence);
  Put(page, 64, trailer.next_sequence);
  Put(page, 72, trailer.table_bytes);
  Put(page, 76, trailer.table_crc);
  Put(page, 80, trailer.segment);
  Put(page, 84, trailer.next_page);
  Seal(page, kTrailerMagic);
}

base::StatusOr<SegmentTrailer> DecodeSegmentTrailer(std::string_view page) {
  SLUICE_RETURN_IF_ERROR(Open(page, kTrailerMagic));
  return SegmentTrailer{.open = Get<std::uint32_t>(page, 12) != 0,
                        .store_id = Get<std::uint64_t>(page, 32),
                        .generation = Get<std::uint64_t>(page, 40),
                        .incarnation = Get<std::uint64_t>(page, 48),
                        .first_sequence = Get<std::uint64_t>(page, 56),
                        .next_sequence = Get<std::uint64_t>(page, 64),
                        .segment = Get<std::uint32_t>(page, 80),
                        .next_page = Get<std::uint32_t>(page, 84),
                        .table_page = Get<std::uint32_t>(page, 16),
                        .table_bytes = Get<std::uint32_t>(page, 72),
                        .table_crc = Get<std::uint32_t>(page, 76),
                        .entries = Get<std::uint32_t>(page, 20)};
}

std::string EncodeRecordHeader(const Record& record) {
  std::string bytes(kFixedRecordBytes, '\0');
  PutText(bytes, record.name);
  if (record.kind == Record::Kind::kChunk) {
    PutText(bytes, record.meta.etag);
    PutText(bytes, record.meta.version_id);
    PutText(bytes, record.meta.last_modified);
    const auto count = static_cast<std::uint32_t>(record.meta.headers.size());
    bytes.append(reinterpret_cast<const char*>(&count), sizeof count);
    for (const auto& [name, value] : record.meta.headers) {
      PutText(bytes, name);
      PutText(bytes, value);
    }
  }
  const std::size_t pages = (bytes.size() + kPageBytes - 1) / kPageBytes;
  SLUICE_CHECK(pages <= kLongestHeaderPages);  // bounded before an object enters the cache
  bytes.resize(pages * kPageBytes, '\0');
  const std::span<char> out(bytes);
  Put(out, 12, static_cast<std::uint16_t>(pages));
  Put(out, 14, static_cast<std::uint16_t>(record.kind));
  Put(out, 16, record.store_id);
  Put(out, 24, record.generation);
  Put(out, 32, record.incarnation);
  Put(out, 40, record.sequence);
  Put(out, 48, record.data_bytes);
  Put(out, 52, record.data_crc);
  Put(out, 56, record.meta.size);
  Put(out, 64, record.chunk_index);
  Put(out, 72, record.order);
  Seal(out, kRecordMagic);
  return bytes;
}

base::StatusOr<std::uint32_t> RecordHeaderPages(std::string_view first_page) {
  if (Get<std::uint32_t>(first_page, 0) != kRecordMagic) return base::NotFound("not a record");
  const std::uint32_t pages = Get<std::uint16_t>(first_page, 12);
  if (pages == 0 || pages > kLongestHeaderPages) return base::DataLoss("impossible header length");
  return pages;
}

base::StatusOr<Record> DecodeRecordHeader(std::string_view header) {
  SLUICE_RETURN_IF_ERROR(Open(header, kRecordMagic));
  const auto kind = Get<std::uint16_t>(header, 14);
  if (kind != 1 && kind != 2) return base::DataLoss("unknown kind of record");
  Record record;
  record.kind = static_cast<Record::Kind>(kind);
  record.store_id = Get<std::uint64_t>(header, 16);
  record.generation = Get<std::uint64_t>(header, 24);
  record.incarnation = Get<std::uint64_t>(header, 32);
  record.sequence = Get<std::uint64_t>(header, 40);
  record.data_bytes = Get<std::uint32_t>(header, 48);
  record.data_crc = Get<std::uint32_t>(header, 52);
  record.meta.size = Get<std::uint64_t>(header, 56);
  record.chunk_index = Get<std::uint32_t>(header, 64);
  record.order = Get<std::uint64_t>(header, 72);
  TextReader texts(header.substr(kFixedRecordBytes));
  record.name = texts.Text();
  if (record.kind == Record::Kind::kChunk) {
    record.meta.etag = texts.Text();
    record.meta.version_id = texts.Text();
    record.meta.last_modified = texts.Text();
    const std::uint32_t count = texts.Number();
    for (std::uint32_t i = 0; texts.ok() && i < count; ++i) {
      std::string name = texts.Text();
      record.meta.headers.emplace_back(std::move(name), texts.Text());
    }
  }
  if (!texts.ok()) return base::DataLoss("texts run past the header");
  return record;
}

}  // namespace sluice::store
