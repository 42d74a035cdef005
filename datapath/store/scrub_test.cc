// The scrubber, a step at a time.
#include "datapath/store/cache_test_support.h"
#include "datapath/testing/memory_device.h"

namespace sluice::store {
namespace {

using Got = Cache::Got;
using testing::DiskImage;
using testing::MemoryDevice;

constexpr std::uint64_t kScrubDisk = 17 << 20;

class ScrubTest : public CacheFixture {
 protected:
  void OpenWithDisk() {
    image_ = std::make_shared<DiskImage>(kScrubDisk);
    open_ = [this]() -> base::StatusOr<std::unique_ptr<Device>> {
      return std::unique_ptr<Device>(std::make_unique<MemoryDevice>(image_));
    };
    Open(kMinMemoryBytes, kScrubDisk);
  }
  // One whole round; the bytes compared in it.
  std::uint64_t Round() {
    const std::uint64_t before = cache_->counters().scrub_rounds.load();
    std::uint64_t bytes = 0;
    while (cache_->counters().scrub_rounds.load() == before) bytes += cache_->ScrubStep();
    return bytes;
  }
  std::uint64_t corrupt() const { return cache_->counters().corrupt_chunks.load(); }
  // Turns over one byte of what the disk holds of `version`'s page `page`.
  void Rot(int version, std::uint64_t page) {
    char wanted[kPageBytes];
    PageOf(version, page, wanted);
    std::lock_guard lock(image_->mutex);
    for (std::size_t at = 0; at + kPageBytes <= image_->bytes.size(); at += kPageBytes) {
      if (std::memcmp(image_->bytes.data() + at, wanted, kPageBytes) != 0) continue;
      image_->bytes[at + 99] = static_cast<char>(image_->bytes[at + 99] ^ 1);
      return;
    }
    FAIL() << "the page is not on the disk";
  }
  std::shared_ptr<DiskImage> image_;
};

TEST_F(ScrubTest, ARoundComparesEveryChunkInMemoryOnce) {
  Open();
  for (const char* name : {"a", "b", "c"}) {
    ObjectRef object = Publish(name, 1, 200'000);
    for (std::uint32_t i = 0; i < object->chunk_count(); ++i) ASSERT_TRUE(Ensure(*object, i, 1));
  }
  Publish("without chunks", 1, 200'000);
  EXPECT_EQ(Round(), 600'000u);
  EXPECT_EQ(Round(), 600'000u);
  EXPECT_EQ(cache_->counters().scrubbed_bytes.load(), 1'200'000u);
  EXPECT_EQ(corrupt(), 0u);
}

TEST_F(ScrubTest, AChunkThatRotsInMemoryIsDroppedCountedAndBroughtAnew) {
  Open();
  ObjectRef object = Publish("a", 1, 200'000);
  for (std::uint32_t i = 0; i < object->chunk_count(); ++i) ASSERT_TRUE(Ensure(*object, i, 1));
  {
    Cache::Acquired got = cache_->Acquire(*object, 2, false);
    ASSERT_EQ(got.got, Got::kReady);
    const_cast<char*>(got.pin.data())[12345] ^= 1;
    Round();
    EXPECT_EQ(corrupt(), 1u);
    EXPECT_EQ(got.pin.length(), kTestChunk);  // who has it keeps it
  }
  EXPECT_EQ(cache_->counters().resident_bytes.load(), 200'000u - kTestChunk);
  Cache::Acquired again = cache_->Acquire(*object, 2, true);
  ASSERT_EQ(again.got, Got::kFill);
  Bring(again.ticket, 1);
  Round();
  EXPECT_EQ(corrupt(), 1u);
  EXPECT_TRUE(Matches(cache_->Acquire(*object, 2, false).pin, 1));
}

TEST_F(ScrubTest, ABadCopyOnDiskLosesItsPlaceAndTheGoodOneInMemoryStays) {
  OpenWithDisk();
  ObjectRef object = Publish("a", 1, kTestChunk);
  ASSERT_TRUE(Ensure(*object, 0, 1));
  cache_->FlushDisk();
  EXPECT_EQ(Round(), 2 * kTestChunk);
  Rot(1, 3);
  Round();
  EXPECT_EQ(corrupt(), 1u);
  EXPECT_EQ(cache_->counters().disk_bytes.load(), 0u);
  EXPECT_EQ(cache_->Acquire(*object, 0, false).got, Got::kReady);
  EXPECT_EQ(Round(), kTestChunk);
  EXPECT_EQ(corrupt(), 1u);
}

TEST_F(ScrubTest, WhatIsBadAndOnDiskAloneLeavesTheIndex) {
  OpenWithDisk();
  ASSERT_TRUE(Ensure(*Publish("a", 1, kTestChunk), 0, 1));
  cache_->FlushDisk();
  cache_.reset();
  Open(kMinMemoryBytes, kScrubDisk);  // now it is on disk only
  cache_->WaitUntilLoaded();
  Rot(1, 0);
  Round();
  EXPECT_EQ(corrupt(), 1u);
  ObjectRef object = cache_->Find("a");
  ASSERT_TRUE(object);
  EXPECT_EQ(cache_->Acquire(*object, 0, false).got, Got::kAbsent);
}

TEST_F(ScrubTest, ADiskThatCannotBeReadJustNowIsNotCalledRotten) {
  OpenWithDisk();
  ASSERT_TRUE(Ensure(*Publish("a", 1, kTestChunk), 0, 1));
  cache_->FlushDisk();
  {
    std::lock_guard lock(image_->mutex);
    image_->fail_reads = base::Unavailable("busy");
  }
  Round();
  EXPECT_EQ(corrupt(), 0u);
  EXPECT_EQ(cache_->counters().disk_bytes.load(), kTestChunk);
}

TEST_F(ScrubTest, TheThreadStopsWithTheCache) {
  Cache::Options options{.memory_bytes = kMinMemoryBytes,
                         .chunk_bytes = kTestChunk,
                         .disks = {},
                         .scrub_bytes_per_second = 1};  // it waits nearly always
  auto cache = Cache::Open(options, clock_);
  ASSERT_TRUE(cache.ok());
  cache->reset();
}

}  // namespace
}  // namespace sluice::store
