// What one device's part of the index was when the program ended in order: a file beside the log,
// so that the next start reads it instead of replaying the log (FORMAT.md, "Snapshot"). Whether it
// is of the log as it stands the reader's user decides, by store id and incarnation.
//
// Thread rule: one thread. Blocking file I/O.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "datapath/store/object.h"
#include "datapath/store/record.h"

namespace sluice::store {

struct SnapshotHead {
  std::uint64_t store_id = 0;
  std::uint64_t incarnation = 0;  // of the run that wrote it
  // The log's end.
  std::uint64_t next_generation = 0;
  std::uint64_t next_sequence = 0;
  std::uint64_t damaged_places = 0;
  std::uint32_t current = 0;
  std::uint32_t next_page = 0;
  std::vector<std::uint64_t> generations;  // of each segment
};

class SnapshotWriter {
 public:
  // Nothing is there under the final name until Commit(). Errors: the system's.
  static base::StatusOr<std::unique_ptr<SnapshotWriter>> Begin(const std::string& folder,
                                                               const SnapshotHead& head);
  ~SnapshotWriter();  // without Commit(): removes what was written
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;
  // Chunks of one object are best added one after the other: its name and metadata are written once
  // then.
  void Add(const std::string& name, const ObjectMeta& meta, const Chunk& chunk,
           const DiskPlace& place);
  // It is whole and on the medium. Errors: the system's, of any write before too;
  // ResourceExhausted: more than kMaxSnapshotBytes.
  base::Status Commit();

 private:
  SnapshotWriter(int fd, std::string folder) : fd_(fd), folder_(std::move(folder)) {}
  void Flush();

  const int fd_;
  const std::string folder_;
  std::string buffer_;
  std::string last_name_;
  std::uint64_t entries_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint32_t crc_ = 0;
  base::Status failure_;
  bool committed_ = false;
};

class SnapshotReader {
 public:
  // Errors: NotFound; DataLoss (not whole, damaged, another version).
  static base::StatusOr<std::unique_ptr<SnapshotReader>> Open(const std::string& folder);
  ~SnapshotReader();
  SnapshotReader(const SnapshotReader&) = delete;
  SnapshotReader& operator=(const SnapshotReader&) = delete;
  const SnapshotHead& head() const { return head_; }
  // The next chunk, into the same two again and again; place.device is the caller's. False: the
  // end, or something that does not fit (then whole() is false).
  bool Next(Record& record, DiskPlace& place);
  bool whole() const { return whole_ && left_.empty() && entries_ == 0; }

 private:
  SnapshotReader(const char* data, std::size_t size) : data_(data), size_(size) {}
  bool Text(std::string& out);
  template <typename T>
  bool Number(T& out);

  const char* const data_;  // mapped
  const std::size_t size_;
  SnapshotHead head_;
  std::string_view left_;
  std::uint64_t entries_ = 0;  // to come
  bool any_ = false;           // an object was read
  bool whole_ = true;
};

// So that no later start can take it for its own.
void RemoveSnapshot(const std::string& folder);

}  // namespace sluice::store
