// Bounds of this folder.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::store {

inline constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t RoundToPages(std::size_t bytes) {
  return (bytes + kPageBytes - 1) & ~(kPageBytes - 1);
}
inline constexpr std::size_t kMinChunkBytes = 64 << 10;
inline constexpr std::size_t kMaxChunkBytes = 16 << 20;

// Index: lock shards, and objects remembered without any chunk of theirs being present.
inline constexpr std::size_t kShards = 64;
inline constexpr std::size_t kMaxObjectsPerShard = 64 << 10;
inline constexpr std::size_t kMaxNameBytes = 2048;          // origin + bucket + key (S3: 1024)
inline constexpr std::size_t kMaxMetadataBytes = 12 << 10;  // what one object's answer repeats
inline constexpr std::uint64_t kMaxObjectBytes = std::uint64_t{50} << 40;
// Names known to be absent, a shard; with the longest of names 8 MiB in all.
inline constexpr std::size_t kMaxAbsentPerShard = 64;

// Memory: the part of the pool the cache leaves to buffers, as a divisor, and the least of it.
inline constexpr std::uint64_t kBufferShareDivisor = 8;
inline constexpr std::uint64_t kMinMemoryBytes = 16 << 20;
inline constexpr std::size_t kSegmentBytes = 256 << 20;  // one memfd's address range, sparse
inline constexpr std::size_t kHugePageBytes = 2 << 20;
// Extents from here on share huge pages with others of their size.
inline constexpr std::size_t kMinHugeSlotBytes = 64 << 10;
// As divisors. With more than this part of the tier spent chunks move; up to this part of it spent
// those that share huge pages are lent, beyond they are copied to sockets; and a block of which
// this part is spent is left.
inline constexpr std::uint64_t kMoveAboveDivisor = 8;
inline constexpr std::uint64_t kLendUpToDivisor = 4;
inline constexpr std::uint32_t kLeftBlockDivisor = 4;
// Between two rounds of moving, and what one may drop where there is no room to move it to.
inline constexpr std::chrono::milliseconds kMovePause{20};
inline constexpr std::chrono::milliseconds kMoveInVainPause{1000};  // all of it is in use
inline constexpr std::uint64_t kMostDroppedPerRound = kHugePageBytes;
// A cache has none where a mostly empty block of each size could be more than this part of it.
inline constexpr std::uint64_t kHugeShareDivisor = 16;
// What pinned data may take of the DRAM tier, as a divisor.
inline constexpr std::uint64_t kPinnedShareDivisor = 2;
// The disk tier keeps pinned chunks too when it is so many times as large as what may be pinned.
inline constexpr std::uint64_t kPinnedDiskFactor = 4;
// Victims looked at for one allocation before the fill is shed.
inline constexpr int kMaxEvictionsPerFill = 4096;
inline constexpr std::uint64_t kPreTouchStepBytes = 64 << 20;
// Of the tier, as a divisor: with more on its way nothing is brought ahead of its readers.
inline constexpr std::uint64_t kComingShareDivisor = 4;
// A reader that follows a fill is woken after at least this many new bytes.
inline constexpr std::size_t kWakeBytes = 64 << 10;

// Disk tier.
inline constexpr std::size_t kMinDiskSegmentBytes = 4 << 20;
inline constexpr std::size_t kMaxDiskSegmentBytes = 64 << 20;
inline constexpr std::size_t kMinDiskSegments = 4;
inline constexpr int kDiskReaders = 8;                         // threads a device
inline constexpr std::size_t kMaxDiskReadQueue = 1024;         // promotions waiting a device
inline constexpr std::uint64_t kDiskWriteQueueDivisor = 8;     // of the pool may wait to be written
inline constexpr std::size_t kMaxDiskWriteQueue = 4096;        // and so many records
inline constexpr std::uint64_t kMaxSummaryBytes = 4ull << 30;  // of a device, read at a start
inline constexpr std::uint32_t kRecoveryThreads = 4;           // that read them
inline constexpr std::uint32_t kLongestHeaderPages = 8;        // of a record
// Counters that no store reaches: one more of what lies beyond could be less.
inline constexpr std::uint64_t kMaxDiskCounter = std::uint64_t{1} << 62;
// Names and chunks made objects of at once, behind the start.
inline constexpr std::uint32_t kWokenPerTurn = 128;
inline constexpr int kDeviceErrorsUntilOut = 8;          // in a row: the device is given up
inline constexpr std::chrono::seconds kDeviceRetry{30};  // and tried again after

// Scrubber: what it reads at most, memory and disk together, and slots it looks at in one step.
inline constexpr std::uint64_t kScrubBytesPerSecond = 32 << 20;
inline constexpr int kScrubSlotsPerStep = 4096;
inline constexpr std::chrono::seconds kScrubPause{10};  // between rounds, and when nothing is here

}  // namespace sluice::store
