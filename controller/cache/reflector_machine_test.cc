#include "controller/cache/reflector_machine.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "controller/base/clock.h"
#include "controller/cache/limits.h"

namespace sluice::cache {
namespace {

using namespace std::chrono_literals;
using Action = ReflectorMachine::Action;

base::Status Gone() { return base::OutOfRange("too old").WithReason("Expired"); }
base::Status Refused() { return base::Unavailable("refused"); }

ReflectorMachine Watching(std::string_view version = "5") {
  ReflectorMachine machine(true);
  machine.OnInitialState(version);
  return machine;
}

TEST(ReflectorMachine, StreamsThenResumesFromTheLastVersion) {
  ReflectorMachine machine(true);
  EXPECT_EQ(machine.Next().action, Action::kStream);
  machine.OnVersion("3");
  machine.OnInitialState("4");
  machine.OnVersion("6");
  machine.OnEnded(base::OkStatus(), 60s, 0);
  EXPECT_EQ(machine.Next().action, Action::kWatch);
  EXPECT_EQ(machine.Next().version, "6");
  EXPECT_EQ(machine.Next().wait, 0ms);
}

TEST(ReflectorMachine, ACutStreamStartsAnewAndNotFromTheMiddle) {
  ReflectorMachine machine(true);
  machine.OnVersion("3");
  machine.OnEnded(Refused(), 1s, 0);
  EXPECT_EQ(machine.Next().action, Action::kStream);
  EXPECT_EQ(machine.Next().version, "");
}

TEST(ReflectorMachine, ListsWhereStreamsAreRefused) {
  for (const base::Status& refusal :
       {base::InvalidArgument("sendInitialEvents is forbidden"), base::Unimplemented("415")}) {
    ReflectorMachine machine(true);
    machine.OnEnded(refusal, 1s, 0);
    EXPECT_EQ(machine.Next().action, Action::kList);
    EXPECT_EQ(machine.Next().wait, 0ms);
    machine.OnInitialState("9");
    machine.OnEnded(base::OkStatus(), 10ms, 0);
    EXPECT_EQ(machine.Next().action, Action::kWatch);
    EXPECT_EQ(machine.Next().version, "9");
    machine.Forget();
    EXPECT_EQ(machine.Next().action, Action::kList) << "it would be refused again";
  }
}

TEST(ReflectorMachine, AStreamThatEndsBeforeItsMarkIsTriedOnceMoreAndAgainForTheNextState) {
  ReflectorMachine machine(true);
  for (int state = 0; state < 2; ++state) {
    for (int ended = 0; ended < kMaxUnmarkedStreams; ++ended) {
      EXPECT_EQ(machine.Next().action, Action::kStream) << state << ended;
      machine.OnEnded(Refused(), 1ms, 0);  // the server is away for a moment
      EXPECT_EQ(machine.Next().action, Action::kStream);
      machine.OnVersion("3");
      machine.OnEnded(base::OkStatus(), 1s, 0);
      EXPECT_GE(machine.Next().wait, kMinBackoff / 2) << "many ask when a server goes";
    }
    EXPECT_EQ(machine.Next().action, Action::kList);
    machine.OnInitialState("9");
    machine.OnEnded(base::OkStatus(), 10ms, 0);
    EXPECT_EQ(machine.Next().action, Action::kWatch);
    EXPECT_EQ(machine.Next().version, "9");
    machine.OnEnded(base::OkStatus(), 300s, 0);
    machine.Forget();
  }
  EXPECT_EQ(machine.Next().action, Action::kStream);
}

TEST(ReflectorMachine, AFailureThatSaysNothingOfTheVersionResumesFromIt) {
  for (const base::Status& failure :
       {Refused(), base::Internal("500"), base::DeadlineExceeded("504"),
        base::Unauthenticated("401"), base::InvalidArgument("400"), base::DataLoss("garbled")}) {
    ReflectorMachine machine = Watching("7");
    machine.OnEnded(failure, 1ms, 0.5);
    EXPECT_EQ(machine.Next().action, Action::kWatch) << failure.ToString();
    EXPECT_EQ(machine.Next().version, "7");
  }
}

TEST(ReflectorMachine, AForgottenOrUnreachableVersionStartsAnew) {
  for (const base::Status& failure :
       {Gone(), base::DeadlineExceeded("Too large resource version: 99, current: 5")}) {
    ReflectorMachine machine = Watching();
    machine.OnEnded(failure, 1ms, 0);
    EXPECT_EQ(machine.Next().action, Action::kStream) << failure.ToString();
  }
}

TEST(ReflectorMachine, AListForgottenBetweenPagesComesInOne) {
  ReflectorMachine machine(false);
  EXPECT_FALSE(machine.Next().whole);
  machine.OnEnded(Gone(), 1s, 0);
  EXPECT_TRUE(machine.Next().whole);
  machine.OnInitialState("1");
  machine.OnEnded(base::OkStatus(), 1s, 0);
  machine.OnEnded(Gone(), 1s, 0);
  EXPECT_FALSE(machine.Next().whole);
}

TEST(ReflectorMachine, AWholeListThatFailsIsAskedForInPagesAgain) {
  ReflectorMachine machine(false);
  machine.OnEnded(Gone(), 1s, 0);
  EXPECT_TRUE(machine.Next().whole);
  machine.OnEnded(base::DeadlineExceeded("too long"), 30s, 0);
  EXPECT_FALSE(machine.Next().whole);
}

TEST(ReflectorMachine, WhatCannotBeReadThreeTimesInARowIsReadAnew) {
  for (const base::Status& failure :
       {base::DataLoss("garbled"), base::Internal("500"), base::InvalidArgument("400")}) {
    ReflectorMachine machine = Watching();
    for (int i = 0; i < 2 * kMaxFailedResumes; ++i) {  // each time a little further
      machine.OnVersion(std::to_string(6 + i));
      machine.OnEnded(failure, 1s, 0);
      EXPECT_EQ(machine.Next().action, Action::kWatch) << failure.ToString();
    }
    for (int i = 1; i < kMaxFailedResumes; ++i) {
      EXPECT_EQ(machine.Next().action, Action::kWatch) << failure.ToString();
      machine.OnEnded(failure, 1s, 0);
    }
    EXPECT_EQ(machine.Next().action, Action::kStream) << failure.ToString();
  }
}

TEST(ReflectorMachine, AServerThatIsAwayIsResumedFromHoweverOften) {
  for (const base::Status& failure :
       {Refused(), base::ResourceExhausted("429"), base::Unauthenticated("401"),
        base::PermissionDenied("403"), base::DeadlineExceeded("504")}) {
    ReflectorMachine machine = Watching("7");
    for (int i = 0; i < 1000; ++i) machine.OnEnded(failure, 1ms, 0.5);
    EXPECT_EQ(machine.Next().action, Action::kWatch) << failure.ToString();
    EXPECT_EQ(machine.Next().version, "7");
  }
}

// haproxy before API servers, as kubeadm's guide has it, cuts what is quiet for 20 s; an API server
// tells something each minute.
TEST(ReflectorMachine, AQuietWatchThatABalancerCutsIsResumedAtOnceEachTime) {
  const base::Status cut = base::Unavailable("closed").WithReason("ConnectionCut");
  ReflectorMachine machine = Watching();
  for (int i = 0; i < 20; ++i) {
    machine.OnEnded(cut, 20s, 0.999);
    EXPECT_EQ(machine.Next().action, Action::kWatch);
    EXPECT_LE(machine.Next().wait, kMinBackoff);
  }
  // One that is cut at once, or before it began, is a server's that is not well.
  for (int i = 0; i < 20; ++i) machine.OnEnded(cut, 20ms, 0.999);
  EXPECT_GT(machine.Next().wait, kMaxBackoff * 9 / 10);
  machine = Watching();
  for (int i = 0; i < 20; ++i) machine.OnEnded(base::Unavailable("no route"), 5s, 0.999);
  EXPECT_GT(machine.Next().wait, kMaxBackoff * 9 / 10);
}

TEST(ReflectorMachine, WaitsGrowWithJitterToTheirBoundAndEndWithProgress) {
  ReflectorMachine machine = Watching();
  machine.OnEnded(base::OkStatus(), 60s, 0);
  std::chrono::milliseconds before{0};
  for (int i = 0; i < 20; ++i) {
    machine.OnEnded(Refused(), 1ms, 0.999);
    EXPECT_GE(machine.Next().wait, before);
    EXPECT_LE(machine.Next().wait, kMaxBackoff);
    before = machine.Next().wait;
  }
  EXPECT_GT(before, kMaxBackoff * 9 / 10);
  machine.OnEnded(Refused(), 1ms, 0);
  EXPECT_EQ(machine.Next().wait, kMaxBackoff / 2);
  machine.OnVersion("8");
  machine.OnEnded(Refused(), 1ms, 0.999);
  EXPECT_LE(machine.Next().wait, kMinBackoff);
}

TEST(ReflectorMachine, GoodListsDoNotEndTheBackoffOfWatchesThatAreAllForgotten) {
  for (const bool watch_list : {true, false}) {
    ReflectorMachine machine(watch_list);
    base::FakeClock clock;
    const auto started = clock.Mono();
    int states = 0;
    std::chrono::milliseconds last{0};
    while (clock.Mono() - started < 1h) {
      clock.Advance(machine.Next().wait);
      last = std::max(last, machine.Next().wait);
      const auto began = clock.Mono();
      base::Status status = Gone();
      if (machine.Next().action == Action::kWatch) {
        machine.OnVersion("9");  // a bookmark, and then the error
        clock.Advance(5ms);
      } else {
        ++states;
        clock.Advance(2s);
        machine.OnInitialState("8");
        if (!watch_list) status = base::OkStatus();
      }
      const auto lasted =
          std::chrono::duration_cast<std::chrono::milliseconds>(clock.Mono() - began);
      machine.OnEnded(status, lasted, 0.999);
    }
    EXPECT_LT(states, 3600 / 30 + 20) << watch_list;
    EXPECT_GT(last, kMaxBackoff * 9 / 10);

    // A watch that lasts ends it.
    machine.OnInitialState("10");
    machine.OnEnded(base::OkStatus(), 1ms, 0);
    ASSERT_EQ(machine.Next().action, Action::kWatch);
    machine.OnEnded(Gone(), 300s, 0.999);
    EXPECT_LE(machine.Next().wait, kMinBackoff);
  }
}

TEST(ReflectorMachine, TheServersWaitIsHonoured) {
  ReflectorMachine machine = Watching();
  machine.OnEnded(base::ResourceExhausted("429").WithRetryAfter(45s), 1ms, 0);
  EXPECT_EQ(machine.Next().wait, 45s);
}

TEST(ReflectorMachine, AWatchThatEndsAtOnceIsNotRepeatedAtOnce) {
  ReflectorMachine machine = Watching();
  machine.OnEnded(base::OkStatus(), 1s, 0);
  machine.OnEnded(base::OkStatus(), 2ms, 0);
  EXPECT_GT(machine.Next().wait, 0ms);
}

TEST(ReflectorMachine, ForgettingReadsAnewWithoutWaiting) {
  ReflectorMachine machine = Watching();
  machine.OnEnded(base::OkStatus(), 60s, 0);
  machine.Forget();
  EXPECT_EQ(machine.Next().action, Action::kStream);
  EXPECT_EQ(machine.Next().wait, 0ms);
}

}  // namespace
}  // namespace sluice::cache
