// Who may command: deposed leaders, lagging followers, foreign clusters, restores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/agents/world.h"

namespace sluice::agents::testing {
namespace {

using ::testing::HasSubstr;

class FencingTest : public ::testing::Test {
 protected:
  // An agent that knows both replicas by address, in whatever order they come up.
  std::unique_ptr<Agent> StartAgentOf(const Replica& one, const Replica& two) {
    return world_.StartAgent({.node = "n1",
                              .token = "",
                              .endpoints = {one.control(), two.control()},
                              .enrolments = {one.enrolment()}});
  }
  World world_;
};

// The trap "epoch taken from leaseTransitions": somebody deletes the Lease, so two processes
// believe they lead. Only the record counts.
TEST_F(FencingTest, AfterTheLeaseIsDeletedTheOldLeaderIsRefusedAndTheNewOneTaken) {
  const auto old_leader = world_.StartReplica();
  const auto new_leader = world_.StartReplica();
  ASSERT_TRUE(old_leader->publisher.TakeOver("uid", "old").ok());
  ASSERT_TRUE(old_leader->publisher.Publish("phoenix", TestContent("r1")).ok());
  const auto agent = StartAgentOf(*old_leader, *new_leader);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));

  // The Lease is gone: the other replica wins an election that starts counting anew.
  ASSERT_EQ(*new_leader->publisher.TakeOver("uid", "new"), 2);
  ASSERT_TRUE(new_leader->publisher.Publish("phoenix", TestContent("r2")).ok());
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r2"; }));

  // The old leader still believes, and its stream to the agent is open; it gets nothing through.
  EXPECT_TRUE(old_leader->publisher.leading());
  const auto refused = old_leader->publisher.Publish("phoenix", TestContent("r3"));
  EXPECT_EQ(refused.status().reason(), "Fenced");
  EXPECT_FALSE(old_leader->publisher.leading());
  const auto next = new_leader->publisher.Publish("phoenix", TestContent("r4"));
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r4"; }));
  EXPECT_EQ(agent->applied(), 3) << "r1, r2 and r4, never r3";
  EXPECT_EQ(agent->state().applied_order.revision, next->order.revision);
  EXPECT_EQ(agent->state().seen_order.epoch, 2);
}

TEST_F(FencingTest, ALaggingFollowerRollsNothingBack) {
  const auto leader = world_.StartReplica();
  const auto follower = world_.StartReplica();
  ASSERT_TRUE(leader->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(leader->publisher.Publish("phoenix", TestContent("r1")).ok());
  const EpochRecord past = world_.store.record();
  const auto newer = leader->publisher.Publish("phoenix", TestContent("r2"));
  ASSERT_TRUE(newer.ok());
  auto agent = world_.StartAgent(*leader);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r2"; }));

  // A follower whose caches stand still in the past, both of them.
  follower->publisher.Observe(past);
  ASSERT_TRUE(follower->publisher.Publish("phoenix", TestContent("r1"))->published);
  agent.reset();
  agent = world_.StartAgent(*follower);
  ASSERT_TRUE(Eventually([&] { return follower->server.stats().nacks == 1; }));
  EXPECT_EQ(agent->region(), "r2");
  EXPECT_THAT(follower->fleet.Node(kN1)->nack_reason, HasSubstr("StaleOrder"));
  EXPECT_EQ(follower->fleet.Node(kN1)->applied_version, newer->version);
  EXPECT_EQ(follower->fleet.Summarise("phoenix", "", {"uid", 1, 1}).ahead, 1);

  const auto newest = leader->publisher.Publish("phoenix", TestContent("r3"));
  follower->publisher.Observe(world_.store.record());
  ASSERT_TRUE(follower->publisher.Publish("phoenix", TestContent("r3")).ok());
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r3"; })) << "it has caught up";
  EXPECT_EQ(agent->state().applied_order.revision, newest->order.revision);
}

TEST_F(FencingTest, ADrainUnderAnEarlierEpochIsIgnored) {
  const auto leader = world_.StartReplica();
  const auto past = world_.StartReplica();
  ASSERT_TRUE(past->publisher.TakeOver("uid", "past").ok());
  ASSERT_TRUE(leader->publisher.TakeOver("uid", "now").ok());
  ASSERT_TRUE(leader->publisher.Publish("phoenix", TestContent("r1")).ok());
  const auto agent = StartAgentOf(*leader, *past);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1" && agent->state().connected == 2; }));
  ASSERT_TRUE(Eventually([&] { return past->fleet.Node(kN1).has_value(); }));
  ASSERT_TRUE(past->server.Drain(kN1, std::chrono::seconds(5)).ok());
  // A stream is read in order: what it acknowledges next shows that the drain was read.
  const auto next = leader->publisher.Publish("phoenix", TestContent("r2"));
  past->publisher.Observe(world_.store.record());
  EXPECT_FALSE(past->publisher.leading()) << "what it saw fences it off";
  ASSERT_TRUE(past->publisher.Publish("phoenix", TestContent("r2")).ok()) << "and it derives on";
  ASSERT_TRUE(Eventually([&] { return past->fleet.Node(kN1)->applied_version == next->version; }));
  EXPECT_EQ(agent->drained(), std::chrono::seconds(0));
  ASSERT_TRUE(leader->server.Drain(kN1, std::chrono::seconds(9)).ok());
  EXPECT_TRUE(Eventually([&] { return agent->drained() == std::chrono::seconds(9); }));
}

TEST_F(FencingTest, AForeignClusterIsRefusedUntilItsLineageSupersedesOurs) {
  const auto ours = world_.StartReplica();
  ASSERT_TRUE(ours->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(ours->publisher.Publish("phoenix", TestContent("r1")).ok());
  auto agent = world_.StartAgent(*ours);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  agent.reset();

  // The same CA, but another cluster's record: restored by hand and not by the recorded command.
  MemoryEpochStore other_store;
  Replica other(other_store, world_.authority, world_.roster, world_.clock, world_.options);
  ASSERT_TRUE(other.publisher.TakeOver("other-uid", "x").ok());
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(other.publisher.Publish("phoenix", TestContent("x" + std::to_string(i))).ok());
  }
  agent = world_.StartAgent(other);
  ASSERT_TRUE(Eventually([&] { return other.server.stats().nacks == 1; }));
  EXPECT_THAT(other.fleet.Node(kN1)->nack_reason, HasSubstr("ForeignLineage"));
  EXPECT_EQ(agent->region(), "r1");
  agent.reset();

  // The recorded command names what it supersedes; a lower epoch and revision are then no matter.
  MemoryEpochStore restored_store;
  const auto restored = StartLineage(*Publish(TakeOver(std::nullopt, "uid", "x"), 1, "other", "d"),
                                     "uid-restored", "ana");
  ASSERT_TRUE(restored_store.Write(*restored, "").ok());
  Replica after(restored_store, world_.authority, world_.roster, world_.clock, world_.options);
  ASSERT_TRUE(after.publisher.TakeOver("uid", "y").ok());
  ASSERT_TRUE(after.publisher.Publish("phoenix", TestContent("r0")).ok());
  agent = world_.StartAgent(after);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r0"; })) << agent->state().last_nack;
  EXPECT_EQ(agent->state().applied_order.lineage, "uid-restored");
}

}  // namespace
}  // namespace sluice::agents::testing
