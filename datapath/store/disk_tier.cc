#include "datapath/store/disk_tier.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "datapath/store/checksum.h"
#include "datapath/store/limits.h"

namespace sluice::store {
DiskTier::DiskTier(std::unique_ptr<Device> device, std::uint8_t number,
                   std::uint64_t write_queue_bytes, DiskOwner& owner, base::Clock& clock)
    : device_(std::move(device)),
      number_(number),
      write_queue_limit_bytes_(write_queue_bytes),
      owner_(owner),
      clock_(clock) {}

base::StatusOr<std::unique_ptr<DiskTier>> DiskTier::Open(const Options& options,
                                                         std::uint32_t chunk_bytes,
                                                         std::uint64_t write_queue_bytes,
                                                         std::uint8_t number, DiskOwner& owner,
                                                         base::Clock& clock) {
  SLUICE_ASSIGN_OR_RETURN(
      auto device, options.open ? options.open() : OpenFileDevice(options.path, options.bytes));
  std::unique_ptr<DiskTier> tier(
      new DiskTier(std::move(device), number, write_queue_bytes, owner, clock));
  SLUICE_RETURN_IF_ERROR(tier->Recover(chunk_bytes));
  if (!options.open) ::unlink((options.path + "/index.sluice").c_str());  // of version 1
  tier->threads_.emplace_back([raw = tier.get()] { raw->WriterLoop(); });
  for (int i = 0; i < kDiskReaders; ++i)
    tier->threads_.emplace_back([raw = tier.get()] { raw->ReaderLoop(); });
  return tier;
}

DiskTier::~DiskTier() {
  std::deque<Write> writes;
  std::deque<ReadRequest> reads;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    writes.swap(writes_);
    reads.swap(reads_);
  }
  write_wake_.notify_all();
  read_wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  const base::Status stopped = base::Cancelled("the disk tier stops");
  for (Write& write : writes) {
    if (write.request.done) write.request.done(stopped);
    if (write.written) write.written(stopped);
  }
  for (ReadRequest& read : reads) read.done(stopped);
  if (threads_.empty() || !healthy()) return;
  // The records first: on the medium a summary must not tell of what is not there.
  if (device_->Sync().ok()) SealSegment(true);
  static_cast<void>(device_->Sync());  // without it the next start may have to replay
}

std::uint64_t DiskTier::capacity_bytes() const {
  return superblock_.segment_bytes * superblock_.segment_count;
}

std::uint64_t DiskTier::SegmentStart(std::uint32_t segment) const {
  return kPageBytes + segment * superblock_.segment_bytes;
}

bool DiskTier::TryWrite(WriteRequest& request) {
  if (!Usable()) return false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || writes_.size() >= kMaxDiskWriteQueue ||
        queued_bytes_ + request.data.size() > write_queue_limit_bytes_)
      return false;
    queued_bytes_ += request.data.size();
    writes_.push_back({.request = std::move(request), .tombstone = {}, .order = 0, .written = {}});
  }
  write_wake_.notify_one();
  return true;
}

bool DiskTier::TryRead(ReadRequest& request) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || reads_.size() >= kMaxDiskReadQueue) return false;
    reads_.push_back(std::move(request));
  }
  read_wake_.notify_one();
  return true;
}

void DiskTier::WriteTombstone(const std::string& name, std::function<void(base::Status)> done) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      writes_.push_back({.request = {},
                         .tombstone = name,
                         .order = owner_.NextOrder(),
                         .written = std::move(done)});
      write_wake_.notify_one();
      return;
    }
  }
  done(base::Cancelled("the disk tier stops"));
}

void DiskTier::Flush() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return stopping_ || (writes_.empty() && !writing_); });
}

bool DiskTier::Usable() {
  return healthy() || clock_.Mono().time_since_epoch().count() >= retry_at_.load();
}

void DiskTier::Account(const base::Status& outcome) {
  if (outcome.ok()) {
    if (errors_in_a_row_.exchange(0) >= kDeviceErrorsUntilOut)
      base::log::Info("disk tier device recovered", {{"device", number_}});
    return;
  }
  const int errors = errors_in_a_row_.fetch_add(1) + 1;
  if (errors < kDeviceErrorsUntilOut) return;
  retry_at_.store((clock_.Mono() + kDeviceRetry).time_since_epoch().count());
  if (errors == kDeviceErrorsUntilOut)
    base::log::Error("disk tier device given up", {{"device", number_}, {"error", outcome}});
}

void DiskTier::WriterLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    write_wake_.wait(lock, [this] { return stopping_ || !writes_.empty(); });
    if (stopping_) break;
    Write write = std::move(writes_.front());
    writes_.pop_front();
    queued_bytes_ -= write.request.data.size();
    writing_ = true;
    lock.unlock();
    Perform(std::move(write));
    lock.lock();
    writing_ = false;
    if (writes_.empty()) idle_.notify_all();
  }
  writing_ = false;
  idle_.notify_all();
}

void DiskTier::Perform(Write write) {
  if (!write.tombstone.empty()) {
    Record record;
    record.kind = Record::Kind::kTombstone;
    record.name = write.tombstone;
    record.order = write.order;
    const base::Status outcome = Append(std::move(record), {}, {}).status();
    Account(outcome);
    write.written(outcome);
    return;
  }
  WriteRequest& request = write.request;
  // First its order, then this check, then the log: whoever detaches after the check queues a
  // tombstone of a higher order behind us.
  Record record;
  record.order = owner_.NextOrder();
  if (!owner_.StillWanted(*request.chunk)) return request.done(base::Cancelled("not wanted"));
  record.name = std::move(request.name);
  record.meta = std::move(request.meta);
  record.chunk_index = request.chunk->index;
  record.data_bytes = static_cast<std::uint32_t>(request.data.size());
  record.data_crc = request.crc;
  auto place = Append(std::move(record), request.data, request.chunk);
  Account(place.status());
  request.done(std::move(place));
}

base::StatusOr<DiskPlace> DiskTier::Append(Record record, std::span<char> data,
                                           const ChunkRef& chunk) {
  // The header's length does not depend on the numbers filled in below.
  const std::uint64_t data_bytes = RoundToPages(data.size());
  record.store_id = superblock_.store_id;
  record.incarnation = superblock_.incarnation;
  const std::uint64_t header_bytes = EncodeRecordHeader(record).size();
  const std::uint64_t pages = (header_bytes + data_bytes) / kPageBytes;
  const std::uint64_t segment_pages = superblock_.segment_bytes / kPageBytes;
  SLUICE_CHECK(pages + 2 * kLongestHeaderPages < segment_pages);
  // Room for the summary, and its trailer, stays.
  const std::uint64_t reserve = RoundToPages(summary_.bytes_with(record)) / kPageBytes + 1;
  if (next_page_ + pages + reserve > segment_pages) SLUICE_RETURN_IF_ERROR(NextSegment());
  Segment& segment = segments_[current_];
  record.generation = segment.generation.load();
  record.sequence = next_sequence_;
  const std::string encoded = EncodeRecordHeader(record);
  const PageBuffer header = AllocatePages(encoded.size());
  if (header == nullptr) return base::ResourceExhausted("no memory for a record header");
  std::memcpy(header.get(), encoded.data(), encoded.size());
  iovec pieces[2] = {{header.get(), encoded.size()}, {data.data(), data_bytes}};
  if (!data.empty()) std::memset(data.data() + data.size(), 0, data_bytes - data.size());
  const std::uint64_t offset = SegmentStart(current_) + std::uint64_t{next_page_} * kPageBytes;
  SLUICE_RETURN_IF_ERROR(
      device_->Write(offset, std::span<const iovec>(pieces, data.empty() ? 1 : 2)));
  const DiskPlace place{.segment = current_,
                        .page = next_page_,
                        .header_pages = static_cast<std::uint16_t>(encoded.size() / kPageBytes),
                        .device = number_};
  if (summary_.size() == 0) first_sequence_ = next_sequence_;
  summary_.Add(record, place.page, place.header_pages);
  next_page_ += static_cast<std::uint32_t>(pages);
  ++next_sequence_;
  if (chunk) {
    std::lock_guard lock(chunks_mutex_);
    segment.chunks.push_back(chunk);
  }
  return place;
}

bool DiskTier::Adopt(const ChunkRef& chunk, std::uint32_t segment, std::uint64_t generation) {
  std::lock_guard lock(chunks_mutex_);
  if (segments_[segment].generation.load() != generation) return false;
  segments_[segment].chunks.push_back(chunk);
  return true;
}

base::Status DiskTier::NextSegment() {
  SealSegment(false);
  // Closed, whatever follows: behind a summary nothing is appended.
  next_page_ = static_cast<std::uint32_t>(superblock_.segment_bytes / kPageBytes);
  const std::uint32_t next = (current_ + 1) % superblock_.segment_count;
  Segment& segment = segments_[next];
  // First nobody may find the old records, then they go.
  std::vector<ChunkRef> chunks;
  {
    std::lock_guard lock(chunks_mutex_);
    segment.generation.store(next_generation_);
    chunks.swap(segment.chunks);
  }
  owner_.OnSegmentRecycled(number_, next, chunks);
  const PageBuffer page = AllocatePages(kPageBytes);
  if (page == nullptr) return base::ResourceExhausted("no memory for a segment header");
  EncodeSegmentHeader({superblock_.store_id, next_generation_, next}, {page.get(), kPageBytes});
  const iovec piece{page.get(), kPageBytes};
  SLUICE_RETURN_IF_ERROR(device_->Write(SegmentStart(next), std::span<const iovec>(&piece, 1)));
  current_ = next;
  next_page_ = 1;
  summary_.Clear();
  summary_whole_ = true;
  ++next_generation_;
  return base::OkStatus();
}

void DiskTier::ReaderLoop() {
  for (;;) {
    ReadRequest request;
    {
      std::unique_lock lock(mutex_);
      read_wake_.wait(lock, [this] { return stopping_ || !reads_.empty(); });
      if (stopping_) return;
      request = std::move(reads_.front());
      reads_.pop_front();
    }
    const base::Status outcome = ReadRecord(request);
    if (outcome.code() != base::Code::kAborted) Account(outcome);
    request.done(outcome);
  }
}

base::Status DiskTier::ReadRecord(const ReadRequest& request) {
  const DiskPlace& place = request.place;
  const std::uint64_t generation = segments_[place.segment].generation.load();
  const std::uint64_t offset =
      SegmentStart(place.segment) + (std::uint64_t{place.page} + place.header_pages) * kPageBytes;
  base::Status outcome = device_->Read(
      offset, {request.data.data(), static_cast<std::size_t>(RoundToPages(request.data.size()))});
  if (outcome.ok() && Crc32c({request.data.data(), request.data.size()}) != request.crc)
    outcome = base::DataLoss("a chunk on disk does not match its checksum");
  if (!outcome.ok() && segments_[place.segment].generation.load() != generation)
    return base::Aborted("the record was overwritten");
  return outcome;
}

}  // namespace sluice::store
