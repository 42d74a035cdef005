#include "controller/runtime/gather.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controller/base/metrics.h"
#include "controller/runtime/limits.h"
#include "controller/workqueue/workqueue.h"

namespace sluice::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The queue it is meant for, on a clock that stands still until it is moved.
class GatherTest : public testing::Test {
 protected:
  void Say(const meta::Key& key) { queue.AddAfter(key, gather.WaitFor(key)); }
  // Whether a look was due by now.
  bool Look() {
    const auto item = queue.TryGet();
    if (item) queue.Done(*item);
    return item.has_value();
  }
  base::FakeClock clock;
  base::metrics::Registry registry;
  workqueue::Workqueue queue{{.name = "site"}, clock, registry};
  Gather gather{milliseconds(500), clock};
  const meta::Key site{"", "phoenix"};
};

TEST_F(GatherTest, TheFirstWordAfterQuietIsLookedAtAtOnce) {
  Say(site);
  EXPECT_TRUE(Look());
  clock.Advance(milliseconds(500));
  Say(site);
  EXPECT_TRUE(Look());
}

TEST_F(GatherTest, WordsThatFollowALookAreLookedAtTogetherWhenTheIntervalIsOver) {
  Say(site);
  EXPECT_TRUE(Look());
  for (int i = 0; i < 1000; ++i) Say(site);
  EXPECT_FALSE(Look());
  clock.Advance(milliseconds(499));
  Say(site);
  EXPECT_FALSE(Look());
  clock.Advance(milliseconds(1));
  EXPECT_TRUE(Look());
  EXPECT_FALSE(Look());
}

TEST_F(GatherTest, AWordInTheInstantOfALookIsNotTakenForHeard) {
  Say(site);
  EXPECT_TRUE(Look());
  Say(site);
  clock.Advance(milliseconds(500));
  EXPECT_TRUE(Look());
  Say(site);
  EXPECT_FALSE(Look());
  clock.Advance(milliseconds(500));
  EXPECT_TRUE(Look());
}

TEST_F(GatherTest, UnderASteadyStreamOfWordsThereIsALookAnInterval) {
  int looks = 0;
  for (int i = 0; i < 10'000; ++i) {  // ten seconds
    Say(site);
    looks += Look() ? 1 : 0;
    clock.Advance(milliseconds(1));
  }
  EXPECT_EQ(looks, 20);
  clock.Advance(milliseconds(500));
  EXPECT_TRUE(Look()) << "the last word";
  clock.Advance(seconds(60));
  EXPECT_FALSE(Look());
}

TEST_F(GatherTest, WhatElseIsAskedOfTheQueueDoesNotWaitAndCoversTheWordsThatDo) {
  Say(site);
  EXPECT_TRUE(Look());
  Say(site);
  EXPECT_FALSE(Look());
  queue.Add(site);
  EXPECT_TRUE(Look());
  clock.Advance(seconds(1));
  EXPECT_FALSE(Look());
}

TEST_F(GatherTest, OneKeyWaitsForNoOther) {
  Say(site);
  Say({"", "tucson"});
  EXPECT_TRUE(Look());
  EXPECT_TRUE(Look());
}

TEST_F(GatherTest, HoldsABoundedNumberOfKeysAndLosesNoWordOfTheOthers) {
  for (std::size_t i = 0; i < kMaxGathered; ++i) {
    EXPECT_EQ(gather.WaitFor({"", std::to_string(i)}), base::Duration());
  }
  EXPECT_EQ(gather.WaitFor(site), milliseconds(500));
  clock.Advance(milliseconds(500));
  EXPECT_EQ(gather.WaitFor(site), base::Duration()) << "those that are quiet are forgotten";
}

}  // namespace
}  // namespace sluice::runtime
