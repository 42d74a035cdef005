// What is still wanted leaves huge pages that are mostly spent
// (docs/adr/0288-chunks-move-out-of-spent-pages.md).
#include <algorithm>
#include <random>

#include "datapath/store/cache_test_support.h"

namespace sluice::store {
namespace {

constexpr std::uint32_t kSlotsABlock = kHugePageBytes / kTestChunk;

// Extents of 64 KiB, 32 a block, in a tier of 56 MiB.
class SpentTest : public testing::Test {
 protected:
  std::vector<Extent> TakeBlock() {
    std::vector<Extent> extents;
    for (std::uint32_t i = 0; i < kSlotsABlock; ++i)
      extents.push_back(arena_.Allocate(kTestChunk, Owner()).value());
    return extents;
  }
  // Told and compared, never looked into.
  Chunk* Owner() { return reinterpret_cast<Chunk*>(this); }
  MemoryPool pool_{64 << 20};
  Arena arena_{pool_, 1 << 20, kMinHugeSlotBytes};
};

TEST_F(SpentTest, ABlockIsLeftWhenAQuarterOfItIsSpentTheMostSpentFirst) {
  const std::vector<Extent> first = TakeBlock(), second = TakeBlock();
  for (std::uint32_t i = 0; i < kSlotsABlock / 4 - 1; ++i) arena_.Free(first[i], true);
  EXPECT_TRUE(arena_.SpentBlocks().empty());
  arena_.Free(first[kSlotsABlock / 4 - 1], true);
  EXPECT_EQ(arena_.SpentBlocks(), std::vector{first[0]});
  for (std::uint32_t i = 0; i < kSlotsABlock / 2; ++i) arena_.Free(second[i], true);
  EXPECT_EQ(arena_.SpentBlocks(), (std::vector{second[0], first[0]}));
  EXPECT_EQ(arena_.spent_bytes(), std::uint64_t{kSlotsABlock} * 3 / 4 * kTestChunk);
  for (std::uint32_t i = kSlotsABlock / 2; i < kSlotsABlock; ++i) arena_.Free(second[i], false);
  EXPECT_EQ(arena_.SpentBlocks(), std::vector{first[0]});  // given up whole
  EXPECT_EQ(arena_.spent_bytes(), std::uint64_t{kSlotsABlock} / 4 * kTestChunk);
}

TEST_F(SpentTest, OnlyWhatIsHeldIsTold) {
  const std::vector<Extent> block = TakeBlock();
  for (std::uint32_t i = 0; i < kSlotsABlock - 3; ++i) arena_.Free(block[i], true);
  arena_.Free(block[kSlotsABlock - 1], false);
  std::vector<Extent> held;
  arena_.ForEachHeld(block[0], [&](Chunk& owner, Extent extent) {
    EXPECT_EQ(&owner, Owner());
    held.push_back(extent);
  });
  EXPECT_EQ(held, (std::vector{block[kSlotsABlock - 3], block[kSlotsABlock - 2]}));
  arena_.Free(held[0], true);
  arena_.Free(held[1], true);  // given up: nothing is told of what is there next
  TakeBlock();
  arena_.ForEachHeld(block[0], [](Chunk&, Extent) { FAIL(); });
}

TEST_F(SpentTest, NewcomersTakeASpentBlockLastAndWhatMovesNever) {
  const std::vector<Extent> left = TakeBlock();
  for (std::uint32_t i = 0; i < kSlotsABlock / 2; ++i) arena_.Free(left[i], i % 2 == 0);
  std::vector<Extent> others;
  const auto in_left = [&left](Extent extent) {
    return std::ranges::find(left, extent) != left.end();
  };
  while (pool_.cache_used() + kHugePageBytes <= pool_.cache_limit())
    for (const Extent extent : TakeBlock()) {
      EXPECT_FALSE(in_left(extent));
      others.push_back(extent);
    }
  EXPECT_FALSE(arena_.AllocateElsewhere(left.back(), Owner()).ok());
  for (std::uint32_t i = 0; i < kSlotsABlock / 4; ++i)
    EXPECT_TRUE(in_left(arena_.Allocate(kTestChunk, Owner()).value()));
  EXPECT_FALSE(arena_.Allocate(kTestChunk, Owner()).ok());
  arena_.Free(others.back(), false);
  EXPECT_EQ(arena_.AllocateElsewhere(left.back(), Owner()).value(), others.back());
}

TEST_F(SpentTest, NothingMoreIsLentWhenAQuarterOfTheTierIsSpent) {
  std::vector<Extent> held;
  while (pool_.cache_used() + kHugePageBytes <= pool_.cache_limit())
    for (const Extent extent : TakeBlock()) held.push_back(extent);
  const Extent last = held.back();
  for (std::size_t i = 0; arena_.spent_bytes() <= pool_.cache_limit() / 4; i += 2) {
    EXPECT_TRUE(arena_.MayLend(last));
    arena_.Free(held[i], true);
  }
  EXPECT_FALSE(arena_.MayLend(last));
  EXPECT_TRUE(arena_.HasMuchSpent());
}

class MoveTest : public CacheFixture {
 protected:
  static constexpr std::uint64_t kMemory = 256 << 20;

  void SetUp() override { Open(kMemory); }
  // Fills the tier but for `spare` blocks with chunks of two objects, `kept` of each block's of the
  // one that stays, all of them lent to somebody.
  void FillLent(std::uint32_t kept, std::uint64_t spare) {
    const std::uint64_t blocks = cache_->pool().cache_limit() / kHugePageBytes - spare;
    keep_ = Publish("keep", 1, blocks * kept * kTestChunk);
    const ObjectRef gone = Publish("gone", 2, blocks * (kSlotsABlock - kept) * kTestChunk);
    for (std::uint32_t i = 0, keeps = 0, goes = 0; i < blocks * kSlotsABlock; ++i) {
      const bool keeping = i % kSlotsABlock < kept;
      Cache::Acquired got =
          cache_->Acquire(*(keeping ? keep_ : gone), keeping ? keeps++ : goes++, true);
      ASSERT_EQ(got.got, Cache::Got::kFill);
      Bring(got.ticket, keeping ? 1 : 2);
      got.pin.MarkSentByReference();
    }
  }
  bool SettlesBelow(std::uint64_t bytes) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (cache_->spent_bytes() > bytes) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  std::uint64_t Bound() { return cache_->pool().cache_limit() / kMoveAboveDivisor; }
  // How many of what is to be kept are here; all of these have the right bytes.
  std::uint32_t Kept() {
    std::uint32_t here = 0;
    for (std::uint32_t i = 0; i < keep_->chunk_count(); ++i) {
      const Cache::Acquired got = cache_->Acquire(*keep_, i, false);
      if (got.got != Cache::Got::kReady) continue;
      EXPECT_TRUE(Matches(got.pin, 1)) << i;
      ++here;
    }
    return here;
  }
  ObjectRef keep_;
};

TEST_F(MoveTest, WhatStaysHotHoldsNoMemoryForNeighboursThatWent) {
  FillLent(1, 8);
  cache_->Invalidate("gone", [] {});
  ASSERT_TRUE(SettlesBelow(Bound())) << cache_->spent_bytes();
  EXPECT_EQ(Kept(), keep_->chunk_count());
  EXPECT_GT(cache_->counters().moved_bytes.load(), 0u);
  // What was spent can be filled again.
  const ObjectRef next = Publish("next", 3, kMemory / 2);
  for (std::uint32_t i = 0; i < next->chunk_count(); ++i) ASSERT_TRUE(Ensure(*next, i, 3));
  EXPECT_EQ(cache_->counters().evicted_chunks.load(), 0u);
}

TEST_F(MoveTest, WhereThereIsNoRoomAFewGoSoThatTheOthersCanMove) {
  FillLent(kSlotsABlock * 3 / 4, 0);
  cache_->Invalidate("gone", [] {});
  ASSERT_TRUE(SettlesBelow(Bound())) << cache_->spent_bytes();
  EXPECT_GT(Kept(), keep_->chunk_count() * 9 / 10);
}

TEST_F(MoveTest, WhatIsInUseStaysWhereItIs) {
  FillLent(1, 8);
  Cache::Acquired used = cache_->Acquire(*keep_, 0, false);
  ASSERT_EQ(used.got, Cache::Got::kReady);
  const char* const at = used.pin.data();
  cache_->Invalidate("gone", [] {});
  ASSERT_TRUE(SettlesBelow(Bound())) << cache_->spent_bytes();
  EXPECT_EQ(used.pin.data(), at);
  EXPECT_TRUE(Matches(used.pin, 1));
}

// For the thread sanitizer, too: readers, fills, invalidations and moves at once.
TEST_F(MoveTest, ReadersNeverSeeAForeignByteWhileChunksMove) {
  constexpr int kObjects = 64;
  constexpr std::uint32_t kChunks = 40;  // 160 MiB in all
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> read{0};
  const auto name = [](int object) { return "object" + std::to_string(object); };
  for (int i = 0; i < kObjects; ++i) Publish(name(i), i + 1, kChunks * kTestChunk);
  std::vector<std::jthread> readers;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    readers.emplace_back([&, seed] {
      std::mt19937 random(seed);
      while (!stop.load()) {
        const int at = static_cast<int>(random() % kObjects);
        if (random() % 64 == 0) cache_->Invalidate(name(at), [] {});
        ObjectRef object = cache_->Find(name(at));
        if (!object) object = Publish(name(at), at + 1, kChunks * kTestChunk);
        if (!object) continue;
        Cache::Acquired got = cache_->Acquire(*object, random() % kChunks, true);
        if (got.got == Cache::Got::kFill) Bring(got.ticket, at + 1);
        if (!got.pin || got.pin.available() < got.pin.length()) continue;
        got.pin.MarkSentByReference();
        EXPECT_TRUE(Matches(got.pin, at + 1));
        read.fetch_add(1);
      }
    });
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while ((read.load() < 20'000 || cache_->counters().moved_bytes.load() < 64 * kTestChunk) &&
         std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stop.store(true);
  readers.clear();
  EXPECT_GE(read.load(), 20'000u);
  EXPECT_GE(cache_->counters().moved_bytes.load(), 64u * kTestChunk);
}

}  // namespace
}  // namespace sluice::store
