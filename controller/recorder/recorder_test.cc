#include "controller/recorder/recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/recorder/limits.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/wait.h"

namespace sluice::recorder {
namespace {

const meta::Resource kEvents{"events.k8s.io", "v1", "Event", "events", true};
const Reference kSite{"sluice.dev/v1alpha1", "Site", "", "phoenix", "uid-7"};

class RecorderTest : public testing::Test {
 protected:
  RecorderTest()
      : api(clock),
        recorder(EventRecorder::New({"sluice.dev/sluice-controller", "replica-0"}, api, clock,
                                    registry)) {
    recorder->Start();
  }
  ~RecorderTest() override { recorder->Stop(); }
  // The recorder's thread has written everything that is due and waits.
  void Settle(int writes) {
    ASSERT_TRUE(testing_kit::WaitUntil([&] { return api.writes() >= writes; }));
    ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() > 0; }));
  }
  base::FakeClock clock;
  base::metrics::Registry registry;
  testing_kit::FakeApi api;
  std::unique_ptr<EventRecorder> recorder;
};

TEST_F(RecorderTest, AnEventAboutAClusterScopedObjectIsWrittenInDefault) {
  recorder->Record(kSite, Type::kWarning, "NodesMismatched", "2 nodes do not match");
  Settle(1);
  const auto events = api.LookAll(kEvents);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]["metadata"]["namespace"], "default");
  EXPECT_EQ(events[0]["type"], "Warning");
  EXPECT_EQ(events[0]["reason"], "NodesMismatched");
  EXPECT_EQ(events[0]["action"], "NodesMismatched");
  EXPECT_EQ(events[0]["regarding"]["uid"], "uid-7");
  EXPECT_EQ(events[0]["reportingInstance"], "replica-0");
}

TEST_F(RecorderTest, RepeatsBecomeOneSeriesWrittenSeldom) {
  for (int i = 0; i < 500; ++i) recorder->Record(kSite, Type::kNormal, "Applied", "same");
  Settle(1);
  ASSERT_EQ(api.LookAll(kEvents).size(), 1u);
  clock.Advance(kSeriesFlush);
  Settle(1);
  recorder->Record(kSite, Type::kNormal, "Applied", "same");
  clock.Advance(kSeriesFlush);
  ASSERT_TRUE(testing_kit::WaitUntil([&] {
    const auto events = api.LookAll(kEvents);
    return events[0].contains("series") && events[0]["series"]["count"] == 501;
  })) << api.LookAll(kEvents)[0].dump(2);
  EXPECT_LE(api.writes(), 4);
}

TEST_F(RecorderTest, AnObjectThatChattersIsCutShortAndCounted) {
  for (int i = 0; i < 100; ++i) {
    recorder->Record(kSite, Type::kNormal, "Applied", "note " + std::to_string(i));
  }
  Settle(kBurstPerObject);
  EXPECT_EQ(api.LookAll(kEvents).size(), static_cast<std::size_t>(kBurstPerObject));
  EXPECT_THAT(registry.Expose(), testing::HasSubstr("sluice_events_dropped_total 75\n"));
}

TEST_F(RecorderTest, AnEventIsTriedAgainWhenTheServerWasAway) {
  std::atomic<bool> away{true};
  api.FailBefore([&](const auto&) -> std::optional<base::Status> {
    if (away) return base::Unavailable("away");
    return std::nullopt;
  });
  recorder->Record(kSite, Type::kNormal, "Applied", "x");
  Settle(1);
  EXPECT_TRUE(api.LookAll(kEvents).empty());
  away = false;
  clock.Advance(std::chrono::seconds(5));
  Settle(2);
  EXPECT_EQ(api.LookAll(kEvents).size(), 1u);
}

TEST_F(RecorderTest, StopWritesWhatWaits) {
  recorder->Stop();
  auto fresh = EventRecorder::New({"c", "i"}, api, clock, registry);
  fresh->Record(kSite, Type::kNormal, "A", "1");
  fresh->Record(kSite, Type::kNormal, "B", "2");
  fresh->Start();
  fresh->Stop();
  EXPECT_EQ(api.LookAll(kEvents).size(), 2u);
}

TEST_F(RecorderTest, ALongNoteIsCutAtACharactersEdge) {
  std::string note(kMaxNoteBytes - 1, 'a');
  note += "é";
  recorder->Record(kSite, Type::kNormal, "Long", note);
  Settle(1);
  EXPECT_EQ(api.LookAll(kEvents)[0]["note"], std::string(kMaxNoteBytes - 1, 'a'));
}

}  // namespace
}  // namespace sluice::recorder
