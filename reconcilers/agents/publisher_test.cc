#include "reconcilers/agents/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/agent/v1/agent.pb.h"
#include "reconcilers/agents/testing.h"

namespace sluice::agents {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Content {
  explicit Content(const std::string& region, const std::string& secret = "s3cret") {
    config.set_s3_region(region);
    auto& one = *credentials.add_credentials();
    one.set_name("lake");
    one.set_access_key_id("AK");
    one.set_secret_access_key(secret);
  }
  operator SiteContent() const { return {&config, &credentials, {}}; }  // NOLINT: short in tests
  agent::v1::AgentConfig config;
  agent::v1::Credentials credentials;
};

agent::v1::Configuration Sent(const std::optional<Offer>& offer) {
  agent::v1::ControllerMessage message;
  EXPECT_TRUE(offer && message.ParseFromString(*offer->bytes));
  return message.configuration();
}

class PublisherTest : public ::testing::Test {
 protected:
  testing::MemoryEpochStore store_;
  ConfigPublisher leader_{store_, "key"};
  ConfigPublisher follower_{store_, "key"};
};

TEST_F(PublisherTest, TheLeaderPublishesOnceAndThenWritesNothing) {
  ASSERT_EQ(*leader_.TakeOver("uid", "a"), 1);
  const auto first = leader_.Publish("phoenix", Content("r1"));
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_TRUE(first->wrote);
  EXPECT_TRUE(first->published);
  EXPECT_EQ(first->order, (Order{"uid", 1, 1}));
  const int writes = store_.writes();
  for (int i = 0; i < 10; ++i) {
    const auto again = leader_.Publish("phoenix", Content("r1"));
    EXPECT_FALSE(again->wrote);
    EXPECT_EQ(again->order, first->order);
  }
  EXPECT_EQ(store_.writes(), writes);
  EXPECT_EQ(Sent(leader_.OfferFor("phoenix", "n1")).config().s3_region(), "r1");
  EXPECT_EQ(Sent(leader_.OfferFor("phoenix", "n1")).credentials().credentials_size(), 1);
}

TEST_F(PublisherTest, AFollowerOffersOnlyWhatTheRecordNames) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());

  EXPECT_FALSE(follower_.Publish("phoenix", Content("r1"))->published) << "no record seen yet";
  follower_.Observe(store_.record());
  const auto offer = follower_.OfferFor("phoenix", "n1");
  ASSERT_TRUE(offer);
  EXPECT_EQ(*offer->bytes, *leader_.OfferFor("phoenix", "n1")->bytes) << "one order, one content";

  // Its cache runs ahead of the record: it goes on offering what is published.
  EXPECT_FALSE(follower_.Publish("phoenix", Content("r2"))->published);
  EXPECT_EQ(Sent(follower_.OfferFor("phoenix", "n1")).config().s3_region(), "r1");
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r2")).ok());
  follower_.Observe(store_.record());
  EXPECT_EQ(Sent(follower_.OfferFor("phoenix", "n1")).config().s3_region(), "r2");
  EXPECT_EQ(store_.writes(), 3) << "followers write nothing";
}

TEST_F(PublisherTest, AFollowerWhoseCacheLagsOffersNothingRatherThanOldContentUnderANewOrder) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  ASSERT_TRUE(follower_.Publish("phoenix", Content("r1")).ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r2")).ok());
  follower_.Observe(store_.record());
  EXPECT_FALSE(follower_.OfferFor("phoenix", "n1"));
  ASSERT_TRUE(follower_.Publish("phoenix", Content("r2")).ok());
  EXPECT_EQ(follower_.OfferFor("phoenix", "n1")->order, (Order{"uid", 1, 2}));
}

TEST_F(PublisherTest, AFollowersRecordNeverGoesBack) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  const EpochRecord old = store_.record();
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r2")).ok());
  ASSERT_TRUE(follower_.Publish("phoenix", Content("r1")).ok());
  follower_.Observe(store_.record());
  follower_.Observe(old);
  EXPECT_FALSE(follower_.OfferFor("phoenix", "n1"));
}

TEST_F(PublisherTest, AnEarlierLeaderCannotPublishAfterATakeOverAndStepsDown) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  ASSERT_EQ(*follower_.TakeOver("uid", "b"), 2);
  const auto refused = leader_.Publish("phoenix", Content("r2"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().reason(), "Fenced");
  EXPECT_FALSE(leader_.leading());
  EXPECT_EQ(store_.record().revision, 1);
  EXPECT_EQ(Sent(leader_.OfferFor("phoenix", "n1")).config().s3_region(), "r1");
}

TEST_F(PublisherTest, ALeaderHearsOnceThatItWasFencedOff) {
  int fenced = 0;
  leader_.OnFenced([&] { ++fenced; });
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  leader_.Observe(store_.record());
  EXPECT_EQ(fenced, 0) << "its own record";
  ASSERT_TRUE(follower_.TakeOver("uid", "b").ok());
  leader_.Observe(store_.record());
  leader_.Observe(store_.record());
  EXPECT_EQ(fenced, 1);
  EXPECT_FALSE(leader_.leading());

  // By its own write as well as by the watch, and by the command that starts a new lineage.
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(follower_.TakeOver("uid", "b").ok());
  EXPECT_FALSE(leader_.Publish("phoenix", Content("r1")).ok());
  EXPECT_EQ(fenced, 2);
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  leader_.Observe(*StartLineage(store_.record(), "uid-restored", "ana"));
  EXPECT_EQ(fenced, 3);
}

TEST_F(PublisherTest, ARecordDeletedByHandIsWrittenBackAboveWhatAgentsHaveSeen) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  const EpochRecord before = store_.record();
  store_.Delete();
  EXPECT_TRUE(follower_.Restore().ok());
  EXPECT_EQ(store_.record(), EpochRecord{}) << "a follower writes nothing";
  EXPECT_TRUE(leader_.Restore().ok());
  EXPECT_EQ(store_.record().epoch, before.epoch + 1);
  EXPECT_EQ(store_.record().revision, before.revision);
  EXPECT_EQ(store_.record().sites, before.sites);
  EXPECT_TRUE(leader_.leading());
  EXPECT_TRUE(leader_.Restore().ok());
  EXPECT_EQ(store_.record().epoch, before.epoch + 1) << "it is there";

  store_.Delete();
  const auto next = leader_.Publish("phoenix", Content("r2"));
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(next->order, (Order{"uid", before.epoch + 2, before.revision + 1}));
}

TEST_F(PublisherTest, AReplicaThatTakesOverWithoutARecordGoesOnAboveWhatItSaw) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  follower_.Observe(store_.record());
  const EpochRecord before = store_.record();
  store_.Delete();
  EXPECT_EQ(*follower_.TakeOver("uid", "b"), before.epoch + 1);
  EXPECT_EQ(store_.record().sites, before.sites);
}

TEST_F(PublisherTest, AnUnreachableStoreWithholdsTheNewAndKeepsTheOld) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  store_.Fail(base::Unavailable("no API server"));
  EXPECT_FALSE(leader_.Publish("phoenix", Content("r2")).ok());
  EXPECT_EQ(Sent(leader_.OfferFor("phoenix", "n1")).config().s3_region(), "r1");
  store_.Fail(base::OkStatus());
  EXPECT_TRUE(leader_.Publish("phoenix", Content("r2"))->published);
}

TEST_F(PublisherTest, ChangedCredentialsAreANewVersionThatTellsNothingOfThem) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  const auto first = *leader_.Publish("phoenix", Content("r1", "one"));
  const auto second = *leader_.Publish("phoenix", Content("r1", "two"));
  EXPECT_NE(first.version, second.version);
  EXPECT_GT(second.order, first.order);
  // Whoever does not hold the key cannot test guesses against the version.
  ConfigPublisher other(store_, "another key");
  EXPECT_NE(other.Publish("phoenix", Content("r1", "two"))->version, second.version);
  for (const auto& [key, value] : Encode(store_.record())) {
    EXPECT_THAT(value, Not(HasSubstr("two")));
  }
}

TEST_F(PublisherTest, ANodeOfItsOwnGetsItsOwnConfiguration) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  const Content common("r1");
  const Content own("r-own");
  SiteContent content = common;
  content.per_node["n2"] = &own.config;
  const auto first = *leader_.Publish("phoenix", content);
  EXPECT_EQ(Sent(leader_.OfferFor("phoenix", "n1")).config().s3_region(), "r1");
  EXPECT_EQ(Sent(leader_.OfferFor("phoenix", "n2")).config().s3_region(), "r-own");
  EXPECT_FALSE(leader_.OfferFor("tucson", "n1"));
  const auto without = *leader_.Publish("phoenix", common);
  EXPECT_TRUE(without.wrote);
  EXPECT_GT(without.order, first.order);
  EXPECT_EQ(Sent(leader_.OfferFor("phoenix", "n2")).config().s3_region(), "r1");
}

TEST_F(PublisherTest, ListenersHearOfEachChangeOfAnOfferAndOfNothingElse) {
  std::vector<std::string> heard;
  leader_.SetListener([&](const std::string& site) { heard.push_back(site); });
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  EXPECT_THAT(heard, IsEmpty());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  EXPECT_THAT(heard, ElementsAre("phoenix"));
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  ASSERT_TRUE(leader_.Publish("tucson", Content("r1")).ok());
  EXPECT_THAT(heard, ElementsAre("phoenix", "tucson"));
  leader_.SetListener(nullptr);
}

TEST_F(PublisherTest, AWriteWhoseAnswerWasLostIsOfferedByTheNextTry) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  store_.LoseNextAnswer();
  ASSERT_FALSE(leader_.Publish("phoenix", Content("r1")).ok());
  ASSERT_EQ(store_.record().sites.size(), 1u) << "it took effect";
  const auto again = leader_.Publish("phoenix", Content("r1"));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_TRUE(again->published);
  EXPECT_TRUE(leader_.OfferFor("phoenix", "n1"));
}

TEST_F(PublisherTest, ARetiredSiteIsOfferedNoMore) {
  ASSERT_TRUE(leader_.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader_.Publish("phoenix", Content("r1")).ok());
  ASSERT_TRUE(leader_.Retire("phoenix").ok());
  EXPECT_FALSE(leader_.OfferFor("phoenix", "n1"));
  EXPECT_TRUE(store_.record().sites.empty());
  const int writes = store_.writes();
  ASSERT_TRUE(leader_.Retire("phoenix").ok());
  EXPECT_EQ(store_.writes(), writes);
}

}  // namespace
}  // namespace sluice::agents
