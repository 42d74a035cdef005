#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "datapath/store/arena.h"
#include "datapath/store/checksum.h"
#include "datapath/store/limits.h"
#include "datapath/store/memory_pool.h"
#include "datapath/store/s3fifo.h"

namespace sluice::store {
namespace {

struct Node {
  Node(std::uint64_t of, std::uint32_t size) : hash(of), bytes(size) {}
  std::uint64_t hash;
  std::uint32_t bytes;
  Node* fifo_next = nullptr;
  Node* fifo_previous = nullptr;
  FifoQueue fifo_queue = FifoQueue::kNone;
  std::atomic<std::uint8_t> fifo_hits{0};
  std::uint32_t fifo_bytes() const { return bytes; }
  std::uint64_t fifo_hash() const { return hash; }
};

class S3FifoTest : public testing::Test {
 protected:
  Node& Add(std::uint64_t hash, std::uint32_t bytes = 10) {
    nodes_.push_back(std::make_unique<Node>(hash << 1, bytes));
    policy_.Insert(*nodes_.back());
    return *nodes_.back();
  }
  S3Fifo<Node> policy_{1000, 100};
  std::vector<std::unique_ptr<Node>> nodes_;
};

TEST_F(S3FifoTest, ChunksReadOnceGoInTheOrderTheyCame) {
  Node& a = Add(1);
  Node& b = Add(2);
  EXPECT_EQ(policy_.Next(), &a);
  EXPECT_EQ(policy_.Next(), &b);
  EXPECT_EQ(policy_.Next(), nullptr);
  EXPECT_EQ(policy_.bytes(), 0u);
}

TEST_F(S3FifoTest, AScanDoesNotDriveOutWhatIsReadAgain) {
  Node& hot = Add(1);
  S3Fifo<Node>::Hit(hot);
  S3Fifo<Node>::Hit(hot);
  for (std::uint64_t i = 2; i < 50; ++i) Add(i);
  for (int i = 0; i < 38; ++i) EXPECT_NE(policy_.Next(), &hot);
  EXPECT_EQ(hot.fifo_queue, FifoQueue::kMain);
}

TEST_F(S3FifoTest, AGhostComesBackIntoTheMainQueue) {
  Node& first = Add(7);
  ASSERT_EQ(policy_.Next(), &first);
  EXPECT_EQ(policy_.ghost_entries(), 1u);
  Node& again = Add(7);
  EXPECT_EQ(again.fifo_queue, FifoQueue::kMain);
}

TEST_F(S3FifoTest, TheMainQueueGivesOneMoreRoundForEachHit) {
  Add(7);
  Add(8);
  policy_.Next();
  policy_.Next();
  Node& a = Add(7);  // both are remembered
  Node& b = Add(8);
  S3Fifo<Node>::Hit(a);
  ASSERT_EQ(b.fifo_queue, FifoQueue::kMain);
  EXPECT_EQ(policy_.Next(), &b);  // a is older but was read again
  EXPECT_EQ(policy_.Next(), &a);
}

TEST_F(S3FifoTest, RemoveAndReturnKeepTheSums) {
  Node& a = Add(1, 30);
  Node& b = Add(2, 40);
  policy_.Remove(a);
  policy_.Remove(a);  // once out, removing is nothing
  EXPECT_EQ(policy_.bytes(), 40u);
  ASSERT_EQ(policy_.Next(), &b);
  policy_.Return(b);
  EXPECT_EQ(policy_.bytes(), 40u);
}

TEST(GhostList, RemembersTheLastOnesOnly) {
  GhostList ghosts(3);
  for (std::uint64_t i = 1; i <= 5; ++i) ghosts.Add(i << 1);
  EXPECT_EQ(ghosts.size(), 3u);
  EXPECT_FALSE(ghosts.Take(2 << 1));
  EXPECT_TRUE(ghosts.Take(5 << 1));
  EXPECT_FALSE(ghosts.Take(5 << 1));
}

TEST(Crc32c, IsCastagnolisAndContinues) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), 0xE3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(MemoryPool, KeepsTheBuffersShareFromTheCache) {
  MemoryPool pool(80 << 20);
  EXPECT_FALSE(pool.TryReserve(MemoryPool::Use::kCache, 71 << 20));
  EXPECT_TRUE(pool.TryReserve(MemoryPool::Use::kCache, 70 << 20));
  EXPECT_TRUE(pool.TryReserve(MemoryPool::Use::kBuffer, 10 << 20));
  EXPECT_FALSE(pool.TryReserve(MemoryPool::Use::kBuffer, 1));
  EXPECT_EQ(pool.used(), pool.limit());
  pool.Release(MemoryPool::Use::kCache, 70 << 20);
  pool.Release(MemoryPool::Use::kBuffer, 10 << 20);
  EXPECT_EQ(pool.used(), 0u);
}

// With huge pages and without.
class ArenaTest : public testing::TestWithParam<bool> {
 protected:
  MemoryPool pool_{64 << 20};
  Arena arena_{pool_, 1 << 20, GetParam() ? kMinHugeSlotBytes : 0};
};

TEST_P(ArenaTest, CountsThePagesThatArePresent) {
  auto small = arena_.Allocate(5000);
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(pool_.cache_used(), 8192u);
  arena_.Free(*small, true);
  EXPECT_EQ(pool_.cache_used(), 0u);
  auto again = arena_.Allocate(5000);
  arena_.Free(*again, false);
  EXPECT_EQ(pool_.cache_used(), 8192u);  // kept for the next, and still counted
  EXPECT_EQ(arena_.idle_bytes(), 8192u);
}

TEST_P(ArenaTest, GivesIdlePagesOfOtherSizesBackWhenThePoolIsFull) {
  std::vector<Extent> extents;
  for (;;) {
    auto extent = arena_.Allocate(1 << 20);
    if (!extent.ok()) break;
    extents.push_back(*extent);
  }
  EXPECT_EQ(extents.size(), 56u);
  for (const Extent extent : extents) arena_.Free(extent, false);
  EXPECT_EQ(arena_.idle_bytes(), 56u << 20);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(arena_.Allocate(40'000).ok()) << i;
  EXPECT_LE(pool_.used(), pool_.limit());
}

TEST_P(ArenaTest, ExtentsDoNotOverlap) {
  std::vector<std::pair<Extent, char>> extents;
  for (int i = 0; i < 200; ++i) {
    auto extent = arena_.Allocate(static_cast<std::size_t>(1 + i * 977));
    ASSERT_TRUE(extent.ok());
    const char mark = static_cast<char>(i);
    std::memset(arena_.data(*extent), mark, static_cast<std::size_t>(1 + i * 977));
    extents.emplace_back(*extent, mark);
  }
  for (std::size_t i = 0; i < extents.size(); ++i)
    for (std::size_t at = 0; at < 1 + i * 977; at += 512)
      ASSERT_EQ(arena_.data(extents[i].first)[at], extents[i].second);
}

TEST_P(ArenaTest, LentExtentsOfOneBlockComeBackOnlyTogether) {
  constexpr std::size_t kSlot = 128 << 10;
  std::vector<Extent> extents;
  for (int i = 0; i < 16; ++i) {
    auto extent = arena_.Allocate(kSlot);
    ASSERT_TRUE(extent.ok());
    extents.push_back(*extent);
  }
  EXPECT_EQ(pool_.cache_used(), 2u << 20);
  for (int i = 0; i < 15; ++i) arena_.Free(extents[static_cast<std::size_t>(i)], true);
  const bool huge = GetParam();
  EXPECT_EQ(pool_.cache_used(), huge ? 2u << 20 : kSlot);
  if (huge) {
    auto other = arena_.Allocate(kSlot);  // from another block, though there is room in this one
    EXPECT_EQ(pool_.cache_used(), 4u << 20);
    arena_.Free(*other, false);
  }
  std::memset(arena_.data(extents[15]), 'x', kSlot);
  arena_.Free(extents[15], false);
  EXPECT_EQ(pool_.cache_used(), huge ? 2u << 20 : kSlot);
  EXPECT_EQ(arena_.idle_bytes(), huge ? 2u << 20 : kSlot);
}

TEST_P(ArenaTest, FreeExtentsOfOneSizeMakeRoomForAnother) {
  std::vector<Extent> extents;
  for (auto got = arena_.Allocate(64 << 10); got.ok(); got = arena_.Allocate(64 << 10))
    extents.push_back(*got);
  EXPECT_EQ(extents.size(), 56u * 16);
  EXPECT_FALSE(arena_.Allocate(1 << 20).ok());
  for (const Extent extent : extents) arena_.Free(extent, false);
  for (int i = 0; i < 56; ++i) ASSERT_TRUE(arena_.Allocate(1 << 20).ok()) << i;
  EXPECT_EQ(pool_.cache_used(), 56u << 20);
  EXPECT_EQ(arena_.idle_bytes(), 0u);
}

TEST_P(ArenaTest, AnyOrderOfFreeingLeavesTheAccountExact) {
  std::mt19937 random(42);
  std::vector<Extent> held;
  for (int step = 0; step < 20'000; ++step) {
    if (held.empty() || random() % 2 == 0) {
      const std::size_t sizes[] = {64 << 10, 100'000, 128 << 10, 1 << 20, 700'000, 4096};
      auto extent = arena_.Allocate(sizes[random() % 6]);
      if (extent.ok()) {
        arena_.data(*extent)[0] = 'x';
        held.push_back(*extent);
        continue;
      }
      if (held.empty()) break;
    }
    const std::size_t at = random() % held.size();
    arena_.Free(held[at], random() % 2 == 0);
    held[at] = held.back();
    held.pop_back();
    ASSERT_LE(pool_.used(), pool_.limit());
  }
  for (const Extent extent : held) arena_.Free(extent, true);
  EXPECT_EQ(pool_.cache_used(), arena_.idle_bytes());
  // All of it can be had again.
  for (int i = 0; i < 28; ++i) EXPECT_TRUE(arena_.Allocate(1 << 20).ok()) << i;
}

TEST_P(ArenaTest, PreTouchStopsAtThePool) {
  EXPECT_EQ(arena_.PreTouch(1u << 30), 56u << 20);
  EXPECT_EQ(arena_.idle_bytes(), 56u << 20);
  EXPECT_TRUE(arena_.Allocate(1 << 20).ok());  // idle slots are used, not reserved anew
  EXPECT_EQ(pool_.cache_used(), 56u << 20);
}

INSTANTIATE_TEST_SUITE_P(, ArenaTest, testing::Bool(),
                         [](const auto& huge) { return huge.param ? "HugePages" : "Pages"; });

}  // namespace
}  // namespace sluice::store
