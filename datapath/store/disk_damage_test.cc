// Damage in the disk tier's log: nothing that was deleted comes back.
#include "datapath/store/cache_test_support.h"
#include "datapath/testing/memory_device.h"

namespace sluice::store {
namespace {

using testing::DiskImage;
using testing::MemoryDevice;

constexpr std::uint64_t kDamageDisk = 17 << 20;  // four segments

class DiskDamageTest : public CacheFixture {
 protected:
  void SetUp() override {
    image_ = std::make_shared<DiskImage>(kDamageDisk);
    image_->journal = true;
    open_ = [this]() -> base::StatusOr<std::unique_ptr<Device>> {
      return std::unique_ptr<Device>(std::make_unique<MemoryDevice>(image_));
    };
    OpenDisk();
  }
  void OpenDisk() { Open(kMinMemoryBytes, kDamageDisk); }
  // Each returns where on the disk its record begins.
  std::uint64_t Keep(const std::string& name, int version = 1, std::uint32_t chunks = 1) {
    ObjectRef object = Publish(name, version, std::uint64_t{chunks} * kTestChunk);
    for (std::uint32_t i = 0; i < chunks; ++i) {
      EXPECT_TRUE(Ensure(*object, i, version));
      cache_->FlushDisk();
    }
    return LastWrite();
  }
  std::uint64_t Delete(const std::string& name) {
    cache_->Invalidate(name, [] {});
    cache_->FlushDisk();
    return LastWrite();
  }
  std::uint64_t LastWrite() {
    std::lock_guard lock(image_->mutex);
    return image_->writes.back().offset;
  }
  // As kill -9 does: what a stop in order writes is not there.
  void Kill() {
    cache_->FlushDisk();
    const std::vector<char> bytes = image_->bytes;
    cache_.reset();
    image_->bytes = bytes;
  }
  void Flip(std::uint64_t at) { image_->bytes[at] = static_cast<char>(image_->bytes[at] ^ 4); }
  bool Here(const std::string& name) { return static_cast<bool>(cache_->Find(name)); }

  std::shared_ptr<DiskImage> image_;
};

// Every way in which one header can be damaged: its magic, its checksum, its texts, all of it, and
// a page that cannot be read.
TEST_F(DiskDamageTest, ADamagedRecordDoesNotHideTheTombstonesBehindIt) {
  Keep("gone");
  const std::uint64_t damaged = Keep("between");
  Delete("gone");
  Keep("after");
  Kill();
  const std::vector<char> good = image_->bytes;
  for (const int kind : {0, 5, 40, 100, -1, -2}) {
    image_->bytes = good;
    image_->bad_page = kind == -2 ? damaged : 0;
    if (kind >= 0) Flip(damaged + static_cast<std::uint64_t>(kind));
    if (kind == -1) std::memset(image_->bytes.data() + damaged, 0x5a, kPageBytes);
    OpenDisk();
    EXPECT_FALSE(Here("gone")) << kind;
    EXPECT_FALSE(Here("between")) << kind;
    EXPECT_TRUE(Here("after")) << kind;
    EXPECT_EQ(cache_->disk_damaged_places(), 1u) << kind;
    cache_.reset();
  }
}

TEST_F(DiskDamageTest, WhatIsAppendedLaterLeavesTheTombstonesBehindTheDamageInPlace) {
  Keep("gone");
  const std::uint64_t damaged = Keep("between");
  Delete("gone");
  Kill();
  Flip(damaged + 5);
  for (int i = 0; i < 3; ++i) {
    OpenDisk();
    EXPECT_FALSE(Here("gone"));
    for (int k = 0; k < i; ++k) EXPECT_TRUE(Here("new" + std::to_string(k)));
    Keep("new" + std::to_string(i));
    Kill();
  }
}

TEST_F(DiskDamageTest, WhatADamagedTombstoneMayHaveDeletedIsNotBelieved) {
  Keep("gone");
  const std::uint64_t tombstone = Delete("gone");
  Keep("after");
  Kill();
  Flip(tombstone + 90);
  OpenDisk();
  EXPECT_FALSE(Here("gone"));
  EXPECT_TRUE(Here("after"));
}

TEST_F(DiskDamageTest, ADamagedTombstoneAtTheEndOfTheLogIsNotedToo) {
  Keep("gone");
  const std::uint64_t tombstone = Delete("gone");
  Kill();
  Flip(tombstone + 5);
  OpenDisk();
  EXPECT_FALSE(Here("gone"));
  EXPECT_EQ(cache_->disk_damaged_places(), 1u);
}

TEST_F(DiskDamageTest, ADamagedSegmentHeaderDoesNotHideItsTombstones) {
  Keep("gone");
  const std::uint64_t before = LastWrite();
  Keep("big", 1, 70);  // beyond the first segment
  const std::uint64_t tombstone = Delete("gone");
  Kill();
  std::uint64_t header = 0;
  for (const DiskImage::Write& write : image_->writes)
    if (write.bytes.starts_with("SLSG") && write.offset > before && write.offset < tombstone)
      header = write.offset;
  ASSERT_NE(header, 0u);
  const std::vector<char> good = image_->bytes;
  for (const bool readable : {true, false}) {
    image_->bytes = good;
    if (readable) Flip(header + 20);
    image_->bad_page = readable ? 0 : header;
    OpenDisk();
    EXPECT_FALSE(Here("gone"));
    EXPECT_TRUE(Here("big"));  // no record is missing
    EXPECT_EQ(cache_->disk_damaged_places(), 1u);
    cache_.reset();
  }
}

TEST_F(DiskDamageTest, ALogWithoutDamageIsRecoveredWhole) {
  for (int round = 0; round < 3; ++round) {
    Keep("kept" + std::to_string(round));
    Keep("big" + std::to_string(round), 1, 100);
    Delete("big" + std::to_string(round));
    Kill();
    OpenDisk();
    EXPECT_TRUE(Here("kept" + std::to_string(round))) << round;
    EXPECT_FALSE(Here("big" + std::to_string(round))) << round;
    EXPECT_EQ(cache_->disk_damaged_places(), 0u) << round;
  }
}

}  // namespace
}  // namespace sluice::store
