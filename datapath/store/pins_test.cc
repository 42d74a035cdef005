// Pinned data: what stays, within which bound, and when it goes all the same.
#include "datapath/store/pins.h"

#include "datapath/store/cache_test_support.h"
#include "datapath/testing/memory_device.h"

namespace sluice::store {
namespace {

TEST(PinsMatch, NamesThatBeginWithOneOfThePrefixes) {
  Pins pins;
  EXPECT_FALSE(pins.Match("a"));
  pins.Set({"b/", "a/x/", "a/", "a/x/y", "c"});
  EXPECT_EQ(pins.size(), 3u);
  for (const char* name : {"a/", "a/x/y/z"}) EXPECT_EQ(pins.Match(name), 0u) << name;
  EXPECT_EQ(pins.Match("b/1"), 1u);
  for (const char* name : {"c", "cc"}) EXPECT_EQ(pins.Match(name), 2u) << name;
  for (const char* name : {"", "a", "b", "d", "ba/"}) EXPECT_FALSE(pins.Match(name)) << name;
  pins.Set({});
  EXPECT_FALSE(pins.Match("a/"));
  pins.Set({""});
  EXPECT_EQ(pins.Match("anything"), 0u);
}

class PinsTest : public CacheFixture {
 protected:
  void SetUp() override { Open(); }
  void Bring(const std::string& name, std::uint64_t chunks, int version = 1) {
    ObjectRef object = Publish(name, version, chunks * kTestChunk);
    for (std::uint32_t i = 0; i < object->chunk_count(); ++i)
      ASSERT_TRUE(Ensure(*object, i, version));
  }
  std::uint64_t Present(const std::string& name) {
    ObjectRef object = cache_->Find(name);
    std::uint64_t present = 0;
    for (std::uint32_t i = 0; object && i < object->chunk_count(); ++i)
      present += cache_->Acquire(*object, i, false).got == Cache::Got::kReady ? 1 : 0;
    return present;
  }
  // More than the whole tier, read once: a scan.
  void Scan(const std::string& name) { Bring(name, 2 * kMinMemoryBytes / kTestChunk); }
};

TEST_F(PinsTest, PinnedChunksOutliveAScanAndOthersDoNot) {
  cache_->SetPins({"pinned/"});
  Bring("pinned/a", 20);
  Bring("other", 20);
  Scan("scan");
  EXPECT_EQ(Present("pinned/a"), 20u);
  EXPECT_EQ(Present("other"), 0u);
  EXPECT_EQ(cache_->pinned_bytes(), 20 * kTestChunk);
}

TEST_F(PinsTest, AtMostTheStatedShareIsPinnedAndTheRestIsEvictedAsAllOthers) {
  cache_->SetPins({"pinned/"});
  const std::uint64_t share = cache_->pinned_limit_bytes() / kTestChunk;
  EXPECT_EQ(cache_->pinned_limit_bytes(), cache_->pool().cache_limit() / 2);
  Bring("pinned/a", share + 30);
  Scan("scan");
  EXPECT_EQ(Present("pinned/a"), share);
  EXPECT_LE(cache_->pinned_bytes(), cache_->pinned_limit_bytes());
  EXPECT_GE(cache_->counters().pins_refused.load(), 30u);
  EXPECT_LE(cache_->pool().used(), cache_->pool().limit());
}

TEST_F(PinsTest, AGreedyPinLeavesEachOtherItsPart) {
  cache_->SetPins({"greedy/", "late/"});
  const std::uint64_t part = cache_->pinned_limit_bytes() / 2 / kTestChunk;
  Bring("greedy/a", 2 * part);
  Scan("scan0");
  Bring("late/a", part);
  Scan("scan1");
  EXPECT_EQ(Present("late/a"), part);
  EXPECT_EQ(Present("greedy/a"), part);
  EXPECT_LE(cache_->pinned_bytes(), cache_->pinned_limit_bytes());
}

TEST_F(PinsTest, WhatCameBeforeItsPinIsKeptFromThenOn) {
  Bring("late/a", 20);
  cache_->SetPins({"late/"});
  Scan("scan");
  EXPECT_EQ(Present("late/a"), 20u);
}

TEST_F(PinsTest, WithoutItsPinItGoesLikeAnyOther) {
  cache_->SetPins({"pinned/", "still/"});
  Bring("pinned/a", 20);
  Bring("still/a", 20);
  cache_->SetPins({"still/"});
  EXPECT_EQ(cache_->pinned_bytes(), 0u);  // until their turn to go comes
  ObjectRef hot = Publish("hot", 1, kMinMemoryBytes);
  for (std::uint32_t i = 0; i < hot->chunk_count(); ++i) {
    ASSERT_TRUE(Ensure(*hot, i, 1));
    for (int reads = 0; reads < 3; ++reads) cache_->Acquire(*hot, i, false);
  }
  EXPECT_EQ(Present("pinned/a"), 0u);
  EXPECT_EQ(Present("still/a"), 20u);
  EXPECT_EQ(cache_->pinned_bytes(), 20 * kTestChunk);
}

TEST_F(PinsTest, AnotherVersionOrAnInvalidationRemovesPinnedChunks) {
  cache_->SetPins({"pinned/"});
  Bring("pinned/a", 20);
  Bring("pinned/b", 20);
  Publish("pinned/a", 2, 20 * kTestChunk);
  cache_->Invalidate("pinned/b", [] {});
  EXPECT_EQ(cache_->pinned_bytes(), 0u);
  EXPECT_EQ(Present("pinned/a"), 0u);
  Bring("pinned/a", 20, 2);
  EXPECT_EQ(cache_->pinned_bytes(), 20 * kTestChunk);
}

TEST_F(PinsTest, ThePinnedAreOnDiskTooThoughTheRingGoesRound) {
  constexpr std::uint64_t kRing = 4 * kMinMemoryBytes;
  const auto image = std::make_shared<testing::DiskImage>(kRing);
  open_ = [image]() -> base::StatusOr<std::unique_ptr<Device>> {
    return std::unique_ptr<Device>(std::make_unique<testing::MemoryDevice>(image));
  };
  Open(kMinMemoryBytes, kRing);
  cache_->SetPins({"pinned/"});
  Bring("pinned/a", 20);
  for (int i = 0; i < 2; ++i) {
    ObjectRef object = Publish("scan" + std::to_string(i), 1, kRing);
    for (std::uint32_t k = 0; k < object->chunk_count(); ++k) {
      ASSERT_TRUE(Ensure(*object, k, 1));
      cache_->FlushDisk();
    }
  }
  cache_.reset();
  Open(kMinMemoryBytes, kRing);
  ObjectRef object = cache_->Find("pinned/a");
  ASSERT_TRUE(object);
  for (std::uint32_t i = 0; i < 20; ++i) {
    Cache::Acquired got = cache_->Acquire(*object, i, false);
    ASSERT_TRUE(static_cast<bool>(got.pin)) << i;
    EXPECT_TRUE(WaitFor(got.pin) && Matches(got.pin, 1)) << i;
  }
}

}  // namespace
}  // namespace sluice::store
