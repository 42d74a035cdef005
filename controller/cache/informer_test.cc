#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "controller/cache/informer_for_test.h"

namespace sluice::cache {
namespace {

using namespace std::chrono_literals;
using http::testing::Chunk;
using http::testing::ImposterConnection;
using http::testing::kChunkedHead;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Informer, StreamsItsStateAndGoesOnWatchingOnTheSameConnection) {
  ScriptedApi api({Hold(Line("ADDED", Site("a", 1)) + Line("ADDED", Site("b", 2)) + Mark(5, true) +
                        Line("MODIFIED", Site("a", 6)) + Line("DELETED", Site("b", 7)) + Mark(9))});
  Subject subject(api);
  EXPECT_THAT(subject.diary.WaitFor(4), ElementsAre("[+a]", "[+b]", "~a", "-b"));
  EXPECT_TRUE(subject.informer->WaitUntilSynced(api.clock().Mono() + 1s));
  EXPECT_EQ(subject.informer->store().Get({"", "a"})->resource_version(), "6");
  subject.informer->Stop();
  ASSERT_EQ(api.targets().size(), 1u);
  EXPECT_THAT(api.targets()[0], HasSubstr("sendInitialEvents=true"));
  EXPECT_THAT(api.targets()[0], HasSubstr("resourceVersionMatch=NotOlderThan"));
  EXPECT_EQ(subject.informer->Stats().objects, 1u);
}

TEST(Informer, ListsInPagesWhereTheServerKnowsNoStreams) {
  ScriptedApi api(
      {Say(422,
           R"({"kind":"Status","code":422,"reason":"Invalid","message":"sendInitialEvents is forbidden"})"),
       Say(200,
           R"({"metadata":{"resourceVersion":"8","continue":"c"},"items":[)" + Site("a", 1) + "]}"),
       Say(200, R"({"metadata":{"resourceVersion":"8"},"items":[)" + Site("b", 2) + "]}"),
       Hold(Line("ADDED", Site("c", 9)))});
  Subject subject(api);
  EXPECT_THAT(subject.diary.WaitFor(3), ElementsAre("[+a]", "[+b]", "+c"));
  subject.informer->Stop();
  EXPECT_THAT(api.targets().at(1), HasSubstr("limit=500"));
  EXPECT_THAT(api.targets().at(3), HasSubstr("resourceVersion=8"));
}

TEST(Informer, ResumesAfterTheEndOfAWatchFromTheLastVersionSeen) {
  ScriptedApi api({End(Line("ADDED", Site("a", 1)) + Mark(5, true) + Mark(7)),
                   End(Line("MODIFIED", Site("a", 8))), Hold(Line("MODIFIED", Site("a", 9)))});
  Subject subject(api);
  EXPECT_THAT(subject.diary.WaitFor(3), ElementsAre("[+a]", "~a", "~a"));
  EXPECT_THAT(api.targets().at(1), HasSubstr("resourceVersion=7"));
  EXPECT_THAT(api.targets().at(2), HasSubstr("resourceVersion=8"));
}

TEST(Informer, AfterAForgottenVersionTellsOnlyWhatChangedMeanwhile) {
  ScriptedApi api({End(Line("ADDED", Site("a", 1)) + Line("ADDED", Site("b", 2)) +
                       Line("ADDED", Site("c", 3)) + Mark(5, true) + Line("ERROR", Expired())),
                   Hold(Line("ADDED", Site("a", 1)) + Line("ADDED", Site("b", 8)) +
                        Line("ADDED", Site("d", 9)) + Mark(10, true))});
  Subject subject(api);
  subject.diary.WaitFor(3);
  while (api.clock().waiters() == 0) std::this_thread::yield();
  api.clock().Advance(30s);
  EXPECT_THAT(subject.diary.WaitFor(6),
              ElementsAre("[+a]", "[+b]", "[+c]", "[~b]", "[+d]", "[-c]"));
}

TEST(Informer, AStateOlderThanWhatWasSeenIsBelievedOnlyWhenTheServerInsists) {
  const std::string first = Line("ADDED", Site("a", 4)) + Mark(5, true) +
                            Line("ADDED", Site("b", 8)) + Line("ERROR", Expired());
  const std::string older = Line("ADDED", Site("a", 3)) + Mark(6, true);
  ScriptedApi api({End(first), Hold(older), Hold(older), Hold(older), Hold(older),
                   Hold(older + Line("ADDED", Site("c", 7)))});
  Subject subject(api);
  EXPECT_THAT(subject.diary.WaitFor(2), ElementsAre("[+a]", "+b"));
  for (std::size_t round = 1; round <= 5; ++round) {
    while (api.clock().waiters() == 0) std::this_thread::yield();
    EXPECT_EQ(api.targets().size(), round);
    EXPECT_NE(subject.informer->store().Get({"", "b"}), nullptr);
    EXPECT_EQ(subject.informer->store().Get({"", "a"})->resource_version(), "4");
    api.clock().Advance(30s);
    while (api.targets().size() == round) std::this_thread::yield();
  }
  EXPECT_THAT(subject.diary.WaitFor(5), ElementsAre("[+a]", "+b", "[~a]", "[-b]", "+c"));
  EXPECT_EQ(subject.informer->Stats().failures, 5U) << "the expiry and four refused states";
}

TEST(Informer, ARestoredClusterWhoseVersionsGoOnIsFollowedAtOnce) {
  ScriptedApi api({End(Line("ADDED", Site("a", 3)) + Line("ADDED", Site("b", 4)) + Mark(5, true) +
                       Line("MODIFIED", Site("a", 8)) + Line("DELETED", Site("b", 9)) +
                       Line("ADDED", Site("c", 10)) + Line("ERROR", Expired())),
                   Hold(Line("ADDED", Site("a", 3)) + Line("ADDED", Site("b", 4)) +
                        Mark(1000000010, true) + Line("MODIFIED", Site("b", 1000000011)))});
  Subject subject(api);
  subject.diary.WaitFor(5);
  while (api.clock().waiters() == 0) std::this_thread::yield();
  api.clock().Advance(30s);
  EXPECT_THAT(subject.diary.WaitFor(9),
              ElementsAre("[+a]", "[+b]", "~a", "-b", "+c", "[~a]", "[+b]", "[-c]", "~b"));
  EXPECT_EQ(subject.informer->store().Get({"", "a"})->resource_version(), "3");
  EXPECT_EQ(subject.informer->Stats().streams, 2U);
}

TEST(Informer, OnlyTheFirstStateMayComeFromTheServersCache) {
  ScriptedApi api(
      {End(Line("ADDED", Site("a", 1)) + Mark(5, true) + Line("ERROR", Expired())),
       Hold(Line("ADDED", Site("a", 1)) + Line("ADDED", Site("b", 8)) + Mark(9, true))});
  int synced = 0;
  Subject subject(
      api,
      {.resource = kSites, .start_from_server_cache = true, .on_synced = [&synced] { ++synced; }});
  subject.diary.WaitFor(1);
  while (api.clock().waiters() == 0) std::this_thread::yield();
  api.clock().Advance(30s);
  EXPECT_THAT(subject.diary.WaitFor(2), ElementsAre("[+a]", "[+b]"));
  subject.informer->Stop();
  EXPECT_THAT(api.targets().at(0), HasSubstr("resourceVersion=0"));
  EXPECT_THAT(api.targets().at(1), HasSubstr("sendInitialEvents=true"));
  EXPECT_THAT(api.targets().at(1), ::testing::Not(HasSubstr("resourceVersion=")));
  EXPECT_EQ(synced, 1);
}

TEST(Informer, AKindThatTheServerDoesNotHaveIsToldAsThat) {
  ScriptedApi api(
      {[](ImposterConnection& c) { c.Send(http::testing::Answer(404, "404 page not found\n")); }});
  Subject subject(api);
  while (api.clock().waiters() == 0) std::this_thread::yield();
  const base::Status told = subject.informer->Stats().last_error;
  EXPECT_EQ(told.code(), base::Code::kNotFound);
  EXPECT_THAT(told.message(),
              HasSubstr("the API server does not serve sites.sluice.dev; is its CRD applied?"));
}

TEST(Informer, ALineCutInHalfIsReadAgainAndNothingTwice) {
  ScriptedApi api({[](ImposterConnection& c) {
                     c.Send(std::string(kChunkedHead) +
                            Chunk(Line("ADDED", Site("a", 1)) + Mark(5, true) +
                                  Line("MODIFIED", Site("a", 6)) + R"({"type":"MODIF)"));
                     c.Cut();
                   },
                   Hold(Line("MODIFIED", Site("a", 6)) + Line("MODIFIED", Site("a", 7)))});
  Subject subject(api);
  subject.diary.WaitFor(2);
  while (api.clock().waiters() == 0) std::this_thread::yield();
  api.clock().Advance(30s);  // whatever the back-off is
  EXPECT_THAT(subject.diary.WaitFor(3), ElementsAre("[+a]", "~a", "~a"));
  EXPECT_THAT(api.targets().at(1), HasSubstr("resourceVersion=6"));
  EXPECT_EQ(subject.informer->Stats().last_error.reason(), "ConnectionCut");
}

TEST(Informer, ReadsAnAnswerThatComesAByteAtATime) {
  const std::string lines =
      Line("ADDED", Site("a", 1)) + Mark(5, true) + Line("DELETED", Site("a", 6));
  ScriptedApi api({[lines](ImposterConnection& c) {
    c.Send(kChunkedHead);
    for (const char byte : lines) c.Send(Chunk({&byte, 1}));
    c.WaitForClose();
  }});
  Subject subject(api);
  EXPECT_THAT(subject.diary.WaitFor(2), ElementsAre("[+a]", "-a"));
}

TEST(Informer, ADoubledEventIsToldOnce) {
  const std::string twice = Line("MODIFIED", Site("a", 6));
  ScriptedApi api({Hold(Line("ADDED", Site("a", 1)) + Mark(5, true) + twice + twice +
                        Line("ADDED", Site("z", 9)))});
  Subject subject(api);
  EXPECT_THAT(subject.diary.WaitFor(3), ElementsAre("[+a]", "~a", "+z"));
}

TEST(Informer, ComesBackAfterRefusalsAndWaitsAsAsked) {
  ScriptedApi api({Say(500, "oops"), Say(429, "", "Retry-After: 100\r\n"),
                   Hold(Line("ADDED", Site("a", 1)) + Mark(5, true))});
  Subject subject(api);
  for (std::size_t asked = 1; asked <= 2; ++asked) {
    while (api.clock().waiters() == 0 || api.targets().size() < asked) std::this_thread::yield();
    api.clock().Advance(asked == 1 ? 30s : 100s);
  }
  EXPECT_THAT(subject.diary.WaitFor(1), ElementsAre("[+a]"));
}

TEST(Informer, OneRefusalStopsItForFiveMinutesAtMost) {
  ScriptedApi api({Say(503, "in maintenance", "Retry-After: 86400\r\n"),
                   Hold(Line("ADDED", Site("a", 1)) + Mark(5, true))});
  Subject subject(api);
  while (api.clock().waiters() == 0 || api.targets().empty()) std::this_thread::yield();
  api.clock().Advance(5min);
  EXPECT_THAT(subject.diary.WaitFor(1), ElementsAre("[+a]"));
}

TEST(Informer, ReadsEverythingAnewWhenItsPeriodIsOver) {
  std::promise<void> period_over;
  ScriptedApi api(
      {[&](ImposterConnection& c) {
         c.Send(std::string(kChunkedHead) +
                Chunk(Line("ADDED", Site("a", 1)) + Line("ADDED", Site("b", 2)) + Mark(5, true) +
                      Mark(9)));
         period_over.get_future().wait();
         c.Send(Chunk(""));
       },
       Hold(Line("ADDED", Site("a", 1)) + Line("ADDED", Site("c", 8)) + Mark(9, true))});
  Subject subject(api);
  subject.informer->WaitUntilSynced(api.clock().Mono() + 1s);
  api.clock().Advance(2h);
  period_over.set_value();
  // The deletion of b and the addition of c were lost on the way; the second reading shows them.
  EXPECT_THAT(subject.diary.WaitFor(4), ElementsAre("[+a]", "[+b]", "[+c]", "[-b]"));
}

TEST(Informer, StopEndsAHangingWatchAndTheStoreStaysReadable) {
  ScriptedApi api({Hold(Line("ADDED", Site("a", 1)) + Mark(5, true))});
  Subject subject(api);
  subject.diary.WaitFor(1);
  subject.informer->WaitUntilSynced(api.clock().Mono() + 10s);
  subject.informer->Stop();
  subject.informer->Stop();
  EXPECT_NE(subject.informer->store().Get({"", "a"}), nullptr);
}

TEST(Informer, ALateSubscriberGetsWhatThereIs) {
  ScriptedApi api({Hold(Line("ADDED", Site("a", 1)) + Mark(5, true))});
  Subject subject(api);
  subject.diary.WaitFor(1);
  Diary late;
  subject.informer->Subscribe(late.handler());
  EXPECT_THAT(late.WaitFor(1), ElementsAre("[+a]"));
}

TEST(Informer, PrunesBeforeAnyoneSees) {
  ScriptedApi api({Hold(Line("ADDED", Site("a", 1)) + Mark(5, true))});
  InformerOptions options{.resource = kSites};
  options.prune = [](const meta::ObjectPtr& object) {
    return meta::Object::Parse(
               fmt::format(R"({{"metadata":{{"name":"{}","uid":"u","resourceVersion":"{}"}}}})",
                           object->name(), object->resource_version()))
        .value();
  };
  Subject subject(api, options);
  subject.diary.WaitFor(1);
  EXPECT_EQ(subject.informer->store().Get({"", "a"})->json(),
            R"({"metadata":{"name":"a","uid":"u","resourceVersion":"1"}})");
}

TEST(Informer, WhatThrowsOnAnObjectTakesNothingFromOthers) {
  ScriptedApi api(
      {Hold(Line("ADDED", Site("a", 1)) + Line("ADDED", Site("b", 2)) + Mark(5, true))});
  InformerOptions options{.resource = kSites};
  options.prune = [](meta::ObjectPtr object) {
    if (object->name() == "a") throw std::runtime_error("a prune function");
    return object;
  };
  const auto informer = Informer::New(api.client(), api.clock(), options).value();
  Diary diary, late;
  const EventHandler refuses = [](const Event& event) {
    if (event.after->name() == "a") throw 7;
  };
  informer->Subscribe(refuses);
  informer->Subscribe(diary.handler());
  informer->Start();
  EXPECT_THAT(diary.WaitFor(2), ElementsAre("[+a]", "[+b]"));
  EXPECT_TRUE(informer->WaitUntilSynced(api.clock().Mono() + 1s));
  EXPECT_EQ(informer->store().size(), 2U) << "what could not be pruned is kept whole";
  informer->Subscribe(refuses);  // late
  informer->Subscribe(late.handler());
  EXPECT_THAT(late.WaitFor(2), ElementsAre("[+a]", "[+b]"));
  EXPECT_EQ(informer->Stats().exceptions, 3U);
}

TEST(Informer, AllSecretsMustBeAskedForInSoManyWords) {
  ScriptedApi api({});
  const auto make = [&](InformerOptions options) {
    return Informer::New(api.client(), api.clock(), std::move(options)).status().code();
  };
  const meta::Resource secrets{"", "v1", "Secret", "secrets", true};
  EXPECT_EQ(make({.resource = secrets}), base::Code::kInvalidArgument);
  EXPECT_EQ(make({.resource = {"", "v1", "Pod", "pods", true}}), base::Code::kInvalidArgument);
  EXPECT_EQ(make({.resource = secrets, .ns = "n"}), base::Code::kOk);
  EXPECT_EQ(make({.resource = secrets, .label_selector = "a=b"}), base::Code::kOk);
  EXPECT_EQ(make({.resource = secrets, .label_selector = "a!=b"}), base::Code::kInvalidArgument);
  EXPECT_EQ(make({.resource = secrets, .all_secrets_or_pods = true}), base::Code::kOk);
}

}  // namespace
}  // namespace sluice::cache
