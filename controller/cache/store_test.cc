#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/cache/limits.h"
#include "controller/cache/memory_store.h"
#include "controller/cache/resource_version.h"
#include "controller/cache/watch_decoder.h"

namespace sluice::cache {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const meta::Resource kThings{"g", "v1", "Thing", "things", true};

meta::ObjectPtr Thing(const std::string& name, const std::string& version,
                      const std::string& color = "", const std::string& uid = "") {
  return meta::Object::Parse(
             fmt::format(
                 R"({{"metadata":{{"name":"{}","namespace":"n","uid":"{}","resourceVersion":"{}",
                         "labels":{{"color":"{}"}}}}}})",
                 name, uid.empty() ? "uid-" + name : uid, version, color))
      .value();
}

std::vector<std::string> ByColor(const meta::Object& object) {
  return {object.Label("color").value_or("")};
}

std::vector<std::string> Names(const std::vector<meta::ObjectPtr>& objects) {
  std::vector<std::string> out;
  for (const auto& object : objects) out.emplace_back(object->name());
  return out;
}

class StoreTest : public ::testing::Test {
 protected:
  void Sync(const std::string& version) {
    store_.BeginState();
    store_.EndState(version);
  }
  base::FakeClock clock_;
  MemoryStore store_{kThings, clock_};
};

TEST(ResourceVersion, NumbersOfAnyLengthCompareAndNothingElse) {
  EXPECT_TRUE(VersionAtLeast("10", "9"));
  EXPECT_FALSE(VersionAtLeast("9", "10"));
  EXPECT_TRUE(VersionAtLeast("99999999999999999999999", "99999999999999999999998"));
  for (const char* opaque : {"", "0", "01", "1a", "-1"}) {
    EXPECT_FALSE(CompareVersions(opaque, "1").has_value()) << opaque;
  }
}

TEST_F(StoreTest, TellsEachChangeOnceAndRepetitionsNever) {
  Sync("1");
  const auto added = store_.Put(Thing("a", "2"));
  ASSERT_TRUE(added.has_value());
  EXPECT_EQ(added->before, nullptr);
  EXPECT_FALSE(added->initial);
  EXPECT_FALSE(store_.Put(Thing("a", "2")).has_value());
  const auto changed = store_.Put(Thing("a", "3"));
  EXPECT_EQ(changed->before->resource_version(), "2");
  EXPECT_EQ(changed->after->resource_version(), "3");
  const auto gone = store_.Remove(Thing("a", "4"));
  EXPECT_EQ(gone->after, nullptr);
  EXPECT_EQ(gone->before->resource_version(), "4");
  EXPECT_FALSE(store_.Remove(Thing("a", "4")).has_value());
}

TEST_F(StoreTest, AReadingTellsWhatIsGoneAndKeepsWhatIsUnchanged) {
  store_.BeginState();
  EXPECT_TRUE(store_.Put(Thing("a", "1"))->initial);
  store_.Put(Thing("b", "2"));
  EXPECT_FALSE(store_.synced());
  EXPECT_THAT(store_.EndState("5"), IsEmpty());
  EXPECT_TRUE(store_.synced());
  const meta::ObjectPtr kept = store_.Get({"n", "a"});

  store_.BeginState();
  EXPECT_FALSE(store_.Put(Thing("a", "1")).has_value());
  EXPECT_TRUE(store_.Put(Thing("c", "6"))->initial);
  EXPECT_EQ(store_.size(), 3u) << "nothing goes before the reading is complete";
  const auto gone = store_.EndState("9");
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].before->name(), "b");
  EXPECT_EQ(store_.Get({"n", "a"}), kept) << "the same object, not an equal one";
  EXPECT_THAT(Names(store_.List()), ElementsAre("a", "c"));
  EXPECT_THAT(Names(store_.Unsorted()), UnorderedElementsAre("a", "c"));
}

TEST_F(StoreTest, AnObjectMadeAnewUnderTheSameVersionlessKeyIsAChange) {
  Sync("1");
  store_.Put(Thing("a", "2", "", "u1"));
  const auto change = store_.Put(Thing("a", "2", "", "u2"));
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->before->uid(), "u1");
}

TEST_F(StoreTest, IndexesFollowEveryChange) {
  store_.Put(Thing("late", "1", "red"));
  store_.AddIndex("color", ByColor);
  EXPECT_THAT(Names(store_.ByIndex("color", "red")), ElementsAre("late"));
  store_.Put(Thing("a", "2", "red"));
  EXPECT_THAT(Names(store_.ByIndex("color", "red")), ElementsAre("a", "late"));
  store_.Put(Thing("a", "3", "blue"));
  EXPECT_THAT(Names(store_.ByIndex("color", "red")), ElementsAre("late"));
  EXPECT_THAT(Names(store_.ByIndex("color", "blue")), ElementsAre("a"));
  store_.Remove(Thing("a", "4", "green"));
  EXPECT_THAT(store_.ByIndex("color", "blue"), IsEmpty());
  store_.BeginState();
  store_.EndState("5");
  EXPECT_THAT(store_.ByIndex("color", "red"), IsEmpty());
}

TEST_F(StoreTest, IsStaleUntilTheWatchShowsOurWrite) {
  Sync("1");
  store_.Put(Thing("a", "2"));
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
  store_.ExpectAtLeast(*Thing("a", "3"));
  EXPECT_TRUE(store_.IsStale({"n", "a"}));
  EXPECT_FALSE(store_.IsStale({"n", "b"}));
  store_.Put(Thing("a", "2"));
  EXPECT_TRUE(store_.IsStale({"n", "a"})) << "an older state says nothing";
  store_.Put(Thing("a", "3"));
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
}

TEST_F(StoreTest, AWatchFasterThanTheAnswerLeavesNothingToWaitFor) {
  Sync("1");
  store_.Put(Thing("a", "3"));
  store_.ExpectAtLeast(*Thing("a", "3"));
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
  store_.Put(Thing("a", "5"));
  store_.Put(Thing("a", "7"));
  store_.ExpectAtLeast(*Thing("a", "5"));
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
}

TEST_F(StoreTest, DeletionAListBegunLaterAndTimeEndTheWaiting) {
  Sync("1");
  store_.ExpectAtLeast(*Thing("a", "3"));
  store_.Remove(Thing("a", "4"));
  EXPECT_FALSE(store_.IsStale({"n", "a"}));

  store_.BeginState();
  store_.ExpectAtLeast(*Thing("b", "5"));
  store_.EndState("9");
  EXPECT_TRUE(store_.IsStale({"n", "b"})) << "that list may have begun before the write";
  Sync("10");
  EXPECT_FALSE(store_.IsStale({"n", "b"}));

  store_.ExpectAtLeast(*Thing("c", "11"));
  clock_.Advance(kExpectationLife);
  EXPECT_FALSE(store_.IsStale({"n", "c"}));
}

TEST_F(StoreTest, AWriteThatTakesAnObjectOutIsAwaitedOnlyWhereTheObjectIsHeld) {
  Sync("1");
  store_.ExpectIfHeld(*Thing("a", "3"));
  EXPECT_FALSE(store_.IsStale({"n", "a"})) << "no event is to come";
  store_.Put(Thing("a", "2"));
  store_.ExpectIfHeld(*Thing("a", "3"));
  EXPECT_TRUE(store_.IsStale({"n", "a"}));
  store_.Remove(Thing("a", "3"));
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
}

TEST_F(StoreTest, AnEarlierWriteThatIsToldLaterDoesNotEndTheWaiting) {
  store_.UseComparableVersions();
  Sync("1");
  store_.ExpectAtLeast(*Thing("a", "15"));
  store_.ExpectAtLeast(*Thing("a", "12"));
  store_.Put(Thing("a", "12"));
  EXPECT_TRUE(store_.IsStale({"n", "a"}));
  store_.Put(Thing("a", "15"));
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
}

TEST_F(StoreTest, ComparableVersionsAreSatisfiedByAnythingLater) {
  store_.UseComparableVersions();
  Sync("100");
  store_.ExpectAtLeast(*Thing("a", "99"));
  EXPECT_FALSE(store_.IsStale({"n", "a"})) << "the cache is past that version";
  store_.ExpectAtLeast(*Thing("a", "120"));
  EXPECT_TRUE(store_.IsStale({"n", "a"}));
  store_.Put(Thing("other", "110"));
  EXPECT_TRUE(store_.IsStale({"n", "a"}));
  store_.OnVersion("121");
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
}

TEST_F(StoreTest, AListThatLagsBehindOurWriteLeavesTheKeyStale) {
  store_.UseComparableVersions();
  Sync("100");
  store_.ExpectAtLeast(*Thing("a", "120"));
  Sync("115");
  EXPECT_TRUE(store_.IsStale({"n", "a"})) << "another server's list may be older than our write";
  Sync("120");
  EXPECT_FALSE(store_.IsStale({"n", "a"}));
}

TEST_F(StoreTest, AnEventThatComesTwiceOrLateDoesNotGoBackInTime) {
  store_.UseComparableVersions();
  Sync("1");
  store_.Put(Thing("a", "9"));
  EXPECT_FALSE(store_.Put(Thing("a", "8")).has_value());
  EXPECT_FALSE(store_.Remove(Thing("a", "7")).has_value());
  EXPECT_EQ(store_.Get({"n", "a"})->resource_version(), "9");
}

TEST_F(StoreTest, AnOlderStateChangesNothingUnlessItIsInsistedUpon) {
  store_.UseComparableVersions();
  Sync("1");
  store_.Put(Thing("a", "9"));
  store_.Put(Thing("b", "10"));
  store_.Remove(Thing("b", "12"));
  store_.BeginState();
  EXPECT_FALSE(store_.Put(Thing("a", "4")).has_value());
  EXPECT_FALSE(store_.Put(Thing("b", "10")).has_value()) << "it is gone since";
  EXPECT_TRUE(store_.LagsBehind("11"));
  EXPECT_FALSE(store_.LagsBehind("12"));
  EXPECT_TRUE(store_.Put(Thing("c", "13")).has_value());
  EXPECT_TRUE(store_.LagsBehind("12")) << "it shows c and is older";
  EXPECT_FALSE(store_.LagsBehind("13"));
  EXPECT_FALSE(store_.LagsBehind("opaque"));
  store_.BeginState();
  EXPECT_FALSE(store_.Put(Thing("a", "4")).has_value());
  EXPECT_FALSE(store_.Put(Thing("b", "5")).has_value());
  EXPECT_TRUE(store_.LagsBehind("6"));
  const auto changes = store_.EndState("6");  // a restored cluster goes back
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].after->name(), "a");
  EXPECT_EQ(changes[1].after->name(), "b");
  EXPECT_EQ(changes[2].before->name(), "c");
  EXPECT_FALSE(store_.LagsBehind("6"));
}

// A cluster that was restored tells versions beyond those of before (etcdutl's --bump-revision);
// one whose event was lost does so anyway.
TEST_F(StoreTest, AStateNoOlderThanWhatWasSeenIsTheTruthOfAllItShowsAndLacks) {
  store_.UseComparableVersions();
  store_.AddIndex("color", ByColor);
  Sync("1");
  store_.Put(Thing("a", "9", "red"));
  store_.Put(Thing("b", "10"));
  store_.Remove(Thing("b", "12"));
  store_.Put(Thing("d", "13"));
  store_.ExpectAtLeast(*Thing("d", "1000000020"));
  store_.BeginState();
  EXPECT_FALSE(store_.Put(Thing("a", "4", "blue")).has_value()) << "it may be one that lags";
  EXPECT_FALSE(store_.Put(Thing("b", "5")).has_value());
  EXPECT_EQ(store_.Get({"n", "a"})->resource_version(), "9");
  const auto changes = store_.EndState("1000000012");
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].before->resource_version(), "9");
  EXPECT_EQ(changes[1].before, nullptr);
  EXPECT_EQ(changes[2].after, nullptr);
  for (const Event& change : changes) EXPECT_TRUE(change.initial);
  EXPECT_EQ(store_.Get({"n", "a"})->resource_version(), "4");
  EXPECT_EQ(store_.Get({"n", "b"})->resource_version(), "5");
  EXPECT_EQ(store_.Get({"n", "d"}), nullptr);
  EXPECT_THAT(Names(store_.ByIndex("color", "blue")), ElementsAre("a"));
  EXPECT_THAT(store_.ByIndex("color", "red"), IsEmpty());
  EXPECT_TRUE(store_.IsStale({"n", "d"})) << "that state is older than our write";
  Sync("1000000030");
  EXPECT_FALSE(store_.IsStale({"n", "d"}));
}

TEST_F(StoreTest, AStreamThatGoesOnToWhatIsHeldWithholdsNothing) {
  store_.UseComparableVersions();
  Sync("1");
  store_.Put(Thing("a", "9"));
  store_.Put(Thing("b", "10"));
  store_.Remove(Thing("b", "12"));
  store_.BeginState();
  store_.Put(Thing("a", "4"));
  store_.Put(Thing("b", "10"));
  EXPECT_FALSE(store_.Put(Thing("a", "9")).has_value());
  EXPECT_FALSE(store_.Remove(Thing("b", "12")).has_value());
  EXPECT_THAT(store_.EndState("12"), IsEmpty());
  EXPECT_EQ(store_.Get({"n", "a"})->resource_version(), "9");
  EXPECT_EQ(store_.Get({"n", "b"}), nullptr);
}

TEST_F(StoreTest, WhatGoesInAStreamOfARestoredClusterIsGoneAtItsEnd) {
  store_.UseComparableVersions();
  Sync("1");
  store_.Put(Thing("a", "9"));
  store_.BeginState();
  store_.Put(Thing("a", "4"));
  EXPECT_FALSE(store_.Remove(Thing("a", "6")).has_value()) << "it may be one that lags";
  EXPECT_NE(store_.Get({"n", "a"}), nullptr);
  EXPECT_EQ(store_.EndState("1000000012").size(), 1U);
  EXPECT_EQ(store_.Get({"n", "a"}), nullptr);
}

TEST_F(StoreTest, AStateOlderThanAReadingThatWasCutLagsBehind) {
  store_.UseComparableVersions();
  Sync("100");
  store_.BeginState();
  EXPECT_TRUE(store_.Put(Thing("a", "105")).has_value());
  store_.BeginState();  // the first was cut; another server answers
  EXPECT_FALSE(store_.Put(Thing("a", "99")).has_value());
  EXPECT_TRUE(store_.LagsBehind("102"));
  EXPECT_FALSE(store_.LagsBehind("105"));
  EXPECT_EQ(store_.Get({"n", "a"})->resource_version(), "105");
}

TEST_F(StoreTest, CostsLittleBesideTheObjects) {
  Sync("1");
  std::size_t json_bytes = 0;
  for (int i = 0; i < 100; ++i) {
    const auto thing = Thing("t" + std::to_string(i), "2");
    json_bytes += thing->json().size();
    store_.Put(thing);
  }
  EXPECT_LE(store_.MemoryBytes(), json_bytes + 100 * 200);
}

TEST(WatchDecoder, ReadsEveryTypeInAnyOrderOfMembers) {
  const auto decode = [](std::string_view line) { return DecodeWatchLine(kThings, line).value(); };
  const WatchEvent added = decode(
      R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5","managedFields":[]},"x":1}})");
  EXPECT_EQ(added.type, WatchEvent::Type::kAdded);
  EXPECT_EQ(
      added.object->json(),
      R"({"kind":"Thing","apiVersion":"g/v1","metadata":{"name":"a","resourceVersion":"5"},"x":1})");
  const WatchEvent deleted = decode(
      R"({"object":{"kind":"K","apiVersion":"g/v1","metadata":{"name":"a","resourceVersion":"6"}},"type":"DELETED"})");
  EXPECT_EQ(deleted.type, WatchEvent::Type::kDeleted);
  const WatchEvent mark = decode(
      R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}})");
  EXPECT_EQ(mark.resource_version, "7");
  EXPECT_TRUE(mark.initial_events_end);
  EXPECT_FALSE(decode(R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}})")
                   .initial_events_end);
  const WatchEvent error = decode(
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old"}})");
  EXPECT_EQ(error.error.code(), base::Code::kOutOfRange);
  EXPECT_EQ(error.error.message(), "old");
}

TEST(WatchDecoder, RefusesWhatIsCutOrNoEvent) {
  const std::string line =
      R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"}}})";
  for (std::size_t size = 0; size < line.size(); ++size) {
    EXPECT_FALSE(DecodeWatchLine(kThings, std::string_view(line).substr(0, size)).ok()) << size;
  }
  for (const char* text :
       {R"({"type":"ODD","object":{"metadata":{}}})", R"({"type":"ADDED"})",
        R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})", R"({"type":"ADDED","object":5})",
        R"({"type":"BOOKMARK","object":{}})"}) {
    EXPECT_EQ(DecodeWatchLine(kThings, text).status().reason(), "GarbledEvent") << text;
  }
}

}  // namespace
}  // namespace sluice::cache
