#include "datapath/origin/health.h"

#include <gtest/gtest.h>

#include "datapath/origin/endpoint.h"

namespace sluice::origin {
namespace {

using std::chrono::milliseconds;
const base::MonoTime kStart{std::chrono::hours(1)};

TEST(Circuit, OpensAfterFailuresInARowAndFailsAtOnce) {
  Circuit circuit;
  for (int i = 0; i < kCircuitFailures - 1; ++i) circuit.Failed(circuit.Ask(kStart).epoch, kStart);
  circuit.Succeeded(circuit.Ask(kStart).epoch);
  for (int i = 0; i < kCircuitFailures; ++i) {
    EXPECT_TRUE(circuit.Ask(kStart).allowed);
    circuit.Failed(circuit.Ask(kStart).epoch, kStart);
  }
  EXPECT_FALSE(circuit.Ask(kStart).allowed);
  EXPECT_EQ(circuit.Ask(kStart).retry_after, kCircuitOpenMin);
}

Circuit& Open(Circuit& circuit) {
  for (int i = 0; i < kCircuitFailures; ++i) circuit.Failed(circuit.Ask(kStart).epoch, kStart);
  return circuit;
}

TEST(Circuit, LetsOneProbeThroughAndClosesOnItsSuccess) {
  Circuit circuit;
  const base::MonoTime later = kStart + kCircuitOpenMin;
  const Circuit::Pass probe = Open(circuit).Ask(later);
  EXPECT_TRUE(probe.allowed);
  EXPECT_FALSE(circuit.Ask(later).allowed);
  circuit.Succeeded(probe.epoch);
  EXPECT_EQ(circuit.state(), Circuit::State::kClosed);
  EXPECT_TRUE(circuit.Ask(later).allowed);
}

TEST(Circuit, WaitsTwiceAsLongAfterEachFailedProbeUpToABound) {
  Circuit circuit;
  Open(circuit);
  base::MonoTime now = kStart;
  base::Duration wait = kCircuitOpenMin;
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(circuit.Ask(now + wait - milliseconds(1)).allowed) << i;
    now += wait;
    const Circuit::Pass probe = circuit.Ask(now);
    EXPECT_TRUE(probe.allowed) << i;
    circuit.Failed(probe.epoch, now);
    wait = std::min<base::Duration>(2 * wait, kCircuitOpenMax);
  }
  EXPECT_EQ(wait, kCircuitOpenMax);
}

TEST(Circuit, ACancelledProbeMakesRoomAndLateFailuresDoNotCount) {
  Circuit circuit;
  const std::uint64_t early = circuit.Ask(kStart).epoch;
  Open(circuit);
  const base::MonoTime later = kStart + kCircuitOpenMin;
  circuit.Unknown(circuit.Ask(later).epoch);
  const Circuit::Pass second = circuit.Ask(later);
  EXPECT_TRUE(second.allowed);
  circuit.Failed(early, later);  // began before it opened
  EXPECT_EQ(circuit.state(), Circuit::State::kHalfOpen);
}

TEST(RetryBudget, IsSpentByRetriesAndEarnedByRequests) {
  RetryBudget budget;
  int spent = 0;
  while (budget.Spend()) ++spent;
  EXPECT_EQ(spent, static_cast<int>(kRetryBudgetMax));
  for (int i = 0; i < 11; ++i) budget.Earn();
  EXPECT_TRUE(budget.Spend());
  EXPECT_FALSE(budget.Spend());
  for (int i = 0; i < 1000; ++i) budget.Earn();
  EXPECT_EQ(budget.tokens(), kRetryBudgetMax);
}

TEST(Backoff, IsJitteredBoundedAndHonoursTheServer) {
  EXPECT_EQ(BackoffFor(0, 0, {}), base::Duration(0));
  for (std::uint64_t random = 1; random < 1u << 31; random *= 3) {
    EXPECT_LE(BackoffFor(1, random, {}), 2 * kBackoffBase);
    EXPECT_LE(BackoffFor(30, random, {}), kBackoffMax);
  }
  EXPECT_EQ(BackoffFor(0, 0, milliseconds(700)), milliseconds(700));
  EXPECT_EQ(BackoffFor(0, 0, std::chrono::hours(1)), kRetryAfterMax);
}

TEST(Endpoint, ParsesUrlsAndRefusesMore) {
  const Endpoint plain = *Endpoint::Parse("http://s3.local:9000");
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.authority, "s3.local:9000");
  const Endpoint tls = *Endpoint::Parse("https://[::1]/");
  EXPECT_EQ(tls.host, "::1");
  EXPECT_EQ(tls.port, 443);
  EXPECT_EQ(tls.authority, "[::1]");
  EXPECT_EQ(Endpoint::Parse("https://h:443")->authority, "h");
  for (const char* bad :
       {"", "h:1", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://h:x",
        "http://h/path", "http://u@h", "http://h?x", "http://[::1", "http://h:"})
    EXPECT_EQ(Endpoint::Parse(bad).status().code(), base::Code::kInvalidArgument) << bad;
}

}  // namespace
}  // namespace sluice::origin
