#include "datapath/store/snapshot.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "datapath/store/checksum.h"
#include "datapath/store/limits.h"

namespace sluice::store {
namespace {

constexpr std::uint32_t kSnapshotMagic = 0x58494c53;  // "SLIX"
constexpr std::uint32_t kSnapshotVersion = 1;
constexpr std::size_t kHeadBytes = 80;
constexpr std::size_t kFlushBytes = 1 << 20;
constexpr std::uint16_t kSameObject = 1;
constexpr std::uint32_t kMaxHeaders = 1024;

std::string FinalPath(const std::string& folder) { return folder + "/index.sluice"; }
std::string NewPath(const std::string& folder) { return folder + "/index.sluice.new"; }

template <typename T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void AppendText(std::string& out, std::string_view text) {
  Append(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

template <typename T>
T At(const char* head, std::size_t offset) {
  T value;
  std::memcpy(&value, head + offset, sizeof value);
  return value;
}

}  // namespace

base::StatusOr<std::unique_ptr<SnapshotWriter>> SnapshotWriter::Begin(const std::string& folder,
                                                                      const SnapshotHead& head) {
  const std::string path = NewPath(folder);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return base::FromErrno(errno, "open " + path);
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(fd, folder));
  // The fixed head comes last, when body and checksum are known.
  if (::lseek(fd, kHeadBytes, SEEK_SET) < 0) return base::FromErrno(errno, "seek " + path);
  std::string& out = writer->buffer_;
  Append(out, head.store_id);
  Append(out, head.incarnation);
  Append(out, head.next_generation);
  Append(out, head.next_sequence);
  Append(out, head.damaged_places);
  Append(out, head.current);
  Append(out, head.next_page);
  Append(out, static_cast<std::uint32_t>(head.generations.size()));
  for (const std::uint64_t generation : head.generations) Append(out, generation);
  return writer;
}

SnapshotWriter::~SnapshotWriter() {
  ::close(fd_);
  if (!committed_) ::unlink(NewPath(folder_).c_str());
}

void SnapshotWriter::Add(const std::string& name, const ObjectMeta& meta, const Chunk& chunk,
                         const DiskPlace& place) {
  const bool same = entries_ > 0 && name == last_name_;
  Append(buffer_, place.segment);
  Append(buffer_, place.page);
  Append(buffer_, place.header_pages);
  Append(buffer_, same ? kSameObject : std::uint16_t{0});
  Append(buffer_, chunk.length);
  Append(buffer_, chunk.crc);
  Append(buffer_, chunk.index);
  if (!same) {
    Append(buffer_, meta.size);
    for (const std::string* text : {&name, &meta.etag, &meta.version_id, &meta.last_modified})
      AppendText(buffer_, *text);
    Append(buffer_, static_cast<std::uint32_t>(meta.headers.size()));
    for (const auto& [header, value] : meta.headers) {
      AppendText(buffer_, header);
      AppendText(buffer_, value);
    }
    last_name_ = name;
  }
  ++entries_;
  if (buffer_.size() >= kFlushBytes) Flush();
}

void SnapshotWriter::Flush() {
  crc_ = Crc32c(buffer_, crc_);
  body_bytes_ += buffer_.size();
  if (failure_.ok() && body_bytes_ > kMaxSnapshotBytes)
    failure_ = base::ResourceExhausted("the snapshot is too long");
  std::string_view left = buffer_;
  while (failure_.ok() && !left.empty()) {
    const ssize_t wrote = ::write(fd_, left.data(), left.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      failure_ = base::FromErrno(wrote < 0 ? errno : ENOSPC, "write " + NewPath(folder_));
      break;
    }
    left.remove_prefix(static_cast<std::size_t>(wrote));
  }
  buffer_.clear();
}

base::Status SnapshotWriter::Commit() {
  Flush();
  SLUICE_RETURN_IF_ERROR(failure_);
  std::string head;
  Append(head, kSnapshotMagic);
  Append(head, kSnapshotVersion);
  Append(head, entries_);
  Append(head, body_bytes_);
  Append(head, crc_);
  Append(head, Crc32c(head));
  head.resize(kHeadBytes, '\0');
  if (::pwrite(fd_, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()) ||
      ::fdatasync(fd_) != 0)
    return base::FromErrno(errno, "write " + NewPath(folder_));
  if (::rename(NewPath(folder_).c_str(), FinalPath(folder_).c_str()) != 0)
    return base::FromErrno(errno, "rename " + NewPath(folder_));
  committed_ = true;
  return base::OkStatus();
}

base::StatusOr<std::unique_ptr<SnapshotReader>> SnapshotReader::Open(const std::string& folder) {
  const std::string path = FinalPath(folder);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::FromErrno(errno, "open " + path);
  struct stat info {};
  const bool sized = ::fstat(fd, &info) == 0 && info.st_size >= static_cast<off_t>(kHeadBytes) &&
                     static_cast<std::uint64_t>(info.st_size) <= kHeadBytes + kMaxSnapshotBytes;
  const auto size = static_cast<std::size_t>(sized ? info.st_size : 0);
  void* const data =
      sized ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0) : MAP_FAILED;
  ::close(fd);
  if (data == MAP_FAILED) return base::DataLoss(path + " cannot be read");
  std::unique_ptr<SnapshotReader> reader(new SnapshotReader(static_cast<const char*>(data), size));
  const char* const head = reader->data_;
  const std::string_view body(head + kHeadBytes, size - kHeadBytes);
  if (At<std::uint32_t>(head, 0) != kSnapshotMagic ||
      At<std::uint32_t>(head, 4) != kSnapshotVersion ||
      At<std::uint32_t>(head, 28) != Crc32c({head, 28}) ||
      At<std::uint64_t>(head, 16) != body.size() || At<std::uint32_t>(head, 24) != Crc32c(body))
    return base::DataLoss(path + " is damaged, or of another version");
  reader->entries_ = At<std::uint64_t>(head, 8);
  reader->left_ = body;
  SnapshotHead& out = reader->head_;
  std::uint32_t segments = 0;
  bool fits = reader->Number(out.store_id) && reader->Number(out.incarnation) &&
              reader->Number(out.next_generation) && reader->Number(out.next_sequence) &&
              reader->Number(out.damaged_places) && reader->Number(out.current) &&
              reader->Number(out.next_page) && reader->Number(segments) &&
              segments <= reader->left_.size() / sizeof(std::uint64_t);
  out.generations.resize(fits ? segments : 0);
  for (std::uint64_t& generation : out.generations) fits = fits && reader->Number(generation);
  if (!fits) return base::DataLoss(path + " does not hold what it should");
  return reader;
}

SnapshotReader::~SnapshotReader() { ::munmap(const_cast<char*>(data_), size_); }

template <typename T>
bool SnapshotReader::Number(T& out) {
  if (left_.size() < sizeof out) return false;
  std::memcpy(&out, left_.data(), sizeof out);
  left_.remove_prefix(sizeof out);
  return true;
}

bool SnapshotReader::Text(std::string& out) {
  std::uint32_t length = 0;
  if (!Number(length) || length > left_.size()) return false;
  out.assign(left_.data(), length);
  left_.remove_prefix(length);
  return true;
}

bool SnapshotReader::Next(Record& record, DiskPlace& place) {
  if (entries_ == 0) return false;
  std::uint16_t flags = 0;
  whole_ = Number(place.segment) && Number(place.page) && Number(place.header_pages) &&
           Number(flags) && Number(record.data_bytes) && Number(record.data_crc) &&
           Number(record.chunk_index) && (any_ || flags != kSameObject);
  if (!whole_) return false;
  if (flags != kSameObject) {
    ObjectMeta& meta = record.meta;
    std::uint32_t headers = 0;
    whole_ = Number(meta.size) && Text(record.name) && Text(meta.etag) && Text(meta.version_id) &&
             Text(meta.last_modified) && Number(headers) && headers <= kMaxHeaders;
    meta.headers.resize(whole_ ? headers : 0);
    for (auto& [name, value] : meta.headers) whole_ = whole_ && Text(name) && Text(value);
    if (!whole_ || record.name.size() > kMaxNameBytes) return whole_ = false;
    any_ = true;
  }
  --entries_;
  return true;
}

void RemoveSnapshot(const std::string& folder) {
  ::unlink(FinalPath(folder).c_str());
  ::unlink(NewPath(folder).c_str());
}

}  // namespace sluice::store
