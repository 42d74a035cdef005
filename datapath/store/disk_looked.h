// What recovery sees of a segment at its first look. Private to DiskTier.
#pragma once

#include <optional>

#include "datapath/store/disk_tier.h"

namespace sluice::store {

struct DiskTier::Looked {
  std::uint32_t segment = 0;
  std::uint64_t generation = 0;  // 0: no record of ours tells it
  bool unreadable = false;       // its header
  bool appendable = false;       // no summary that closes it lies, or may lie, at its end
  // Of a trailer of ours, whatever the header says.
  std::uint64_t trailer_generation = 0;
  std::uint64_t trailer_incarnation = 0;
  std::uint32_t known_end = 0;  // a trailer of this generation tells of records up to there
  std::optional<SegmentTrailer> trailer;  // of this generation, and of the log as it stands
  Summary summary;                        // what it says, checked; else empty
};

}  // namespace sluice::store
