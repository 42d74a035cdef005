// The audit log of the replica that leads.
//
// Invariants (each has a test):
//  1. A head moves only after its line is written and synced: what Append acknowledged survives.
//  2. A write that failed leaves nothing behind: the file is cut back to the acknowledged length
//     before anything else is written, and until that works nothing is acknowledged.
//  3. An epoch goes on from the highest head known: that of the last file in the folder or that of
//     the checkpoint. Its checkpoint is written before its first entry is acknowledged.
//  4. A checkpoint never goes back, and never over one of a higher epoch (compare-and-swap).
//  5. Epochs rise: by the fencing epoch, and where that began anew by one.
//  6. A file is removed only after a signed checkpoint calls its last line retired, and the oldest
//     first: what is left is proved at every moment.
//
// Without a folder lines go to `ship` alone, and only the checkpoint carries the head over.
//
// Thread rule: any thread. How it stops: Close writes the last checkpoint; entries are refused
// after.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "reconcilers/audit/appender.h"
#include "reconcilers/audit/checkpoint.h"
#include "reconcilers/audit/disk.h"
#include "reconcilers/audit/retention.h"

namespace sluice::audit {

struct LogOptions {
  std::string directory;  // empty: no files
  std::string identity;   // of this replica, for people
  // Given every acknowledged line with its newline; empty: not shipped. It decides about an Append
  // only when there are no files.
  std::function<base::Status(std::string_view line)> ship;
  Signer sign;  // empty: checkpoints are not signed
  Retention retention;
};

class Log final : public Appender {
 public:
  Log(LogOptions options, Disk& disk, CheckpointStore& checkpoints, base::Clock& clock);
  ~Log() override = default;

  // This replica leads under `epoch` now. When the log cannot be opened it stays unavailable and is
  // tried again by Ready and Append.
  base::Status Open(std::int64_t epoch);
  base::Status Append(const std::vector<Entry>& entries, Anchor anchor) override;
  base::Status Ready() override;
  std::string HeadHash() const override;
  // Writes the head's checkpoint when it moved. Errors: the store's; Aborted (another replica
  // leads).
  base::Status WriteCheckpoint();
  // Removes what retention lets go: after a rotation or an opening, and every kRetireEvery. Call it
  // now and then. Errors: DataLoss (files that would go are not whole: nothing goes); Append's,
  // WriteCheckpoint's, the disk's.
  base::Status Retire();
  void Close();

  struct Stats {
    Head head;
    std::uint64_t entries = 0;       // acknowledged by this replica
    std::uint64_t failures = 0;      // Appends refused
    std::uint64_t unshipped = 0;     // lines that `ship` did not take
    std::uint64_t checkpointed = 0;  // seq of the last checkpoint
    std::uint64_t retired = 0;       // seq of the last line that may have been removed
    bool retention_blocked = false;  // the files that should go are not whole
    bool open = false;               // lines can be written, as far as is known
    bool leading = false;            // Open was called and Close was not
  };
  // Never waits for the disk, the store or `ship`: scrapes ask.
  Stats stats() const;

 private:
  // With opening_ held and mutex_ free.
  base::Status OpenNow();
  base::StatusOr<Head> LastHead();
  base::StatusOr<std::optional<Head>> HeadOnDisk();
  base::Status Begin(std::int64_t epoch, const Head& last);
  base::Status PutCheckpoint(const Head& head, const Head& retired = {});
  // With mutex_ held.
  base::Status Repair();
  base::Status Write(const std::string& lines, const Head& head, std::size_t count);
  base::Status Rotate();
  void Show(const std::function<void(Stats&)>& change);

  base::Status EnsureOpen();
  base::Status RetireNow();

  const LogOptions options_;
  Disk& disk_;
  CheckpointStore& checkpoints_;
  base::Clock& clock_;

  // Taken before mutex_ where both are. Guards what opening and checkpoints work on.
  std::mutex opening_;
  CheckpointStore::Versioned checkpoint_;  // as last read or written
  std::optional<Head> last_;               // that this epoch goes on from
  std::int64_t named_epoch_ = 0;           // the highest of the files' names
  std::optional<base::MonoTime> tried_at_;
  base::Status open_error_;

  std::mutex retiring_;  // taken before the others; guards retire_at_
  std::optional<base::MonoTime> retire_at_;

  mutable std::mutex mutex_;  // guards all below; held while lines are written and synced
  std::optional<std::int64_t> epoch_;
  std::unique_ptr<AppendFile> file_;
  std::uint64_t file_bytes_ = 0;  // acknowledged
  bool torn_ = false;             // bytes beyond file_bytes_ may be in the file
  bool began_ = false;            // the Opened line is written
  bool retire_due_ = false;
  mutable std::mutex stats_mutex_;  // never held over I/O
  Stats stats_;                     // changed with both held, read with either
};

}  // namespace sluice::audit
