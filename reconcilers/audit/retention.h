// Which files of the log may go, and the line up to which they go. Reads; removes nothing.
//
// Whole files only, the oldest first, never the last one, never a line that no checkpoint is past.
// Before a line is offered for the signature's word, what leads to it is proved: the chain within
// the files that go, to the first line of the file that stays, and from the last line that was
// retired before. A log that was tampered with is kept for whoever looks into it.
//
// Thread rule: one caller at a time; blocks for reading what goes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/audit/checkpoint.h"
#include "reconcilers/audit/disk.h"

namespace sluice::audit {

struct Retention {
  std::uint64_t file_bytes = 0;  // an epoch goes on in another file beyond; 0: never
  std::uint64_t keep_bytes = 0;  // the oldest go while all together have more; 0: never
  base::Duration keep_age{0};    // files whose every line is older go; 0: never
};

struct Retirement {
  std::vector<std::string> files;  // names, in the order of their removal
  Head through;                    // their last line; seq 0: nothing is to go
  std::uint64_t bytes = 0;
  std::uint64_t absent = 0;  // lines up to `through` that were not here: another replica's
};

// At most kMaxRetiredFiles files. Errors: the disk's; DataLoss in words when the files that would
// go are not whole.
base::StatusOr<Retirement> PlanRetirement(Disk& disk, const std::string& directory,
                                          const Retention& keep, const Checkpoint& checkpoint,
                                          base::WallTime now);

}  // namespace sluice::audit
