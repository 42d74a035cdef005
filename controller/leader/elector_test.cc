#include "controller/leader/elector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::leader {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing_kit::WaitUntil;

const meta::Key kLease{"sluice", "controller"};

TEST(Lease, ReadsAnythingWithoutComplaint) {
  for (const char* text :
       {"{}", "[]", "null", R"({"spec":null})", R"({"spec":{"holderIdentity":7}})",
        R"({"spec":{"leaseDurationSeconds":"x","leaseTransitions":-4}})"}) {
    const Record record = ReadRecord(json::parse(text));
    EXPECT_EQ(record.holder, "") << text;
    EXPECT_EQ(record.transitions, 0) << text;
    EXPECT_EQ(record.duration, milliseconds(0)) << text;
  }
}

TEST(Lease, AHoldShortenedByHandStillLastsOurOwnDuration) {
  Record record;
  record.holder = "other";
  record.duration = seconds(1);
  const Terms terms{"me", seconds(15)};
  const base::MonoTime seen{seconds(100)};
  EXPECT_EQ(Decide(record, seen, seen + seconds(14), terms).step, Step::kWait);
  EXPECT_EQ(Decide(record, seen, seen + seconds(15), terms).step, Step::kTake);
}

TEST(Lease, AReleasedLeaseIsFreeAtOnce) {
  const Terms other{"other", seconds(15)};
  const base::WallTime now{seconds(1'700'000'000)};
  json lease = WithHold(json::object(), kLease, other, now);
  const base::MonoTime seen{seconds(1)};
  const Terms me{"me", seconds(15)};
  EXPECT_EQ(Decide(ReadRecord(lease), seen, seen, me).step, Step::kWait);
  EXPECT_EQ(Decide(ReadRecord(Released(lease, now)), seen, seen, me).step, Step::kTake);
}

TEST(Lease, TakingOverKeepsForeignFieldsAndCountsTheTransition) {
  json lease = {
      {"metadata", {{"name", "controller"}, {"resourceVersion", "7"}, {"labels", {{"a", "b"}}}}},
      {"spec", {{"holderIdentity", "other"}, {"leaseTransitions", 3}, {"strategy", "x"}}}};
  const json taken = WithHold(lease, kLease, {"me", seconds(15)}, base::WallTime(seconds(1)));
  EXPECT_EQ(taken["metadata"]["labels"]["a"], "b");
  EXPECT_EQ(taken["spec"]["strategy"], "x");
  EXPECT_EQ(taken["spec"]["leaseTransitions"], 4);
  EXPECT_EQ(taken["spec"]["holderIdentity"], "me");
  EXPECT_EQ(taken["spec"]["leaseDurationSeconds"], 15);
  const json renewed = WithHold(taken, kLease, {"me", seconds(15)}, base::WallTime(seconds(3)));
  EXPECT_EQ(renewed["spec"]["acquireTime"], taken["spec"]["acquireTime"]);
  EXPECT_EQ(renewed["spec"]["leaseTransitions"], 4);
}

TEST(Lease, OptionsMustRise) {
  Options options{kLease, "me"};
  EXPECT_THAT(Validate(options), testing_kit::IsOk());
  EXPECT_EQ(std::tie(options.lease_duration, options.renew_deadline, options.retry_period),
            std::tuple(seconds(15), seconds(10), seconds(2)));
  options.renew_deadline = seconds(15);
  EXPECT_THAT(Validate(options), testing_kit::HasCode(base::Code::kInvalidArgument));
  options = {kLease, ""};
  EXPECT_THAT(Validate(options), testing_kit::HasCode(base::Code::kInvalidArgument));
}

// One candidate on the shared fake API and clock.
struct Candidate {
  Candidate(const std::string& identity, client::Client& client, base::Clock& clock)
      : elector({kLease, identity}, client, client, clock, registry,
                {[this] { ++acquired; }, [this](const base::Status&) { ++lost; },
                 [this] { ++overdue; }}) {}
  base::metrics::Registry registry;
  std::atomic<int> acquired{0}, lost{0}, overdue{0};
  Elector elector;
};

class ElectorTest : public testing::Test {
 protected:
  ElectorTest() : api(clock) {}
  // Moves time in small steps, letting the candidates' two threads each come to rest in between.
  void Pass(base::Duration time, int threads) {
    for (base::Duration gone{0}; gone < time; gone += milliseconds(250)) {
      ASSERT_TRUE(WaitUntil([&] { return clock.waiters() >= threads; }));
      clock.Advance(milliseconds(250));
    }
    ASSERT_TRUE(WaitUntil([&] { return clock.waiters() >= threads; }));
  }
  std::string Holder() {
    const json lease = api.Look(LeaseResource(), kLease);
    return lease.is_null() ? "" : lease["spec"]["holderIdentity"].get<std::string>();
  }
  // As an API server that swallows a call: it ends when its time limit has passed.
  base::Status Swallow(base::Duration limit) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    clock.WaitUntil(lock, never, clock.Mono() + limit, [] { return false; });
    return base::DeadlineExceeded("no answer came");
  }
  base::FakeClock clock;
  testing_kit::FakeApi api;
};

TEST_F(ElectorTest, TheFirstTakesTheLeaseAndTheSecondWaits) {
  Candidate a("a", api, clock), b("b", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  b.elector.Start();
  Pass(seconds(60), 4);
  EXPECT_TRUE(a.elector.leading());
  EXPECT_FALSE(b.elector.leading());
  EXPECT_EQ(b.elector.holder(), "a");
  EXPECT_EQ(a.acquired, 1);
  EXPECT_EQ(a.lost, 0);
  b.elector.Stop();
  EXPECT_EQ(Holder(), "a") << "a standby that stops gives nothing back";
}

TEST_F(ElectorTest, StoppingTheLeaderHandsTheLeadOverAtOnce) {
  Candidate a("a", api, clock), b("b", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  b.elector.Start();
  Pass(seconds(4), 4);
  a.elector.Stop();
  EXPECT_FALSE(a.elector.leading());
  EXPECT_EQ(Holder(), "");
  Pass(seconds(3), 2);
  EXPECT_TRUE(b.elector.leading());
}

TEST_F(ElectorTest, ALeaderCutOffStopsLeadingBeforeAnotherLeads) {
  Candidate a("a", api, clock), b("b", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  b.elector.Start();
  Pass(seconds(2), 4);
  // From now on only b reaches the API server.
  api.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.IsWrite() && a.lost == 0 && Holder() == "a" && !b.elector.leading() &&
        a.elector.leading()) {
      return base::Unavailable("cut off");
    }
    return std::nullopt;
  });
  bool both = false;
  const auto rest = [&] {
    return WaitUntil([&] { return clock.waiters() >= (a.lost == 0 ? 4 : 2); });
  };
  for (int i = 0; i < 100 && !b.elector.leading(); ++i) {
    ASSERT_TRUE(rest());
    clock.Advance(milliseconds(250));
    ASSERT_TRUE(rest());
    both = both || (a.elector.leading() && b.elector.leading());
    if (a.lost == 1) a.elector.Stop();
  }
  // b's thread may lag behind the steps above: time goes on until it has seen enough of it.
  EXPECT_TRUE(WaitUntil([&] {
    if (a.lost == 1) a.elector.Stop();
    clock.Advance(milliseconds(250));
    return b.elector.leading();
  }));
  EXPECT_FALSE(both || a.elector.leading());
  EXPECT_EQ(a.lost, 1);
  EXPECT_EQ(a.overdue, 0) << "its work had stopped in time";
}

TEST_F(ElectorTest, WorkThatDoesNotStopInTimeEndsTheProcessBeforeTheLeaseIsFree) {
  Candidate a("a", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  api.FailBefore([](const auto&) { return base::Unavailable("cut off"); });
  ASSERT_TRUE(WaitUntil([&] { return clock.waiters() >= 2; }));
  clock.Advance(seconds(10));
  ASSERT_TRUE(WaitUntil([&] { return a.lost == 1; }));
  EXPECT_EQ(a.overdue, 0);
  EXPECT_FALSE(a.elector.leading());
  ASSERT_TRUE(WaitUntil([&] { return clock.waiters() >= 1; }));
  clock.Advance(milliseconds(4000));
  EXPECT_TRUE(WaitUntil([&] { return a.overdue == 1; })) << "14 s of 15 have passed";
}

TEST_F(ElectorTest, AProcessFrozenPastItsLeaseDoesNotLeadForAMoment) {
  Candidate a("a", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  api.FailBefore([](const auto&) { return base::Unavailable("the network was gone too"); });
  clock.Advance(seconds(30));  // as SIGSTOP and SIGCONT: time has passed in one jump
  EXPECT_FALSE(a.elector.leading());
  EXPECT_TRUE(WaitUntil([&] { return a.lost == 1; }));
}

TEST_F(ElectorTest, ARenewalThatHangsLeavesTimeForTwoMoreAttempts) {
  std::atomic<int> failed{0};
  Candidate a("a", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  api.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (failed == 0 && call.IsWrite()) {
      ++failed;
      return Swallow(RequestTimeout(Options().renew_deadline, Options().retry_period));
    }
    if (failed == 1) {
      ++failed;
      return base::Unavailable("busy");
    }
    return std::nullopt;
  });
  Pass(seconds(20), 2);
  EXPECT_EQ(failed, 2);
  EXPECT_TRUE(a.elector.leading());
  EXPECT_EQ(a.lost, 0);
}

TEST(RequestTimeout, LeavesTimeForTwoCallsWhateverTheTerms) {
  for (const auto& [renew, retry] :
       {std::pair(10000, 2000), {8000, 4000}, {1500, 500}, {300, 299}}) {
    const milliseconds call = RequestTimeout(milliseconds(renew), milliseconds(retry));
    EXPECT_LE(milliseconds(retry) + 2 * call, milliseconds(renew));
    EXPECT_GE(milliseconds(retry) + 3 * call + milliseconds(3), milliseconds(renew)) << "no less";
  }
}

TEST_F(ElectorTest, ARenewalThatNeverEndsLosesTheLeadAndEndsTheProcessBeforeTheLeaseIsFree) {
  Candidate a("a", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  std::atomic<bool> stuck{false};
  api.FailBefore([&](const testing_kit::Call&) -> std::optional<base::Status> {
    stuck = true;
    return Swallow(std::chrono::hours(1));
  });
  Pass(milliseconds(9750), 2);
  EXPECT_TRUE(stuck);
  EXPECT_TRUE(a.elector.leading());
  EXPECT_EQ(a.lost, 0);
  Pass(milliseconds(250), 2);
  EXPECT_FALSE(a.elector.leading());
  EXPECT_TRUE(WaitUntil([&] { return a.lost == 1; }));
  Pass(milliseconds(3750), 2);
  EXPECT_EQ(a.overdue, 0);
  clock.Advance(milliseconds(250));
  EXPECT_TRUE(WaitUntil([&] { return a.overdue == 1; })) << "14 s of 15 have passed";
  clock.Advance(std::chrono::hours(1));  // lets the call go
}

TEST_F(ElectorTest, ALeaseDeletedByHandIsMadeAgainByItsHolder) {
  Candidate a("a", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  ASSERT_THAT(api.Delete(LeaseResource(), kLease), testing_kit::IsOk());
  Pass(seconds(4), 2);
  EXPECT_EQ(Holder(), "a");
  EXPECT_TRUE(a.elector.leading());
  EXPECT_EQ(a.lost, 0);
}

TEST_F(ElectorTest, AStandbyDoesNotTakeADeletedLeaseWhileItsHolderMayStillLead) {
  Candidate a("a", api, clock), b("b", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  Pass(seconds(1), 2);
  b.elector.Start();
  Pass(seconds(3), 4);  // a has just renewed; b is the next to look
  ASSERT_THAT(api.Delete(LeaseResource(), kLease), testing_kit::IsOk());
  for (int i = 0; i < 16; ++i) {
    Pass(milliseconds(250), 4);
    ASSERT_FALSE(a.elector.leading() && b.elector.leading());
  }
  EXPECT_TRUE(a.elector.leading());
  EXPECT_EQ(Holder(), "a");
}

TEST_F(ElectorTest, ALeaseTakenByAnotherEndsTheLead) {
  Candidate a("a", api, clock);
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return a.elector.leading(); }));
  json lease = api.Look(LeaseResource(), kLease);
  lease["spec"]["holderIdentity"] = "thief";
  api.Put(LeaseResource(), lease);
  // Fake time goes on until it has looked, and stays short of the renew deadline, which would end
  // the lead for another reason.
  for (int i = 0; i < 36 && !WaitUntil([&] { return a.lost == 1; }, milliseconds(100)); ++i) {
    Pass(milliseconds(250), 1);
  }
  EXPECT_TRUE(WaitUntil([&] { return a.lost == 1; }));
  EXPECT_EQ(Holder(), "thief");
}

TEST_F(ElectorTest, AWriteWhoseAnswerWasLostStillCountsAsOurs) {
  std::atomic<int> lose{1};  // outlives the candidate, whose last write asks for it
  Candidate a("a", api, clock);
  api.FailAfter([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.IsWrite() && lose-- > 0) return base::DeadlineExceeded("no answer");
    return std::nullopt;
  });
  a.elector.Start();
  ASSERT_TRUE(WaitUntil([&] { return clock.waiters() >= 2; }));
  EXPECT_FALSE(a.elector.leading());
  Pass(seconds(3), 2);
  EXPECT_TRUE(a.elector.leading());
  EXPECT_EQ(api.Look(LeaseResource(), kLease)["spec"]["leaseTransitions"], 0);
}

}  // namespace
}  // namespace sluice::leader
