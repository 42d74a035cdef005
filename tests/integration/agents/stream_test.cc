// The ordinary life of agents: enrolment, configuration, ack and nack, drain, restarts of either
// end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/agents/world.h"

namespace sluice::agents::testing {
namespace {

using ::testing::HasSubstr;

const AgentIdentity kN1{"phoenix", "n1"};

class StreamTest : public ::testing::Test {
 protected:
  std::string AppliedAt(const Replica& replica, const AgentIdentity& who = kN1) {
    const auto node = replica.fleet.Node(who);
    return node ? node->applied_version : "";
  }
  World world_;
};

TEST_F(StreamTest, AnAgentEnrolsConnectsAppliesAndAcknowledges) {
  const auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  const auto published = replica->publisher.Publish("phoenix", TestContent("r1"));
  ASSERT_TRUE(published.ok());
  const auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; })) << agent->state().last_error;
  ASSERT_TRUE(Eventually([&] { return AppliedAt(*replica) == published->version; }));

  const auto node = *replica->fleet.Node(kN1);
  EXPECT_TRUE(node.connected);
  EXPECT_EQ(node.agent_version, "test");
  EXPECT_EQ(node.applied_order, published->order);
  EXPECT_TRUE(
      Eventually([&] { return replica->fleet.Node(kN1)->health == AgentHealth::kServing; }));
  const auto summary = replica->fleet.Summarise("phoenix", published->version, published->order);
  EXPECT_EQ(summary.connected, 1);
  EXPECT_EQ(summary.in_step, 1);
  EXPECT_EQ(summary.ahead, 0);
  EXPECT_EQ(replica->server.stats().enrolled, 1);
  EXPECT_EQ(agent->state().enrolments, 1);
}

TEST_F(StreamTest, AChangeReachesAConnectedAgentAndCredentialsRotateWithoutARestart) {
  const auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r1")).ok());
  std::mutex mutex;
  std::string secret;
  const auto agent = world_.StartAgent(*replica, "n1", [&](const control::ConfigPtr& config) {
    const std::lock_guard lock(mutex);
    secret = config->origins.at(0).credentials.secret_access_key;
    return base::OkStatus();
  });
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r2")).ok());
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r2"; }));
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r2", true, "rotated")).ok());
  EXPECT_TRUE(Eventually([&] {
    const std::lock_guard lock(mutex);
    return secret == "rotated";
  }));
  EXPECT_EQ(replica->server.stats().enrolled, 1);
}

TEST_F(StreamTest, ANackedConfigurationKeepsTheOldOneAndSaysWhy) {
  const auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  const auto good = replica->publisher.Publish("phoenix", TestContent("r1"));
  std::atomic<bool> port_taken{false};
  const auto agent = world_.StartAgent(*replica, "n1", [&](const control::ConfigPtr&) {
    return port_taken ? base::FailedPrecondition("port 9000 is taken") : base::OkStatus();
  });
  ASSERT_TRUE(Eventually([&] { return AppliedAt(*replica) == good->version; }));

  // Refused by the rules, and refused by the data plane.
  const auto bad = replica->publisher.Publish("phoenix", TestContent("r2", false));
  ASSERT_TRUE(Eventually([&] { return replica->fleet.Node(kN1)->nacked_version == bad->version; }));
  EXPECT_THAT(replica->fleet.Node(kN1)->nack_reason,
              HasSubstr("cache.memoryBytes: 1 is too small"));
  EXPECT_EQ(agent->region(), "r1");
  port_taken = true;
  const auto unlucky = replica->publisher.Publish("phoenix", TestContent("r3"));
  ASSERT_TRUE(
      Eventually([&] { return replica->fleet.Node(kN1)->nacked_version == unlucky->version; }));
  EXPECT_THAT(replica->fleet.Node(kN1)->nack_reason, HasSubstr("port 9000 is taken"));
  EXPECT_EQ(agent->region(), "r1");
  EXPECT_EQ(replica->fleet.Summarise("phoenix", unlucky->version, {}).nacked, 1);
  EXPECT_EQ(AppliedAt(*replica), good->version);

  port_taken = false;
  const auto cured = replica->publisher.Publish("phoenix", TestContent("r4"));
  ASSERT_TRUE(Eventually([&] { return AppliedAt(*replica) == cured->version; }));
  EXPECT_EQ(replica->fleet.Node(kN1)->nack_reason, "");
}

TEST_F(StreamTest, WhatWasRefusedForACauseThatPassesIsTakenWithoutAnotherPublication) {
  world_.options.offer_again = std::chrono::seconds(1);
  const auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  const auto published = replica->publisher.Publish("phoenix", TestContent("r1"));
  std::atomic<bool> port_taken{true};
  const auto agent = world_.StartAgent(*replica, "n1", [&](const control::ConfigPtr&) {
    return port_taken ? base::FailedPrecondition("port 9000 is taken") : base::OkStatus();
  });
  ASSERT_TRUE(Eventually([&] { return replica->server.stats().nacks >= 2; }))
      << "it judged it again";
  EXPECT_EQ(agent->region(), "");
  port_taken = false;
  ASSERT_TRUE(Eventually([&] { return AppliedAt(*replica) == published->version; }));
  EXPECT_EQ(agent->region(), "r1");
  EXPECT_EQ(replica->fleet.Summarise("phoenix", published->version, {}).nacked, 0);
  EXPECT_EQ(replica->server.stats().acks, 1);
  EXPECT_EQ(agent->state().enrolments, 1);
}

TEST_F(StreamTest, ALongOrGarbledReasonStillArrives) {
  const auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  std::mutex mutex;
  std::string reason;
  const auto agent = world_.StartAgent(*replica, "n1", [&](const control::ConfigPtr&) {
    const std::lock_guard lock(mutex);
    return base::FailedPrecondition(reason);
  });
  std::string euros;
  for (int i = 0; i < 700; ++i) euros += "\u20ac";
  // Wherever the bound falls in a character of three bytes.
  for (const std::string& text : {euros, "a" + euros, "aa" + euros, std::string("disk \xFF")}) {
    {
      const std::lock_guard lock(mutex);
      reason = text;
    }
    const auto refused =
        replica->publisher.Publish("phoenix", TestContent("r" + std::to_string(text.size())));
    ASSERT_TRUE(refused.ok());
    ASSERT_TRUE(Eventually([&] {
      const auto node = replica->fleet.Node(kN1);
      return node && node->nacked_version == refused->version;
    }));
    EXPECT_THAT(replica->fleet.Node(kN1)->nack_reason,
                HasSubstr(text.back() == '\xFF' ? "disk \uFFFD" : text.substr(0, 900)));
  }
  EXPECT_EQ(agent->state().enrolments, 1);
}

TEST_F(StreamTest, AnAgentGoesOnWithoutItsControllerAndIsInStepAfterTheRestart) {
  auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r1")).ok());
  const auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  const std::string control = replica->control();
  const std::string enrolment = replica->enrolment();
  replica.reset();
  ASSERT_TRUE(Eventually([&] { return agent->state().connected == 0; }));
  EXPECT_EQ(agent->region(), "r1");

  replica = world_.StartReplicaAt(control, enrolment);
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "b").ok());
  const auto next = replica->publisher.Publish("phoenix", TestContent("r2"));
  ASSERT_TRUE(Eventually([&] { return AppliedAt(*replica) == next->version; }))
      << agent->state().last_error;
  EXPECT_EQ(next->order, (Order{"uid", 2, 2}));
  EXPECT_EQ(agent->state().enrolments, 1) << "its certificate is still good";
}

TEST_F(StreamTest, ARestartedAgentServesTheLastGoodConfigurationBeforeAnyControllerAnswers) {
  auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r1")).ok());
  const Agent::Options options{.node = "n1",
                               .token = "",
                               .endpoints = {replica->control()},
                               .enrolments = {replica->enrolment()}};
  auto agent = world_.StartAgent(options);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  replica->server.Stop();
  agent.reset();
  agent = world_.StartAgent(options);
  EXPECT_EQ(agent->region(), "r1") << "delivered by Start() itself";
  EXPECT_EQ(agent->state().applied_order.revision, 1);
}

TEST_F(StreamTest, ARestartedAgentWhosePortWasInUseServesOnceItIsFreeWithoutAController) {
  auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r1")).ok());
  std::atomic<bool> port_taken{false};
  const auto start = [&, options = Agent::Options{.node = "n1",
                                                  .token = "",
                                                  .endpoints = {replica->control()},
                                                  .enrolments = {replica->enrolment()}}] {
    return world_.StartAgent(options, [&](const control::ConfigPtr&) {
      return port_taken ? base::FailedPrecondition("port 9000 is taken") : base::OkStatus();
    });
  };
  auto agent = start();
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  replica->server.Stop();
  agent.reset();
  port_taken = true;
  agent = start();
  EXPECT_EQ(agent->region(), "");
  port_taken = false;
  EXPECT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
}

TEST_F(StreamTest, ARestartedAgentInStepIsNotSentWhatItRuns) {
  const auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r1")).ok());
  auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  agent.reset();
  ASSERT_TRUE(Eventually([&] { return !replica->fleet.Node(kN1)->connected; }));
  agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->state().connected == 1; }));
  EXPECT_EQ(agent->state().enrolments, 0) << "its certificate lies on the tmpfs";
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r2")).ok());
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r2"; }));
  EXPECT_EQ(replica->server.stats().configurations, 2);
}

TEST_F(StreamTest, DrainReachesItsNodeOnly) {
  const auto replica = world_.StartReplica();
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r1")).ok());
  const auto one = world_.StartAgent(*replica, "n1");
  const auto two = world_.StartAgent(*replica, "n2");
  ASSERT_TRUE(Eventually([&] { return one->region() == "r1" && two->region() == "r1"; }));
  ASSERT_TRUE(replica->server.Drain(kN1, std::chrono::seconds(7)).ok());
  ASSERT_TRUE(Eventually([&] { return one->drained() == std::chrono::seconds(7); }));
  EXPECT_EQ(two->drained(), std::chrono::seconds(0));
  EXPECT_EQ(replica->server.Drain({"phoenix", "n9"}, {}).code(), base::Code::kNotFound);
}

TEST_F(StreamTest, OneStreamIsKeptToEveryReplicaAndEachKnowsTheFleet) {
  const auto leader = world_.StartReplica();
  const auto follower = world_.StartReplica();
  ASSERT_TRUE(leader->publisher.TakeOver("uid", "a").ok());
  const auto published = leader->publisher.Publish("phoenix", TestContent("r1"));
  ASSERT_TRUE(follower->publisher.Publish("phoenix", TestContent("r1")).ok());
  follower->publisher.Observe(world_.store.record());
  const auto agent = world_.StartAgent({.node = "n1",
                                        .token = "",
                                        .endpoints = {leader->control(), follower->control()},
                                        .enrolments = {follower->enrolment()}});
  ASSERT_TRUE(Eventually([&] {
    return AppliedAt(*leader) == published->version && AppliedAt(*follower) == published->version;
  }));
  EXPECT_EQ(agent->applied(), 1) << "the second offer is the same content";
  EXPECT_TRUE(Eventually([&] { return agent->state().connected == 2; }));
}

}  // namespace
}  // namespace sluice::agents::testing
