// Summaries at the ends of segments: what a start takes from them, when it must not, and every
// point at which writing one can be cut.
#include "datapath/store/summary.h"

#include "datapath/store/summary_test_support.h"

namespace sluice::store {
namespace {

TEST_F(SummaryTest, AStartAfterAnOrderlyStopReadsNoRecord) {
  OpenDisk();
  Put("a", 1, 3);
  Put("b", 2, 1);
  Put("gone", 3, 1);
  Delete("gone");
  Stop();
  WipeRecords(0, kSummaryDisk);
  OpenDisk();
  cache_->WaitUntilLoaded();
  EXPECT_EQ(cache_->counters().recovered_chunks.load(), 4u);
  EXPECT_EQ(cache_->disk_damaged_places(), 0u);
  EXPECT_EQ(Good("a", 1), 3u);
  EXPECT_EQ(Good("b", 2), 1u);
  EXPECT_FALSE(cache_->Find("gone"));
  const ObjectRef object = cache_->Find("a");
  EXPECT_EQ(object->checked_at(), base::MonoTime::min());
  EXPECT_EQ(object->meta().headers, MetaOf("", 0).headers);
  EXPECT_EQ(object->meta().last_modified, MetaOf("", 0).last_modified);
}

TEST_F(SummaryTest, AStartAfterACrashReadsTheRecordsOfTheLastSegmentOnly) {
  OpenDisk();
  Put("a", 1, 100);  // 60 fill a segment
  Kill();
  EXPECT_EQ(PagesWith("SLSM").size(), 1u);
  WipeRecords(kPageBytes, kPageBytes + kSummarySegment);
  OpenDisk();
  EXPECT_EQ(cache_->disk_damaged_places(), 0u);
  EXPECT_EQ(Good("a", 1), 100u);
}

TEST_F(SummaryTest, WhatIsWrittenBehindAnOpenOneIsFoundAfterACrash) {
  OpenDisk();
  Put("a", 1, 2);
  Put("gone", 1, 1);
  Stop();
  OpenDisk();
  Put("b", 2, 2);
  Delete("gone");
  Kill();
  EXPECT_EQ(PagesWith("SLSM").size(), 1u) << "that of the stop is still there";
  OpenDisk();
  EXPECT_EQ(cache_->disk_damaged_places(), 0u);
  EXPECT_EQ(Good("a", 1), 2u);
  EXPECT_EQ(Good("b", 2), 2u);
  EXPECT_FALSE(cache_->Find("gone"));
}

TEST_F(SummaryTest, OneThatDoesNotHoldAnyMoreStillTellsHowFarTheLogReached) {
  OpenDisk();
  Put("gone", 1, 1);
  Delete("gone");
  Put("b", 1, 3);
  Stop();
  OpenDisk();
  Kill();
  const std::vector<std::uint64_t> records = PagesWith("SLRC");
  ASSERT_EQ(records.size(), 5u);
  // Lost, the tombstone with them; what is left looks like a log that ended there.
  std::memset(image_->bytes.data() + records[1], 0, kPageBytes);
  for (std::size_t i = 2; i < records.size(); ++i)
    std::memset(image_->bytes.data() + records[i], 0, 17 * kPageBytes);
  OpenDisk();
  EXPECT_FALSE(cache_->Find("gone"));
  EXPECT_EQ(cache_->disk_damaged_places(), 1u);
}

// Its segment is taken for unused, and used again: under another generation than its own.
TEST_F(SummaryTest, OneWhoseSegmentLostItsHeaderIsNotBelievedLater) {
  OpenDisk();
  Put("a", 1, 65);
  Kill();
  std::fill(image_->bytes.begin() + kPageBytes + kSummarySegment, image_->bytes.end(), '\0');
  std::memset(image_->bytes.data() + kPageBytes, 0, kPageBytes);
  OpenDisk();
  EXPECT_FALSE(cache_->Find("a"));
  Put("b", 1, 1);
  Kill();
  OpenDisk();
  EXPECT_FALSE(cache_->Find("a"));
  EXPECT_EQ(Good("b", 1), 1u);
}

// The superblock goes back to what it was before the opening that left the summary.
TEST_F(SummaryTest, OneOfAnIncarnationThatTheSuperblockForgotIsNotBelievedLater) {
  OpenDisk();
  Put("a", 1, 1);
  Kill();
  const std::vector<char> before(image_->bytes.begin(), image_->bytes.begin() + kPageBytes);
  OpenDisk();
  Stop();
  std::copy(before.begin(), before.end(), image_->bytes.begin());
  OpenDisk();
  Delete("a");
  Kill();
  OpenDisk();
  EXPECT_FALSE(cache_->Find("a"));
}

TEST_F(SummaryTest, ADamagedOneIsNotUsedWhereverItIsDamaged) {
  OpenDisk();
  Put("a", 1, 70);
  Put("gone", 1, 1);
  Delete("gone");
  Stop();
  const auto trailers = PagesWith("SLSM");
  ASSERT_EQ(trailers.size(), 2u);
  const std::vector<char> good = image_->bytes;
  for (const std::uint64_t trailer : trailers) {
    for (const int at : {0, 5, 9, 16, 33, 41, 72, 85, 200, -1, -100, -4096}) {
      image_->bytes = good;
      Flip(static_cast<std::uint64_t>(static_cast<std::int64_t>(trailer) + at));
      OpenDisk();
      EXPECT_EQ(Good("a", 1), 70u) << at;
      EXPECT_FALSE(cache_->Find("gone")) << at;
      EXPECT_EQ(cache_->disk_damaged_places(), 0u) << at;
      cache_.reset();
    }
  }
}

// A page that cannot be read today may be read tomorrow. Were anything appended behind a summary
// that closes its segment, it would not tell of that.
TEST_F(SummaryTest, NothingIsAppendedBehindOneThatCouldNotBeRead) {
  image_->journal = true;
  OpenDisk();
  Put("a", 1, 65);
  Put("gone", 1, 1);
  Kill();
  // The log ends with the first segment, which is closed: as if all behind it were lost.
  std::fill(image_->bytes.begin() + kPageBytes + kSummarySegment, image_->bytes.end(), '\0');
  const auto trailers = PagesWith("SLSM");
  ASSERT_EQ(trailers.size(), 1u);
  const std::vector<char> good = image_->bytes;
  for (const std::uint64_t bad : {trailers[0], trailers[0] - kPageBytes, kPageBytes}) {
    image_->bytes = good;
    image_->bad_page = bad;
    OpenDisk();
    Delete("a");
    Kill();
    image_->bad_page = 0;
    OpenDisk();
    EXPECT_FALSE(cache_->Find("a")) << bad;
    cache_.reset();
  }
}

TEST_F(SummaryTest, RoundAndRoundTheRingWithStopsAndCrashesInBetween) {
  OpenDisk();
  for (int round = 1; round <= 14; ++round) {
    const std::string name = "r" + std::to_string(round);
    Put(name, round, 40);  // 2.6 MB of 17
    if (round % 3 == 0) {
      Kill();
    } else {
      Stop();
    }
    OpenDisk();
    EXPECT_EQ(Good(name, round), 40u) << round;
    if (round > 2) {
      EXPECT_EQ(Good("r" + std::to_string(round - 2), round - 2), 40u) << round;
    }
    EXPECT_EQ(cache_->disk_damaged_places(), 0u) << round;
  }
  EXPECT_EQ(Good("r1", 1), 0u) << "overwritten long ago";
}

// Every write from the last record of a segment to the first of the next, and at the stop, cut at
// every page: what was committed before is there, nothing deleted comes back.
TEST_F(SummaryTest, AtEveryCutPointOfSealingAndOfAStopNothingIsLostOrComesBack) {
  image_->journal = true;
  OpenDisk();
  Put("gone", 1, 1);
  constexpr std::uint32_t kCommitted = 55;
  Put("a", 1, kCommitted);
  Delete("gone");
  const std::size_t first = image_->writes.size();
  Put("b", 1, 8);  // over the end of the segment
  Delete("b");
  Put("c", 1, 1);
  Stop();
  const std::vector<testing::DiskImage::Write> writes = image_->writes;
  std::size_t seals = 0;
  std::vector<char> durable(kSummaryDisk, '\0');
  for (std::size_t n = 0; n < first; ++n)
    std::memcpy(durable.data() + writes[n].offset, writes[n].bytes.data(), writes[n].bytes.size());
  for (std::size_t n = first; n < writes.size(); ++n) {
    const std::string_view bytes = writes[n].bytes;
    const bool seal = bytes.substr(bytes.size() - kPageBytes).starts_with("SLSM");
    seals += seal;
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; at <= bytes.size(); at += (seal ? 1 : 4) * kPageBytes)
      cuts.push_back(at);
    if (seal)  // inside the trailer, and inside the table
      for (const std::size_t at : {20, 50, 81, 4096 + 10, 4096 + 1000})
        cuts.push_back(bytes.size() - kPageBytes + at - (at > kPageBytes ? 2 * kPageBytes : 0));
    for (const std::size_t cut : cuts) {
      auto image = std::make_shared<testing::DiskImage>(0);
      image->bytes = durable;
      image->Apply(writes[n], cut);
      image_ = image;
      OpenDisk();
      ASSERT_EQ(cache_->disk_damaged_places(), 0u) << n << "+" << cut;
      ASSERT_EQ(Good("a", 1), kCommitted) << n << "+" << cut;
      ASSERT_FALSE(cache_->Find("gone")) << n << "+" << cut;
      Put("later", 2, 1);
      Delete("c");
      Kill();
      OpenDisk();
      ASSERT_EQ(Good("a", 1), kCommitted) << n << "+" << cut;
      ASSERT_EQ(Good("later", 2), 1u) << n << "+" << cut;
      ASSERT_FALSE(cache_->Find("gone")) << n << "+" << cut;
      ASSERT_FALSE(cache_->Find("c")) << n << "+" << cut;
      cache_.reset();
    }
    std::memcpy(durable.data() + writes[n].offset, bytes.data(), bytes.size());
  }
  EXPECT_EQ(seals, 2u);
}

TEST(Summary, EveryTextThatDoesNotFitIsRefused) {
  SummaryBuilder builder;
  Record record;
  record.name = "a name";
  record.meta = MetaOf("\"v1\"", 12345);
  record.data_bytes = 12345;
  builder.Add(record, 1, 1);
  const std::size_t once = builder.bytes();
  record.chunk_index = 1;
  EXPECT_GE(builder.bytes_with(record), builder.bytes() + sizeof(SummaryEntry));
  builder.Add(record, 5, 1);
  EXPECT_EQ(builder.bytes(), once + sizeof(SummaryEntry)) << "the same object's texts once";
  record.name = "another";
  builder.Add(record, 9, 1);
  const Summary whole = builder.Finish();
  ASSERT_EQ(whole.size(), 3u);
  EXPECT_TRUE(whole.Fits(14));
  EXPECT_FALSE(whole.Fits(13));
  EXPECT_EQ(whole.name(whole.entry(1)), "a name");
  ObjectMeta meta;
  ASSERT_TRUE(whole.Describe(whole.entry(2), meta));
  EXPECT_EQ(meta.headers, record.meta.headers);
  EXPECT_TRUE(meta.SameVersion(record.meta));
  for (std::size_t bytes = 3 * sizeof(SummaryEntry); bytes < whole.bytes(); ++bytes) {
    PageBuffer table = AllocatePages(whole.bytes());
    std::memcpy(table.get(), whole.table().data(), bytes);
    const Summary cut(std::move(table), bytes, 3);
    EXPECT_FALSE(cut.Describe(cut.entry(2), meta)) << bytes;
  }
}

}  // namespace
}  // namespace sluice::store
