// What disks held at the start enters the index when it is asked for, or behind; whichever version
// wrote it, and whichever of two disks it lies on.
#include "datapath/store/checksum.h"
#include "datapath/store/summary_test_support.h"

namespace sluice::store {
namespace {

class LoadingTest : public SummaryTest {};

TEST_F(LoadingTest, WhatIsNotYetInTheIndexIsServedReplacedDeletedAndOverwrittenAsIfItWere) {
  OpenDisk();
  Put("a", 1, 2);
  Put("deleted", 1, 1);
  Put("replaced", 1, 2);
  Stop();
  load_behind_ = false;
  OpenDisk();
  EXPECT_EQ(cache_->counters().objects.load(), 0u);
  Delete("deleted");
  EXPECT_FALSE(cache_->Find("deleted"));
  Put("replaced", 2, 1);
  EXPECT_EQ(Good("a", 1), 2u);
  EXPECT_EQ(cache_->counters().objects.load(), 2u);
  Kill();
  OpenDisk();
  EXPECT_EQ(cache_->counters().objects.load(), 0u);
  EXPECT_FALSE(cache_->Find("deleted"));
  EXPECT_EQ(Good("replaced", 2), 1u);
  Put("filler", 3, 250);  // the whole ring
  EXPECT_EQ(Good("a", 1), 0u);
  EXPECT_EQ(cache_->counters().corrupt_chunks.load(), 0u);
}

TEST_F(LoadingTest, TheLoaderMakesWhatNobodyAsksFor) {
  OpenDisk();
  for (int i = 0; i < 200; ++i) Put("o" + std::to_string(i), 1, 1);
  Stop();
  OpenDisk();
  EXPECT_EQ(Good("o150", 1), 1u);  // beside it
  cache_->WaitUntilLoaded();
  EXPECT_EQ(cache_->counters().recovered_chunks.load(), 200u);
  EXPECT_EQ(cache_->counters().objects.load(), 200u);
}

// Stamps everything as version 1 did; it had no order, and no summaries.
TEST_F(LoadingTest, ADiskOfVersion1IsReadAndWrittenOn) {
  OpenDisk();
  Put("a", 1, 2);
  Put("gone", 1, 1);
  Delete("gone");
  Kill();
  for (const char* const magic : {"SLSP", "SLSG", "SLRC"}) {
    for (const std::uint64_t at : PagesWith(magic)) {
      char* const page = image_->bytes.data() + at;
      const std::uint32_t version = 1;
      std::memcpy(page + 8, &version, sizeof version);
      if (std::string_view(magic) == "SLRC") std::memset(page + 72, 0, 8);
      std::memset(page + 4, 0, 4);
      const std::uint32_t crc = Crc32c({page, kPageBytes});
      std::memcpy(page + 4, &crc, sizeof crc);
    }
  }
  OpenDisk();
  EXPECT_EQ(cache_->disk_damaged_places(), 0u);
  EXPECT_EQ(Good("a", 1), 2u);
  EXPECT_FALSE(cache_->Find("gone"));
  Put("a", 2, 1);
  Delete("a");
  Put("b", 1, 1);
  Stop();
  OpenDisk();
  EXPECT_FALSE(cache_->Find("a"));
  EXPECT_EQ(Good("b", 1), 1u);
}

// Chunks of one object lie on both; what tells their records apart in time is the order alone.
TEST_F(LoadingTest, AReplacedObjectComesBackWholeFromTwoDevices) {
  auto other = std::make_shared<testing::DiskImage>(kSummaryDisk);
  const auto open_both = [&] {
    Cache::Options options{.memory_bytes = kMinMemoryBytes, .chunk_bytes = kTestChunk, .disks = {}};
    for (const auto& image : {image_, other})
      options.disks.push_back({.path = "/none", .bytes = kSummaryDisk, .open = [image] {
                                 return base::StatusOr<std::unique_ptr<Device>>(
                                     std::make_unique<testing::MemoryDevice>(image));
                               }});
    auto cache = Cache::Open(options, clock_);
    ASSERT_TRUE(cache.ok());
    cache_ = std::move(cache).value();
  };
  open_both();
  Put("a", 1, 20);
  Put("gone", 1, 20);
  Put("a", 2, 20);
  const std::vector<char> before = other->bytes;
  Delete("gone");
  Stop();
  EXPECT_GT(PagesWith("SLRC").size(), 20u);
  for (const bool lost : {false, true}) {
    if (lost) other->bytes = before;  // it never got the tombstone
    open_both();
    EXPECT_EQ(Good("a", 2), 20u) << lost;
    EXPECT_FALSE(cache_->Find("gone")) << lost;
    Stop();
  }
}

}  // namespace
}  // namespace sluice::store
