#include "datapath/store/cache.h"

#include "datapath/store/cache_test_support.h"

namespace sluice::store {
namespace {

using Got = Cache::Got;

struct CountingWaiter : Waiter {
  void OnChunkProgress() override { ++calls; }
  std::atomic<int> calls{0};
};

class CacheTest : public CacheFixture {};

TEST_F(CacheTest, OneCallerFillsAndTheOthersFollow) {
  Open();
  ObjectRef object = Publish("a", 1, 100'000);
  Cache::Acquired first = cache_->Acquire(*object, 0, true);
  Cache::Acquired second = cache_->Acquire(*object, 0, true);
  ASSERT_EQ(first.got, Got::kFill);
  ASSERT_EQ(second.got, Got::kFollow);
  EXPECT_EQ(second.pin.available(), 0u);
  Bring(first.ticket, 1);
  EXPECT_EQ(second.pin.available(), kTestChunk);
  EXPECT_TRUE(Matches(second.pin, 1));
  EXPECT_EQ(cache_->Acquire(*object, 0, true).got, Got::kReady);
  EXPECT_EQ(cache_->counters().single_flight_waits.load(), 1u);
}

TEST_F(CacheTest, AFollowerReadsWhatIsThereBeforeTheChunkIsWhole) {
  Open();
  ObjectRef object = Publish("a", 1, kTestChunk);
  Cache::Acquired fill = cache_->Acquire(*object, 0, true);
  Cache::Acquired follow = cache_->Acquire(*object, 0, true);
  CountingWaiter waiter;
  ASSERT_TRUE(follow.pin.Subscribe(&waiter, 0));
  std::memset(fill.ticket.Room().data(), 'x', 100);
  fill.ticket.Advance(100);
  EXPECT_EQ(follow.pin.available(), 100u);
  EXPECT_EQ(std::string(follow.pin.data(), 100), std::string(100, 'x'));
  EXPECT_EQ(waiter.calls.load(), 0);  // a wake is worth limits.h kWakeBytes
  while (fill.ticket) fill.ticket.Advance(fill.ticket.Room().size());
  EXPECT_EQ(waiter.calls.load(), 1);
}

TEST_F(CacheTest, AClientThatLeavesCancelsNothingOthersNeed) {
  Open();
  ObjectRef object = Publish("a", 1, 10);
  Cache::Acquired fill = cache_->Acquire(*object, 0, true);
  Cache::Acquired follow = cache_->Acquire(*object, 0, true);
  fill.pin.Reset();  // the client whose request began the fill is gone; the ticket goes on
  Bring(fill.ticket, 1);
  EXPECT_TRUE(Matches(follow.pin, 1));
}

TEST_F(CacheTest, AFillGivenUpIsToldToFollowersAndTheNextCallerFills) {
  Open();
  ObjectRef object = Publish("a", 1, 10);
  CountingWaiter waiter;
  Cache::Acquired follow;
  {
    Cache::Acquired fill = cache_->Acquire(*object, 0, true);
    Cache::Acquired other = cache_->Acquire(*object, 0, true);
    follow.pin = std::move(other.pin);
    ASSERT_TRUE(follow.pin.Subscribe(&waiter, 0));
    fill.ticket.Fail(base::Unavailable("origin"));
  }
  EXPECT_EQ(waiter.calls.load(), 1);
  EXPECT_TRUE(follow.pin.failed());
  EXPECT_EQ(follow.pin.failure().code(), base::Code::kUnavailable);
  EXPECT_FALSE(follow.pin.Subscribe(&waiter, 0));
  EXPECT_EQ(cache_->Acquire(*object, 0, true).got, Got::kFill);
}

TEST_F(CacheTest, ANewVersionDetachesTheOldOneAndItsReadersFinishOnIt) {
  Open();
  ObjectRef old = Publish("a", 1, 10);
  ASSERT_TRUE(Ensure(*old, 0, 1));
  Cache::Acquired reader = cache_->Acquire(*old, 0, true);
  ObjectRef now = Publish("a", 2, 20);
  EXPECT_FALSE(old->current());
  EXPECT_EQ(cache_->Acquire(*old, 0, true).got, Got::kGone);
  EXPECT_EQ(cache_->Acquire(*now, 0, false).got, Got::kAbsent);
  EXPECT_TRUE(Matches(reader.pin, 1));
  EXPECT_EQ(cache_->counters().resident_bytes.load(), 0u);
}

TEST_F(CacheTest, TheSameVersionKeepsItsChunksEvenUnderNewHeaders) {
  Open();
  ObjectRef first = Publish("a", 1, 10);
  ASSERT_TRUE(Ensure(*first, 0, 1));
  EXPECT_EQ(Publish("a", 1, 10), first);
  ObjectMeta changed = first->meta();
  changed.headers = {{"Content-Type", "image/png"}};
  ObjectRef second = cache_->Publish("a", changed, clock_.Mono(), cache_->InvalidationEpoch("a"));
  EXPECT_NE(second, first);
  EXPECT_EQ(cache_->Acquire(*second, 0, false).got, Got::kReady);
}

TEST_F(CacheTest, AnAnswerAskedForBeforeAnInvalidationIsNotPublished) {
  Open();
  const std::uint64_t epoch = cache_->InvalidationEpoch("a");
  bool done = false;
  cache_->Invalidate("a", [&] { done = true; });
  EXPECT_TRUE(done);
  EXPECT_FALSE(cache_->Publish("a", MetaOf("\"v1\"", 10), clock_.Mono(), epoch));
  EXPECT_FALSE(cache_->Find("a"));
}

TEST_F(CacheTest, NeverUsesMoreThanItsMemoryAndEvictsToMakeRoom) {
  Open();
  ObjectRef object = Publish("big", 1, 64 << 20);
  for (std::uint32_t i = 0; i < object->chunk_count(); ++i) {
    ASSERT_TRUE(Ensure(*object, i, 1)) << i;
    ASSERT_LE(cache_->pool().used(), cache_->pool().limit());
  }
  EXPECT_GT(cache_->counters().evicted_chunks.load(), 0u);
  EXPECT_LE(cache_->counters().resident_bytes.load(), cache_->pool().cache_limit());
}

TEST_F(CacheTest, ShedsFillsWhenEveryByteIsPinnedAndRecoversWhenPinsGo) {
  Open();
  ObjectRef object = Publish("big", 1, 64 << 20);
  std::vector<ChunkPin> pins;
  bool shed = false;
  for (std::uint32_t i = 0; i < object->chunk_count() && !shed; ++i) {
    Cache::Acquired got = cache_->Acquire(*object, i, true);
    shed = got.got == Got::kNoMemory;
    if (shed) break;
    Bring(got.ticket, 1);
    pins.push_back(std::move(got.pin));
  }
  ASSERT_TRUE(shed);
  EXPECT_LE(cache_->pool().used(), cache_->pool().limit());
  // Buffers still get their share: requests can be read and refused.
  EXPECT_TRUE(cache_->pool().TryReserve(MemoryPool::Use::kBuffer, 64 << 10));
  cache_->pool().Release(MemoryPool::Use::kBuffer, 64 << 10);
  for (const ChunkPin& pin : pins) ASSERT_TRUE(Matches(pin, 1));
  pins.clear();
  EXPECT_EQ(cache_->Acquire(*object, object->chunk_count() - 1, true).got, Got::kFill);
}

TEST_F(CacheTest, NothingIsBroughtAheadWhileAQuarterOfTheTierIsComing) {
  Open();
  const ObjectRef object = Publish("big", 1, 64 << 20);
  const std::uint64_t quarter = cache_->pool().cache_limit() / 4 / kTestChunk;
  std::vector<FillTicket> tickets;
  for (std::uint32_t i = 0; i < quarter; ++i) {
    EXPECT_TRUE(cache_->MayFillAhead()) << i;
    tickets.push_back(cache_->Acquire(*object, i, true).ticket);
  }
  EXPECT_FALSE(cache_->MayFillAhead());
  Bring(tickets.back(), 1);
  EXPECT_TRUE(cache_->MayFillAhead());
}

TEST_F(CacheTest, SmallObjectsTakePagesNotWholeChunks) {
  Open();
  std::vector<ObjectRef> objects;
  for (int i = 0; i < 2000; ++i) {  // 2,000 chunks would be 125 MiB
    objects.push_back(Publish("small" + std::to_string(i), 1, 4096));
    ASSERT_TRUE(Ensure(*objects.back(), 0, 1));
  }
  EXPECT_EQ(cache_->counters().evicted_chunks.load(), 0u);
}

TEST_F(CacheTest, ManyThreadsReadEvictAndReplaceWithoutAWrongByte) {
  Open();
  constexpr int kObjects = 24;
  constexpr std::uint32_t kChunks = 16;
  std::atomic<int> versions[kObjects];
  for (auto& version : versions) version = 1;
  std::atomic<std::uint64_t> wrong{0}, read{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::uint32_t seed = 77u + static_cast<std::uint32_t>(t);
      const auto next = [&seed] { return seed = seed * 1664525u + 1013904223u, seed >> 8; };
      for (int i = 0; i < 3000; ++i) {
        const auto n = next() % kObjects;
        const std::string name = "o" + std::to_string(n);
        if (next() % 50 == 0) {
          const int version = ++versions[n];
          Publish(name, version, kChunks * kTestChunk);
          continue;
        }
        ObjectRef object = cache_->Find(name);
        if (!object) object = Publish(name, versions[n], kChunks * kTestChunk);
        const int version = std::stoi(object->meta().etag.substr(2));
        Cache::Acquired got = cache_->Acquire(*object, next() % kChunks, true);
        if (got.got == Got::kFill) Bring(got.ticket, version, 16 << 10);
        if (got.got == Got::kFollow && !WaitFor(got.pin)) continue;
        if (!got.pin) continue;
        read.fetch_add(1);
        if (!Matches(got.pin, version)) wrong.fetch_add(1);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(read.load(), 1000u);
  EXPECT_LE(cache_->pool().used(), cache_->pool().limit());
}

TEST(CacheOptions, RefusesSizesThatCannotWork) {
  base::RealClock clock;
  EXPECT_EQ(Cache::Open({.memory_bytes = 1 << 30, .chunk_bytes = 100'000, .disks = {}}, clock)
                .status()
                .code(),
            base::Code::kInvalidArgument);
  EXPECT_EQ(Cache::Open({.memory_bytes = 1 << 20, .chunk_bytes = 1 << 20, .disks = {}}, clock)
                .status()
                .code(),
            base::Code::kInvalidArgument);
}

TEST_F(CacheTest, AnAbsentNameIsRememberedUntilItIsWrittenOrPublished) {
  Open();
  const base::MonoTime none = base::MonoTime::min(), asked = clock_.Mono();
  EXPECT_EQ(cache_->AbsentSince("a"), none);
  cache_->PublishAbsent("a", asked, cache_->InvalidationEpoch("a"));
  EXPECT_EQ(cache_->AbsentSince("a"), asked);
  EXPECT_EQ(cache_->AbsentSince("b"), none);
  cache_->Invalidate("a", [] {});
  EXPECT_EQ(cache_->AbsentSince("a"), none);
  cache_->PublishAbsent("a", asked, cache_->InvalidationEpoch("a"));
  Publish("a", 1, 10);
  EXPECT_EQ(cache_->AbsentSince("a"), none);
}

TEST_F(CacheTest, AnAbsenceToldBeforeAWriteIsNotRememberedAfterIt) {
  Open();
  const std::uint64_t epoch = cache_->InvalidationEpoch("a");
  cache_->Invalidate("a", [] {});
  cache_->PublishAbsent("a", clock_.Mono(), epoch);
  EXPECT_EQ(cache_->AbsentSince("a"), base::MonoTime::min());
}

}  // namespace
}  // namespace sluice::store
