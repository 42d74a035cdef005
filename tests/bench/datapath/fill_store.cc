// Makes a disk tier's file with as many chunks as wanted, written as the tier itself writes them
// (datapath/store/FORMAT.md), without a cache: `fill_store FOLDER BYTES CHUNK_BYTES COUNT`.
//
// Every chunk is an object of its own, lake/bench/o4096-N, with a page of zeros for data and the
// ETag that bench_origin.py gives it; so a record is two pages, and a million of them 8 GB. All but
// the last segment end with their summary, as a crash leaves them.
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "datapath/store/checksum.h"
#include "datapath/store/limits.h"
#include "datapath/store/record.h"
#include "datapath/store/summary.h"

namespace {

using sluice::store::kPageBytes;
using sluice::store::Record;

constexpr std::uint64_t kStoreId = 0x51f00d;
constexpr std::uint32_t kDataBytes = kPageBytes;

std::string Etag(const std::string& path) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_Digest(path.data(), path.size(), digest, &length, EVP_md5(), nullptr);
  std::string text = "\"";
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text + "\"";
}

Record Chunk(std::uint64_t number, std::uint64_t generation, std::uint32_t crc) {
  Record record;
  record.store_id = kStoreId;
  record.generation = generation;
  record.incarnation = 1;
  record.sequence = record.order = number + 1;
  record.data_bytes = kDataBytes;
  record.data_crc = crc;
  const std::string key = fmt::format("o{}-{}", kDataBytes, number);
  record.name = std::string("lake") + '\0' + "bench" + '\0' + key;
  record.meta.etag = Etag("/bench/" + key);
  record.meta.size = kDataBytes;
  record.meta.last_modified = "Sun, 22 Nov 2026 00:00:00 GMT";
  record.meta.headers = {{"Content-Type", "application/octet-stream"}};
  return record;
}

// One segment's pages with chunks from `number` on, at most up to `count`; returns the next number.
// One that ends with the last chunk gets no summary.
std::uint64_t Fill(const sluice::store::Superblock& layout, std::uint32_t segment,
                   std::uint64_t number, std::uint64_t count, std::string& text) {
  const std::uint64_t segment_pages = layout.segment_bytes / kPageBytes;
  const std::uint64_t generation = segment + 1;
  const std::uint32_t crc = sluice::store::Crc32c(std::string(kDataBytes, '\0'));
  const std::uint64_t first = number;
  sluice::store::SummaryBuilder summary;
  text.assign(kPageBytes, '\0');
  sluice::store::EncodeSegmentHeader(
      {.store_id = kStoreId, .generation = generation, .segment = segment}, text);
  for (; number < count; ++number) {
    const Record record = Chunk(number, generation, crc);
    const std::string header = EncodeRecordHeader(record);
    const std::uint64_t page = text.size() / kPageBytes;
    const std::uint64_t end = page + (header.size() + kDataBytes) / kPageBytes;
    const std::uint64_t reserve =
        sluice::store::RoundToPages(summary.bytes_with(record)) / kPageBytes + 1;
    if (end + reserve > segment_pages) break;
    summary.Add(record, static_cast<std::uint32_t>(page),
                static_cast<std::uint32_t>(header.size() / kPageBytes));
    text += header + std::string(kDataBytes, '\0');
  }
  if (number == count) return number;
  std::string table(summary.bytes(), '\0');
  summary.CopyTo(table.data());
  const std::uint64_t table_page =
      segment_pages - 1 - sluice::store::RoundToPages(table.size()) / kPageBytes;
  const sluice::store::SegmentTrailer trailer{
      .store_id = kStoreId,
      .generation = generation,
      .incarnation = 1,
      .first_sequence = first + 1,
      .next_sequence = number + 1,
      .segment = segment,
      .next_page = static_cast<std::uint32_t>(text.size() / kPageBytes),
      .table_page = static_cast<std::uint32_t>(table_page),
      .table_bytes = static_cast<std::uint32_t>(table.size()),
      .table_crc = sluice::store::Crc32c(table),
      .entries = summary.size()};
  text.resize(table_page * kPageBytes, '\0');
  text += table;
  text.resize(layout.segment_bytes, '\0');
  sluice::store::EncodeSegmentTrailer(trailer,
                                      {text.data() + text.size() - kPageBytes, kPageBytes});
  return number;
}

bool WriteAt(int fd, std::uint64_t offset, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

int Fail(const char* what) {
  std::perror(what);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fprintf(stderr, "FOLDER BYTES CHUNK_BYTES COUNT\n"), 2;
  const std::uint64_t bytes = std::strtoull(argv[2], nullptr, 10);
  const std::uint64_t count = std::strtoull(argv[4], nullptr, 10);
  sluice::store::Superblock layout;
  layout.store_id = kStoreId;
  layout.incarnation = 1;
  layout.chunk_bytes = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
  // As DiskTier lays a device out.
  layout.segment_bytes = std::clamp<std::uint64_t>(bytes / 16 / kPageBytes * kPageBytes,
                                                   sluice::store::kMinDiskSegmentBytes,
                                                   sluice::store::kMaxDiskSegmentBytes);
  layout.segment_count = static_cast<std::uint32_t>((bytes - kPageBytes) / layout.segment_bytes);
  std::filesystem::create_directories(argv[1]);
  const std::string path = std::string(argv[1]) + "/store.sluice";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Fail(path.c_str());
  if (::posix_fallocate(fd, 0, static_cast<off_t>(bytes)) != 0) return Fail("allocate");
  std::string page(kPageBytes, '\0');
  EncodeSuperblock(layout, page);
  if (!WriteAt(fd, 0, page)) return Fail("write");
  std::uint64_t number = 0;
  std::string text;
  for (std::uint32_t segment = 0; number < count; ++segment) {
    if (segment == layout.segment_count)
      return std::fprintf(stderr, "room for %llu chunks only\n",
                          static_cast<unsigned long long>(number)),
             2;
    number = Fill(layout, segment, number, count, text);
    if (!WriteAt(fd, kPageBytes + segment * layout.segment_bytes, text)) return Fail("write");
  }
  if (::fsync(fd) != 0) return Fail("sync");
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
  return 0;
}
