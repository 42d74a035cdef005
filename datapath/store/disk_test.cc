// The disk tier through the cache: restarts, faults, and every point at which a crash can cut.
#include <map>
#include <set>

#include "datapath/store/cache_test_support.h"
#include "datapath/store/checksum.h"
#include "datapath/store/record.h"
#include "datapath/testing/memory_device.h"

namespace sluice::store {
namespace {

using Got = Cache::Got;
using testing::DiskImage;
using testing::MemoryDevice;

constexpr std::uint64_t kDisk = (17 << 20);

class DiskTest : public CacheFixture {
 protected:
  void SetUp() override { UseImage(std::make_shared<DiskImage>(kDisk)); }
  void UseImage(std::shared_ptr<DiskImage> image) {
    image_ = std::move(image);
    open_ = [this]() -> base::StatusOr<std::unique_ptr<Device>> {
      return std::unique_ptr<Device>(std::make_unique<MemoryDevice>(image_));
    };
  }
  void OpenDisk() { Open(kMinMemoryBytes, kDisk); }
  void Restart() {
    cache_->FlushDisk();
    cache_.reset();
    OpenDisk();
  }
  // Reads one chunk from wherever it is; the version that its bytes are of, 0: not here, -1: wrong.
  int ReadVersion(const std::string& name, std::uint32_t index, int latest) {
    ObjectRef object = cache_->Find(name);
    if (!object) return 0;
    Cache::Acquired got = cache_->Acquire(*object, index, false);
    if (got.got == Got::kAbsent || !got.pin) return 0;
    if (!WaitFor(got.pin)) return 0;
    const int version = std::stoi(object->meta().etag.substr(2));
    return version <= latest && Matches(got.pin, version) ? version : -1;
  }

  std::shared_ptr<DiskImage> image_;
};

TEST_F(DiskTest, ARestartIsWarmAndUnconfirmed) {
  OpenDisk();
  ObjectRef object = Publish("a", 1, 200'000);
  for (std::uint32_t i = 0; i < object->chunk_count(); ++i) ASSERT_TRUE(Ensure(*object, i, 1));
  object = ObjectRef();
  Restart();
  cache_->WaitUntilLoaded();
  EXPECT_EQ(cache_->counters().recovered_chunks.load(), 4u);
  object = cache_->Find("a");
  ASSERT_TRUE(object);
  EXPECT_EQ(object->checked_at(), base::MonoTime::min());
  EXPECT_EQ(object->meta().headers, MetaOf("", 0).headers);
  for (std::uint32_t i = 0; i < object->chunk_count(); ++i) EXPECT_EQ(ReadVersion("a", i, 1), 1);
  EXPECT_EQ(cache_->counters().promotions.load(), 4u);
}

TEST_F(DiskTest, WhatWasInvalidatedOrReplacedDoesNotComeBack) {
  OpenDisk();
  ASSERT_TRUE(Ensure(*Publish("gone", 1, 10), 0, 1));
  ASSERT_TRUE(Ensure(*Publish("changed", 1, 10), 0, 1));
  ASSERT_TRUE(Ensure(*Publish("kept", 1, 10), 0, 1));
  cache_->FlushDisk();
  std::atomic<bool> done{false};
  cache_->Invalidate("gone", [&] { done = true; });
  Publish("changed", 2, 10);  // and its bytes are not fetched before the crash
  Restart();
  EXPECT_TRUE(done.load());
  EXPECT_FALSE(cache_->Find("gone"));
  EXPECT_EQ(ReadVersion("changed", 0, 2), 0);
  EXPECT_EQ(ReadVersion("kept", 0, 1), 1);
}

TEST_F(DiskTest, ChunksEvictedFromMemoryAreReadBackFromDisk) {
  UseImage(std::make_shared<DiskImage>(2 * kDisk));
  OpenDisk();
  ObjectRef small = Publish("small", 1, kTestChunk);
  ASSERT_TRUE(Ensure(*small, 0, 1));
  cache_->FlushDisk();
  ObjectRef big = Publish("big", 2, 20 << 20);  // more than memory, fits on the disk beside it
  for (std::uint32_t i = 0; i < big->chunk_count(); ++i) {
    ASSERT_TRUE(Ensure(*big, i, 2));
    cache_->FlushDisk();
  }
  EXPECT_EQ(ReadVersion("small", 0, 1), 1);
  EXPECT_GT(cache_->counters().promotions.load(), 0u);
}

TEST_F(DiskTest, TheOldestSegmentMakesRoomAndItsChunksAreForgotten) {
  OpenDisk();
  ObjectRef big = Publish("big", 1, 40 << 20);
  for (std::uint32_t i = 0; i < big->chunk_count(); ++i) {
    ASSERT_TRUE(Ensure(*big, i, 1));
    cache_->FlushDisk();
  }
  EXPECT_LE(cache_->counters().disk_bytes.load(), cache_->disk_limit_bytes());
  big = ObjectRef();
  Restart();
  cache_->WaitUntilLoaded();
  const std::uint64_t recovered = cache_->counters().recovered_chunks.load();
  EXPECT_GT(recovered, 100u);
  std::uint64_t right = 0;
  for (std::uint32_t i = 0; i < 640; ++i) {
    const int version = ReadVersion("big", i, 1);
    ASSERT_NE(version, -1) << i;
    right += version == 1;
  }
  EXPECT_EQ(right, recovered);
  EXPECT_EQ(ReadVersion("big", 639, 1), 1);  // the youngest
  EXPECT_EQ(ReadVersion("big", 0, 1), 0);    // the oldest
}

TEST_F(DiskTest, AFlippedBitIsDroppedCountedAndFetchedAnew) {
  OpenDisk();
  ASSERT_TRUE(Ensure(*Publish("a", 1, 10'000), 0, 1));
  cache_->FlushDisk();
  cache_.reset();
  // The data begins one page behind the record's header, which is the first of the first segment.
  image_->bytes[kPageBytes * 3 + 5000] ^= 1;
  OpenDisk();
  EXPECT_EQ(ReadVersion("a", 0, 1), 0);
  EXPECT_EQ(cache_->counters().corrupt_chunks.load(), 1u);
  ObjectRef object = cache_->Find("a");
  EXPECT_EQ(cache_->Acquire(*object, 0, true).got, Got::kFill);
}

TEST_F(DiskTest, ReadErrorsFailTheChunkAndOnlyIt) {
  OpenDisk();
  ASSERT_TRUE(Ensure(*Publish("a", 1, 10), 0, 1));
  ASSERT_TRUE(Ensure(*Publish("b", 1, 10), 0, 1));
  Restart();
  image_->fail_reads = base::DataLoss("EIO");
  EXPECT_EQ(ReadVersion("a", 0, 1), 0);
  EXPECT_EQ(cache_->counters().promotion_failures.load(), 1u);
  image_->fail_reads = base::OkStatus();
  EXPECT_EQ(ReadVersion("b", 0, 1), 1);
  EXPECT_TRUE(cache_->disk_healthy());
}

TEST_F(DiskTest, ADeviceThatRefusesWritesIsGivenUpAndTheCacheGoesOn) {
  OpenDisk();
  image_->fail_writes = base::ResourceExhausted("ENOSPC");
  ObjectRef object = Publish("a", 1, 2 << 20);
  for (std::uint32_t i = 0; i < object->chunk_count(); ++i) {
    ASSERT_TRUE(Ensure(*object, i, 1));
    cache_->FlushDisk();
  }
  EXPECT_FALSE(cache_->disk_healthy());
  EXPECT_GE(cache_->counters().disk_write_failures.load(), 8u);
  EXPECT_EQ(cache_->counters().disk_bytes.load(), 0u);
  EXPECT_EQ(ReadVersion("a", 31, 1), 1);
}

TEST_F(DiskTest, ADeviceOfAnotherFormatVersionIsLeftUntouchedAndOut) {
  OpenDisk();
  cache_.reset();
  image_->bytes[8] = 99;  // version, with the checksum made right again
  std::string page(image_->bytes.data(), kPageBytes);
  page.replace(4, 4, std::string(4, '\0'));
  const std::uint32_t crc = Crc32c(page);
  std::memcpy(image_->bytes.data() + 4, &crc, 4);
  const std::vector<char> before = image_->bytes;
  OpenDisk();
  EXPECT_FALSE(cache_->disk_healthy());
  ASSERT_TRUE(Ensure(*Publish("a", 1, 10), 0, 1));
  cache_.reset();
  EXPECT_EQ(image_->bytes, before);
}

// Kill -9 or power loss between any two writes, and inside each write at every page: what recovery
// serves is right, and what was committed (its write is whole, and nothing later undid it) is
// there.
TEST_F(DiskTest, AtEveryCutPointNothingUncommittedIsServedAndNothingCommittedIsLost) {
  image_->journal = true;
  OpenDisk();
  struct Step {
    std::string name;
    int version;  // 0: invalidate
  };
  const std::vector<Step> steps = {{"a", 1}, {"b", 1}, {"a", 2}, {"c", 1}, {"b", 0},
                                   {"b", 2}, {"c", 2}, {"a", 0}, {"d", 1}};
  std::vector<std::size_t> writes_after;  // each step
  for (const Step& step : steps) {
    if (step.version == 0) {
      cache_->Invalidate(step.name, [] {});
    } else {
      ObjectRef object = Publish(step.name, step.version, 2 * kTestChunk);
      ASSERT_TRUE(Ensure(*object, 0, step.version));
      ASSERT_TRUE(Ensure(*object, 1, step.version));
    }
    cache_->FlushDisk();
    writes_after.push_back(image_->writes.size());
  }
  cache_.reset();
  const std::vector<DiskImage::Write> writes = image_->writes;
  const std::map<std::string, int> latest = {{"a", 2}, {"b", 2}, {"c", 2}, {"d", 1}};

  std::vector<char> durable(kDisk, '\0');
  std::size_t cuts = 0;
  for (std::size_t n = 0; n <= writes.size(); ++n) {
    const std::size_t pages = n < writes.size() ? writes[n].bytes.size() / kPageBytes : 1;
    for (std::size_t page = 0; page < pages; page += page < 2 ? 1 : 5) {
      auto image = std::make_shared<DiskImage>(0);
      image->bytes = durable;
      if (n < writes.size()) image->Apply(writes[n], page * kPageBytes);
      UseImage(image);
      OpenDisk();
      ++cuts;
      std::map<std::string, int> expected;  // by steps whose writes are all durable
      std::set<std::string> undecided;      // of the step that was cut
      for (std::size_t s = 0; s < steps.size(); ++s) {
        const std::size_t began = s == 0 ? 0 : writes_after[s - 1];
        if (writes_after[s] <= n) {
          expected[steps[s].name] = steps[s].version;
        } else if (began <= n) {
          undecided.insert(steps[s].name);
        }
      }
      for (const auto& [name, version] : latest) {
        for (std::uint32_t index = 0; index < 2; ++index) {
          const int found = ReadVersion(name, index, version);
          ASSERT_NE(found, -1) << "cut " << n << "+" << page << ": wrong bytes of " << name;
          if (!undecided.contains(name)) {
            ASSERT_EQ(found, expected[name]) << "cut " << n << "+" << page << " of " << name;
          }
        }
      }
      cache_.reset();
    }
    if (n < writes.size())
      std::memcpy(durable.data() + writes[n].offset, writes[n].bytes.data(),
                  writes[n].bytes.size());
  }
  EXPECT_GT(cuts, 70u);
}

// A device that lost one write but kept a later one: what was invalidated since must not come back.
TEST_F(DiskTest, ARecordBehindALostOneStaysAndDiesByItsTombstone) {
  image_->journal = true;
  OpenDisk();
  ASSERT_TRUE(Ensure(*Publish("lost", 1, 10), 0, 1));
  cache_->FlushDisk();
  ASSERT_TRUE(Ensure(*Publish("later", 1, 10), 0, 1));
  cache_->FlushDisk();
  const DiskImage::Write lost = image_->writes[image_->writes.size() - 2];
  const std::vector<char> killed = image_->bytes;
  cache_.reset();
  image_->bytes = killed;  // no summary
  std::memset(image_->bytes.data() + lost.offset, 0, lost.bytes.size());
  OpenDisk();
  EXPECT_EQ(ReadVersion("later", 0, 1), 1);
  cache_->Invalidate("later", [] {});
  ASSERT_TRUE(Ensure(*Publish("filler", 1, 10), 0, 1));
  Restart();
  EXPECT_EQ(ReadVersion("filler", 0, 1), 1);
  EXPECT_FALSE(cache_->Find("later"));
}

TEST(FileDevice, ReadsBackWhatItWroteAndRefusesASecondOwner) {
  std::string pattern = std::filesystem::temp_directory_path() / "sluice-device-XXXXXX";
  const std::string folder = ::mkdtemp(pattern.data());
  {
    auto device = OpenFileDevice(folder, 1 << 20);
    ASSERT_TRUE(device.ok()) << device.status().ToString();
    EXPECT_EQ(OpenFileDevice(folder, 1 << 20).status().code(), base::Code::kAlreadyExists);
    auto* page = static_cast<char*>(std::aligned_alloc(kPageBytes, kPageBytes));
    std::memset(page, 'x', kPageBytes);
    const iovec piece{page, kPageBytes};
    ASSERT_TRUE((*device)->Write(8192, std::span<const iovec>(&piece, 1)).ok());
    std::memset(page, 0, kPageBytes);
    ASSERT_TRUE((*device)->Read(8192, {page, kPageBytes}).ok());
    EXPECT_EQ(page[4095], 'x');
    std::free(page);
  }
  EXPECT_TRUE(OpenFileDevice(folder, 1 << 20).ok());  // the lock went with its owner
  std::filesystem::remove_all(folder);
}

TEST(Record, EveryTruncatedOrDamagedHeaderIsRefused) {
  Record record;
  record.name = "lake\0bucket\0key";
  record.meta = MetaOf("\"e\"", 12345);
  record.data_bytes = 12345;
  const std::string good = EncodeRecordHeader(record);
  ASSERT_TRUE(DecodeRecordHeader(good).ok());
  EXPECT_EQ(DecodeRecordHeader(good)->meta.headers, record.meta.headers);
  for (std::size_t at = 0; at < good.size(); at += 7) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    EXPECT_FALSE(DecodeRecordHeader(bad).ok()) << at;
  }
}

}  // namespace
}  // namespace sluice::store
