// A stop in order and the start after it, on a real folder.
#include "datapath/store/snapshot.h"

#include <fstream>

#include "datapath/store/cache_test_support.h"

namespace sluice::store {
namespace {

constexpr std::uint64_t kSnapshotDisk = 17 << 20;

class SnapshotTest : public CacheFixture {
 protected:
  void OpenDisk() { Open(kMinMemoryBytes, kSnapshotDisk); }
  void Close() {
    cache_->FlushDisk();
    cache_.reset();
  }
  std::string Log() const { return folder_ + "/store.sluice"; }
  std::string Index() const { return folder_ + "/index.sluice"; }
  // Every record header of the log is gone: a replay finds nothing.
  void WipeHeaders() {
    std::fstream file(Log(), std::ios::in | std::ios::out | std::ios::binary);
    std::string page(kPageBytes, '\0');
    for (std::uint64_t at = kPageBytes; at < kSnapshotDisk; at += kPageBytes) {
      file.seekg(static_cast<std::streamoff>(at));
      file.read(page.data(), kPageBytes);
      if (page.compare(0, 4, "SLRC") != 0) continue;
      file.seekp(static_cast<std::streamoff>(at));
      file.write("none", 4);
    }
  }
  void Put(const std::string& name, int version, std::uint32_t chunks) {
    ObjectRef object = Publish(name, version, std::uint64_t{chunks} * kTestChunk - 100);
    for (std::uint32_t i = 0; i < chunks; ++i) {
      ASSERT_TRUE(Ensure(*object, i, version));
      if (i % 8 == 7) cache_->FlushDisk();  // a full queue would leave some out
    }
  }
  // How many chunks of `name` come back from disk with the bytes of `version`.
  std::uint32_t Good(const std::string& name, int version) {
    ObjectRef object = cache_->Find(name);
    std::uint32_t good = 0;
    for (std::uint32_t i = 0; object && i < object->chunk_count(); ++i) {
      Cache::Acquired got = cache_->Acquire(*object, i, false);
      if (got.pin && WaitFor(got.pin) && Matches(got.pin, version)) ++good;
    }
    return good;
  }
};

TEST_F(SnapshotTest, AStartAfterAnOrderlyStopReadsNoRecordHeader) {
  OpenDisk();
  Put("a", 1, 3);
  Put("b", 2, 1);
  Put("gone", 3, 1);
  cache_->FlushDisk();
  cache_->Invalidate("gone", [] {});
  Close();
  EXPECT_TRUE(std::filesystem::exists(Index()));
  WipeHeaders();
  OpenDisk();
  EXPECT_FALSE(std::filesystem::exists(Index())) << "no later start may take it";
  EXPECT_EQ(cache_->counters().recovered_chunks.load(), 4u);
  EXPECT_EQ(Good("a", 1), 3u);
  EXPECT_EQ(Good("b", 2), 1u);
  EXPECT_FALSE(cache_->Find("gone"));
  const ObjectRef object = cache_->Find("a");
  EXPECT_EQ(object->checked_at(), base::MonoTime::min());
  EXPECT_EQ(object->meta().headers, MetaOf("", 0).headers);
  EXPECT_EQ(object->meta().last_modified, MetaOf("", 0).last_modified);
}

TEST_F(SnapshotTest, WhatIsWrittenBehindItIsFoundByTheLogAfterACrash) {
  OpenDisk();
  Put("a", 1, 2);
  Close();
  OpenDisk();
  Put("b", 2, 2);
  Close();
  std::filesystem::remove(Index());  // as if it had not come to that
  OpenDisk();
  EXPECT_EQ(cache_->disk_damaged_places(), 0u);
  EXPECT_EQ(Good("a", 1), 2u);
  EXPECT_EQ(Good("b", 2), 2u);
}

TEST_F(SnapshotTest, AnOldOneIsNotUsed) {
  OpenDisk();
  Put("a", 1, 2);
  Close();
  const std::string kept = folder_ + "/kept";
  std::filesystem::copy_file(Index(), kept);
  OpenDisk();
  std::atomic<bool> done{false};
  cache_->Invalidate("a", [&] { done = true; });
  Put("b", 2, 1);
  Close();
  EXPECT_TRUE(done.load());
  std::filesystem::remove(Index());
  std::filesystem::rename(kept, Index());
  OpenDisk();
  EXPECT_FALSE(cache_->Find("a"));
  EXPECT_EQ(Good("b", 2), 1u);
}

TEST_F(SnapshotTest, ADamagedOneIsNotUsedWhereverItIsDamaged) {
  OpenDisk();
  Put("a", 1, 2);
  Close();
  std::string good;
  {
    std::ifstream file(Index(), std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(file), {});
  }
  for (std::size_t at = 0; at < good.size(); at += at < 40 ? 1 : 37) {
    if (at >= 32 && at < 80) continue;  // zeros that mean nothing
    for (const bool cut : {false, true}) {
      std::string bad = cut ? good.substr(0, at) : good;
      if (!cut) bad[at] = static_cast<char>(bad[at] ^ 1);
      std::ofstream(Index(), std::ios::binary | std::ios::trunc) << bad;
      EXPECT_FALSE(SnapshotReader::Open(folder_).ok()) << at;
    }
  }
  OpenDisk();
  EXPECT_EQ(Good("a", 1), 2u) << "by the log";
}

TEST_F(SnapshotTest, RoundAndRoundTheRingWithStopsInBetween) {
  OpenDisk();
  for (int round = 1; round <= 12; ++round) {
    Put("r" + std::to_string(round), round, 40);  // 2.6 MB of 17
    Close();
    OpenDisk();
    EXPECT_EQ(Good("r" + std::to_string(round), round), 40u) << round;
    EXPECT_EQ(cache_->disk_damaged_places(), 0u) << round;
  }
  EXPECT_EQ(Good("r1", 1), 0u) << "overwritten long ago";
  Close();
  std::filesystem::remove(Index());
  OpenDisk();
  EXPECT_EQ(Good("r12", 12), 40u);
  EXPECT_EQ(cache_->disk_damaged_places(), 0u);
}

}  // namespace
}  // namespace sluice::store
