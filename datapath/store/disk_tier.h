// One device of the disk tier: a log of self-describing records in a ring of segments (FORMAT.md).
//
// A chunk is written once, after its fill; the oldest segment makes room for the next. Reading is
// by place, straight into the chunk's extent. A segment ends with a summary of its records
// (summary.h); recovery reads those, and replays the records of segments that have none, which
// after a crash is the last one. A tombstone kills every older record of its name.
//
// Failure: an error fails its request; kDeviceErrorsUntilOut in a row take the device out (writes
// and reads are refused, the cache goes on without) until kDeviceRetry later one write is tried.
//
// Threads: one writer, limits.h kDiskReaders readers, owned here. Thread rule: any thread;
// callbacks run on these threads without a lock held. Stop: the destructor refuses new work,
// finishes the write in hand, fails what is queued with Cancelled, joins.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/store/device.h"
#include "datapath/store/limits.h"
#include "datapath/store/object.h"
#include "datapath/store/record.h"
#include "datapath/store/summary.h"

namespace sluice::store {

// What a device held when it was opened.
struct Recovered {
  struct Part {
    std::uint32_t segment = 0;
    std::uint64_t generation = 0;  // of the segment: while it has this, what is said here is there
    Summary summary;
  };
  // Records were missing, and a tombstone of anything may have been among them: what lies before,
  // on other devices too, must not be believed.
  bool older_is_void = false;
  std::vector<Part> parts;  // in the order in which they were written
};

// What the tier asks of the index.
class DiskOwner {
 public:
  virtual ~DiskOwner() = default;
  // These records are about to be overwritten.
  virtual void OnSegmentRecycled(std::uint8_t device, std::uint32_t segment,
                                 std::span<const ChunkRef> chunks) = 0;
  // False: the chunk was detached while it waited to be written.
  virtual bool StillWanted(const Chunk& chunk) = 0;
  // Ascends with every call, above all that was recovered (Record::order).
  virtual std::uint64_t NextOrder() = 0;
};

class DiskTier {
 public:
  struct Options {
    std::string path;  // a folder
    std::uint64_t bytes = 0;
    // Replaces the file device; for tests.
    std::function<base::StatusOr<std::unique_ptr<Device>>()> open;
  };
  struct WriteRequest {
    ChunkRef chunk;
    std::string name;
    ObjectMeta meta;
    std::uint32_t crc = 0;
    std::span<char> data;  // page-aligned, room to the end of its last page; stays until `done`
    // Owns what keeps `data` in place. OK: the place. Cancelled: not wanted any more or stopping.
    std::function<void(base::StatusOr<DiskPlace>)> done;
  };
  struct ReadRequest {
    DiskPlace place;
    std::uint32_t crc = 0;
    std::span<char> data;  // as above
    // DataLoss: checksum mismatch or EIO. Aborted: the record was overwritten meanwhile.
    std::function<void(base::Status)> done;
  };

  // Opens, recovers, starts the threads. Errors: as OpenFileDevice; FailedPrecondition
  // when the folder holds a newer format (it is left untouched).
  static base::StatusOr<std::unique_ptr<DiskTier>> Open(const Options& options,
                                                        std::uint32_t chunk_bytes,
                                                        std::uint64_t write_queue_bytes,
                                                        std::uint8_t number, DiskOwner& owner,
                                                        base::Clock& clock);
  ~DiskTier();
  DiskTier(const DiskTier&) = delete;
  DiskTier& operator=(const DiskTier&) = delete;

  // False: the queue is full or the device is out; `request` was not taken.
  bool TryWrite(WriteRequest& request);
  bool TryRead(ReadRequest& request);
  // Never refused for room (a lost tombstone would bring back what was deleted); `done` gets the
  // outcome, Unavailable when the device is out.
  void WriteTombstone(const std::string& name, std::function<void(base::Status)> done);
  void Flush();  // waits for what was queued before

  // What Open() found; once.
  Recovered TakeRecovered() { return std::move(recovered_); }
  // `chunk` was made of what a part of it says. False: it was overwritten since.
  bool Adopt(const ChunkRef& chunk, std::uint32_t segment, std::uint64_t generation);

  // Found at Open(): segment headers that cannot be read, records that are missing.
  std::uint64_t damaged_places() const { return damaged_places_; }
  bool healthy() const { return errors_in_a_row_.load() < kDeviceErrorsUntilOut; }
  std::uint64_t capacity_bytes() const;

 private:
  struct Segment {
    std::atomic<std::uint64_t> generation{0};  // changed under chunks_mutex_
    std::vector<ChunkRef> chunks;              // guarded by chunks_mutex_
  };
  struct Write {
    WriteRequest request;                       // chunk, or
    std::string tombstone;                      // a name
    std::uint64_t order = 0;                    // with tombstone
    std::function<void(base::Status)> written;  // with tombstone
  };

  DiskTier(std::unique_ptr<Device> device, std::uint8_t number, std::uint64_t write_queue_bytes,
           DiskOwner& owner, base::Clock& clock);
  base::Status Recover(std::uint32_t chunk_bytes);
  struct Looked;
  // Summaries (disk_summary.cc). `last_incarnation`: the superblock's before this opening.
  std::vector<Looked> LookAtSegments(std::uint64_t last_incarnation);
  void LookAt(Looked& looked, std::uint64_t last_incarnation);
  void ReadSummary(Looked& looked);
  void TakeSummary(Looked& looked);
  void SealSegment(bool open);
  void ForgetOlder();  // records are missing behind what was recovered so far
  base::Status StartFresh(std::uint32_t chunk_bytes);
  base::Status ReplaySegment(const Looked& looked);
  void WriterLoop();
  void ReaderLoop();
  void Perform(Write write);
  base::StatusOr<DiskPlace> Append(Record record, std::span<char> data, const ChunkRef& chunk);
  base::Status NextSegment();
  base::Status ReadRecord(const ReadRequest& request);
  bool Usable();
  void Account(const base::Status& outcome);
  std::uint64_t SegmentStart(std::uint32_t segment) const;

  const std::unique_ptr<Device> device_;
  const std::uint8_t number_;
  const std::uint64_t write_queue_limit_bytes_;
  DiskOwner& owner_;
  base::Clock& clock_;
  Superblock superblock_;
  std::uint64_t damaged_places_ = 0;  // Open's
  Recovered recovered_;               // Open's
  std::mutex chunks_mutex_;
  std::vector<Segment> segments_;

  // Writer's own (and Open's):
  std::uint32_t current_ = 0;
  std::uint64_t next_generation_ = 1;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t highest_incarnation_ = 0;  // of what was recovered
  std::uint32_t next_page_ = 0;            // in the current segment; its end: it is closed
  // Of the current segment's records; not of all of them when some are missing.
  SummaryBuilder summary_;
  bool summary_whole_ = true;
  std::uint64_t first_sequence_ = 0;

  std::atomic<int> errors_in_a_row_{0};
  std::atomic<base::Duration::rep> retry_at_{0};

  // Guarded by mutex_:
  std::mutex mutex_;
  std::condition_variable write_wake_, read_wake_, idle_;
  std::deque<Write> writes_;
  std::uint64_t queued_bytes_ = 0;
  bool writing_ = false;
  std::deque<ReadRequest> reads_;
  bool stopping_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace sluice::store
