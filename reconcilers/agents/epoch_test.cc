#include "reconcilers/agents/epoch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/agents/limits.h"

namespace sluice::agents {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

EpochRecord Led(const std::string& holder) { return TakeOver(std::nullopt, "uid-1", holder); }

TEST(Epoch, FirstLeaderStartsTheClustersLineageAtOne) {
  const EpochRecord record = Led("a");
  EXPECT_EQ(record.lineage, "uid-1");
  EXPECT_EQ(record.epoch, 1);
  EXPECT_EQ(record.revision, 0);
  EXPECT_EQ(record.holder, "a");
}

TEST(Epoch, EveryTakeOverRaisesItAndKeepsWhatIsPublished) {
  const auto published = *Publish(Led("a"), 1, "phoenix", "d1");
  const auto next = TakeOver(published, "uid-1", "b");
  EXPECT_EQ(next.epoch, 2);
  EXPECT_EQ(next.revision, 1);
  EXPECT_EQ(next.sites, published.sites);
  EXPECT_EQ(TakeOver(next, "uid-1", "b").epoch, 3) << "the same holder anew is a new leader";
}

TEST(Epoch, PublishingTheSameDigestChangesNothing) {
  const auto published = *Publish(Led("a"), 1, "phoenix", "d1");
  EXPECT_EQ(*Publish(published, 1, "phoenix", "d1"), published);
  const auto led_anew = TakeOver(published, "uid-1", "b");
  EXPECT_EQ(*Publish(led_anew, 2, "phoenix", "d1"), led_anew);
}

TEST(Epoch, EachPublicationHasAHigherOrderThanAllBeforeIt) {
  auto record = *Publish(Led("a"), 1, "phoenix", "d1");
  record = *Publish(record, 1, "tucson", "x1");
  record = *Publish(record, 1, "phoenix", "d2");
  EXPECT_EQ(record.sites["phoenix"], (PublishedSite{1, 3, "d2"}));
  record = TakeOver(record, "uid-1", "b");
  record = *Publish(record, 2, "phoenix", "d1");
  EXPECT_EQ(record.sites["phoenix"], (PublishedSite{2, 4, "d1"}));
  record = *Retire(record, 2, "phoenix");
  record = *Publish(record, 2, "phoenix", "d1");
  EXPECT_EQ(record.sites["phoenix"], (PublishedSite{2, 6, "d1"}));
}

TEST(Epoch, ALeaderIsDeposedByWhatCameAfterItAloneWheneverItIsSeen) {
  const EpochRecord first = Led("a");
  const Lead lead{first.lineage, first.epoch};
  EXPECT_FALSE(Deposes(first, lead)) << "its own";
  EXPECT_FALSE(Deposes(*Publish(first, 1, "phoenix", "d1"), lead));
  EXPECT_FALSE(Deposes(EpochRecord{}, lead));
  EXPECT_TRUE(Deposes(TakeOver(first, "uid-1", "b"), lead));
  // A lineage started after the record was gone begins at one, and supersedes all the same.
  EpochRecord restored = *StartLineage(EpochRecord{.lineage = "uid-1"}, "uid-2", "ana");
  EXPECT_LE(restored.epoch, lead.epoch);
  EXPECT_TRUE(Deposes(restored, lead));
  // Who took over in the new lineage sees late what there was before.
  const Lead later{"uid-2", restored.epoch + 1};
  EXPECT_FALSE(Deposes(restored, later));
  EXPECT_FALSE(Deposes(TakeOver(first, "uid-1", "b"), later)) << "the old lineage is over";
}

TEST(Epoch, AnEarlierLeaderIsFencedOff) {
  const auto record = TakeOver(Led("a"), "uid-1", "b");
  const auto refused = Publish(record, 1, "phoenix", "d1");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().reason(), "Fenced");
  EXPECT_THAT(refused.status().message(), HasSubstr("epoch 1 was raised to 2 by b"));
  EXPECT_EQ(Retire(record, 1, "phoenix").status().reason(), "Fenced");
}

TEST(Epoch, ARestoreStartsANewLineageThatNamesTheOldOnes) {
  const auto record = *Publish(Led("a"), 1, "phoenix", "d1");
  const auto restored = *StartLineage(record, "uid-1-r1", "ana");
  EXPECT_EQ(restored.lineage, "uid-1-r1");
  EXPECT_THAT(restored.supersedes, ElementsAre("uid-1"));
  EXPECT_GT(restored.epoch, record.epoch);
  EXPECT_FALSE(StartLineage(restored, "uid-1", "ana").ok()) << "a lineage used before";
  EXPECT_FALSE(StartLineage(restored, "", "ana").ok());
  EpochRecord many = restored;
  for (int i = 2; i < 20; ++i) many = *StartLineage(many, "r" + std::to_string(i), "ana");
  EXPECT_EQ(many.supersedes.size(), kMaxSuperseded);
  EXPECT_EQ(many.supersedes.back(), "r18");
}

TEST(Epoch, ALateWatchNeverGoesBackwards) {
  const auto first = *Publish(Led("a"), 1, "phoenix", "d1");
  const auto second = *Publish(first, 1, "phoenix", "d2");
  const auto third = TakeOver(second, "uid-1", "b");
  EXPECT_TRUE(Follows(EpochRecord{}, first));
  EXPECT_TRUE(Follows(first, second));
  EXPECT_FALSE(Follows(second, first));
  EXPECT_TRUE(Follows(second, third));
  EXPECT_FALSE(Follows(third, second));
  const auto restored = *StartLineage(first, "new", "ana");
  EXPECT_TRUE(Follows(third, restored));
  EXPECT_FALSE(Follows(restored, third)) << "the old lineage is over";
}

TEST(Epoch, TheObjectsDataRoundTrips) {
  auto record = *Publish(Led("pod-a"), 1, "phoenix", "d1");
  record = *Publish(record, 1, "tucson.west", "x1");
  record = *StartLineage(record, "uid-1-r1", "ana");
  const auto data = Encode(record);
  EXPECT_EQ(data.at("site.tucson.west"), "1/2/x1");
  const auto back = Decode(data);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(*back, record);
}

TEST(Epoch, DamagedDataIsNamedAndNotGuessed) {
  const auto good = Encode(*Publish(Led("a"), 1, "phoenix", "d1"));
  const std::pair<const char*, const char*> cases[] = {
      {"lineage", ""},           {"epoch", "-1"},           {"epoch", "x"},
      {"revision", ""},          {"site.phoenix", "1/1"},   {"site.phoenix", "1/1/"},
      {"site.phoenix", "a/1/d"}, {"site.phoenix", "2/1/d"}, {"site.phoenix", "1/9/d"},
  };
  for (const auto& [key, value] : cases) {
    auto data = good;
    data[key] = value;
    const auto decoded = Decode(data);
    ASSERT_FALSE(decoded.ok()) << key << "=" << value;
    EXPECT_EQ(decoded.status().code(), base::Code::kDataLoss);
    EXPECT_THAT(decoded.status().message(), HasSubstr(key));
  }
  EXPECT_FALSE(Decode({}).ok());
}

}  // namespace
}  // namespace sluice::agents
