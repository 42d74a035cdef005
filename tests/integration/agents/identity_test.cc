// Who may read what: tokens, certificates, their ends and their rotation.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <thread>

#include "api/agent/v1/agent.grpc.pb.h"
#include "controller/base/file.h"
#include "datapath/control/channel.h"
#include "tests/integration/agents/rogue.h"
#include "tests/integration/agents/world.h"

namespace sluice::agents::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class IdentityTest : public ::testing::Test {
 protected:
  std::unique_ptr<Replica> StartPublished() {
    auto replica = world_.StartReplica();
    EXPECT_TRUE(replica->publisher.TakeOver("uid", "a").ok());
    EXPECT_TRUE(replica->publisher.Publish("phoenix", TestContent("r1")).ok());
    return replica;
  }
  const std::string& roots() const { return world_.authority.certificate_pem(); }
  base::WallTime now() const { return world_.clock.Wall(); }
  World world_;
  std::vector<agent::v1::ControllerMessage> received_;
};

TEST_F(IdentityTest, ACertificateSpeaksForItsOwnNodeOnly) {
  const auto replica = StartPublished();
  const Rogue rogue(world_.authority, kN1, now(), hours(1));
  const auto status = rogue.Connect(*replica, roots(), "n2", received_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("certificate is for node n1 of site phoenix"));
  EXPECT_TRUE(received_.empty());
  EXPECT_FALSE(replica->fleet.Node({"phoenix", "n2"}));
}

TEST_F(IdentityTest, EachNodeReadsItsOwnConfiguration) {
  const auto replica = StartPublished();
  const TestContent common("common");
  const TestContent own("own-of-n2");
  SiteContent content = common;
  content.per_node["n2"] = &own.config;
  ASSERT_TRUE(replica->publisher.Publish("phoenix", content).ok());
  const auto one = world_.StartAgent(*replica, "n1");
  const auto two = world_.StartAgent(*replica, "n2");
  EXPECT_TRUE(
      Eventually([&] { return one->region() == "common" && two->region() == "own-of-n2"; }));
}

TEST_F(IdentityTest, WithoutACertificateOfOurAuthorityNobodyIsLetIn) {
  const auto replica = StartPublished();
  const auto foreign =
      *CertificateAuthority::Load(*CertificateAuthority::Create("elsewhere", now(), hours(1)));
  const Rogue stranger(foreign, kN1, now(), hours(1));
  EXPECT_FALSE(stranger.Connect(*replica, roots(), "n1", received_).ok());
  Rogue bare = stranger;
  bare.key.clear();
  bare.certificate.clear();
  EXPECT_FALSE(bare.Connect(*replica, roots(), "n1", received_).ok());
  const Rogue late(world_.authority, kN1, now() - hours(2), hours(1));
  EXPECT_FALSE(late.Connect(*replica, roots(), "n1", received_).ok())
      << "its certificate has ended";
  EXPECT_TRUE(received_.empty());
  EXPECT_FALSE(replica->fleet.Node(kN1));
}

TEST_F(IdentityTest, AStreamEndsWhenItsCertificateDoes) {
  const auto replica = StartPublished();
  const Rogue brief(world_.authority, kN1, now(), seconds(2));
  const auto status = brief.Connect(*replica, roots(), "n1", received_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
  EXPECT_EQ(received_.size(), 2u) << "Welcome and the configuration";
}

TEST_F(IdentityTest, AStreamThatNeverSaysHelloIsEnded) {
  const auto replica = StartPublished();
  const Rogue silent(world_.authority, kN1, now(), hours(1));
  const auto stub = silent.Stub(*replica, roots());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(25));
  const auto stream = stub->Connect(&context);
  agent::v1::ControllerMessage message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_message(), "nothing was heard from the agent");
}

TEST_F(IdentityTest, TheEnrolmentPortServesNoStreams) {
  const auto replica = StartPublished();
  const Rogue rogue(world_.authority, kN1, now(), hours(1));
  const auto stub = agent::v1::AgentControl::NewStub(control::Dial(
      "ipv4:" + replica->enrolment(), "sluice-controller", roots(), rogue.key, rogue.certificate));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(10));
  agent::v1::RenewRequest request;
  agent::v1::Identity answer;
  EXPECT_EQ(stub->Renew(&context, request, &answer).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(IdentityTest, TokensOfOtherNodesAndBadTokensAreRefusedWithTheReason) {
  const auto replica = StartPublished();
  const auto start = [&](const std::string& token) {
    return world_.StartAgent({.node = "n1",
                              .token = token,
                              .endpoints = {replica->control()},
                              .enrolments = {replica->enrolment()}});
  };
  {
    const auto thief = start("stolen on n2");
    ASSERT_TRUE(Eventually([&] { return !thief->state().last_error.empty(); }));
    EXPECT_THAT(thief->state().last_error, HasSubstr("runs on node n2, not on n1"));
  }
  {
    const auto nobody = start("nonsense");
    ASSERT_TRUE(Eventually(
        [&] { return nobody->state().last_error.find("not valid") != std::string::npos; }));
    EXPECT_EQ(nobody->state().enrolments, 0);
  }
  EXPECT_GE(replica->server.stats().refused, 2);
  EXPECT_EQ(replica->server.stats().enrolled, 0);
  EXPECT_FALSE(replica->fleet.Node(kN1));
}

// A token that the API server vouches for, of a Site or a node that the controller does not know.
TEST_F(IdentityTest, NobodyEnrolsForASiteOrANodeThatIsNotThere) {
  const auto replica = StartPublished();
  world_.roster.Lose("n2");
  const auto stray = world_.StartAgent(*replica, "n2");
  ASSERT_TRUE(Eventually([&] { return !stray->state().last_error.empty(); }));
  EXPECT_THAT(stray->state().last_error, HasSubstr("no node n2"));
  world_.roster.Lose("phoenix");
  const auto orphan = world_.StartAgent(*replica, "n1");
  ASSERT_TRUE(Eventually([&] { return !orphan->state().last_error.empty(); }));
  EXPECT_THAT(orphan->state().last_error, HasSubstr("no site phoenix"));
  EXPECT_EQ(replica->server.stats().enrolled, 0);
  EXPECT_FALSE(replica->fleet.Node(kN1));
}

TEST_F(IdentityTest, NobodyEnrolsOrRenewsWhileItCannotBeToldWhoIsThere) {
  const auto replica = StartPublished();
  const Rogue known(world_.authority, kN1, now(), hours(1));
  world_.roster.SetReady(false);
  EXPECT_EQ(known.Renew(*replica, roots()).error_code(), grpc::StatusCode::UNAVAILABLE);
  const auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return !agent->state().last_error.empty(); }));
  EXPECT_EQ(agent->state().enrolments, 0);
  world_.roster.SetReady(true);
  EXPECT_TRUE(Eventually([&] { return agent->region() == "r1"; })) << "it tries again";
}

TEST_F(IdentityTest, ACertificateIsOfNoMoreUseOnceItsNodeIsGone) {
  world_.options.roster_interval = seconds(1);
  const auto replica = StartPublished();
  const auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  const Rogue thief(world_.authority, kN1, now(), hours(1));
  EXPECT_TRUE(thief.Renew(*replica, roots()).ok());
  world_.roster.Lose("n1");
  const auto renewed = thief.Renew(*replica, roots());
  EXPECT_EQ(renewed.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(renewed.error_message(), HasSubstr("no node n1"));
  const auto status = thief.Connect(*replica, roots(), "n1", received_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << status.error_message();
  EXPECT_TRUE(received_.empty());
  // The open stream ends, and what is published later does not reach it.
  ASSERT_TRUE(Eventually([&] {
    const auto node = replica->fleet.Node(kN1);
    return node && !node->connected;
  }));
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r2")).ok());
  ASSERT_TRUE(Eventually([&] { return !agent->state().last_error.empty(); }));
  EXPECT_EQ(agent->region(), "r1") << "it serves on with what it has";
}

TEST_F(IdentityTest, AgentsRenewNearHalfLifeWithoutEnrollingAgain) {
  world_.options.agent_certificate_life = seconds(6);  // some half of it to renew in
  const auto replica = StartPublished();
  const auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->state().renewals >= 3; }))
      << agent->state().last_error;
  EXPECT_EQ(agent->state().enrolments, 1);
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r2")).ok());
  EXPECT_TRUE(Eventually([&] { return agent->region() == "r2"; }));
  EXPECT_EQ(replica->reviewer.asked, 1);
}

// The trap: ten rotations at a life of a minute, here shortened, under load and without one failed
// request. Every request is a handshake of its own; every publication must reach the agent.
TEST_F(IdentityTest, TenRotationsUnderLoadFailNoRequest) {
  world_.options.server_certificate_life = milliseconds(1200);
  world_.options.agent_certificate_life = seconds(3);
  const auto replica = StartPublished();
  const auto agent = world_.StartAgent(*replica);
  const Rogue client(world_.authority, {"phoenix", "load"}, now(), hours(1));
  std::atomic<bool> done{false};
  std::atomic<int> good{0}, bad{0};
  std::mutex mutex;
  std::string first_error;
  std::vector<std::thread> load;
  for (int i = 0; i < 2; ++i) {
    load.emplace_back([&] {
      while (!done) {
        const auto status = client.Renew(*replica, roots());
        if (status.ok()) {
          ++good;
          continue;
        }
        ++bad;
        const std::lock_guard lock(mutex);
        if (first_error.empty()) first_error = status.error_message();
      }
    });
  }
  int published = 0;
  while (replica->server.stats().certificate_rotations < 10 && published < 10'000) {
    const std::string region = "r-" + std::to_string(++published);
    ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent(region)).ok());
    ASSERT_TRUE(Eventually([&] { return agent->region() == region; })) << agent->state().last_error;
  }
  done = true;
  for (auto& thread : load) thread.join();
  EXPECT_GE(replica->server.stats().certificate_rotations, 10);
  EXPECT_EQ(bad, 0) << "of " << good + bad << "; the first: " << first_error;
  EXPECT_GT(good, 20);
  EXPECT_EQ(replica->server.stats().nacks, 0);
  EXPECT_EQ(agent->state().enrolments, 1);
}

TEST_F(IdentityTest, TheAuthorityItselfRotatesWhileAgentsRun) {
  world_.options.agent_certificate_life = seconds(6);  // half of it to renew in
  const auto replica = StartPublished();
  const auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  const auto next =
      *CertificateAuthority::Load(*CertificateAuthority::Create("next", now(), hours(24)));
  // First both are trusted, the new one issues …
  const long before = agent->state().renewals;
  const std::string both = roots() + next.certificate_pem();
  ASSERT_TRUE(base::WriteFileAtomic(agent->directory + "/ca.pem", both).ok());
  ASSERT_TRUE(replica->server.SetAuthority(next, both).ok());
  ASSERT_TRUE(Eventually([&] { return agent->state().renewals >= before + 2; }))
      << agent->state().last_error;
  // … then the old one is dropped.
  ASSERT_TRUE(base::WriteFileAtomic(agent->directory + "/ca.pem", next.certificate_pem()).ok());
  ASSERT_TRUE(replica->server.SetAuthority(next, "").ok());
  const long since = agent->state().renewals;
  ASSERT_TRUE(Eventually([&] { return agent->state().renewals >= since + 2; }));
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r2")).ok());
  EXPECT_TRUE(Eventually([&] { return agent->region() == "r2"; }));
  EXPECT_EQ(agent->state().enrolments, 1);
}

TEST_F(IdentityTest, AControllerInstalledAnewIsJoinedByEnrollingAgain) {
  auto replica = StartPublished();
  const auto agent = world_.StartAgent(*replica);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  const auto control = replica->control();
  const auto enrolment = replica->enrolment();
  replica.reset();

  world_.authority =
      *CertificateAuthority::Load(*CertificateAuthority::Create("anew", now(), hours(24)));
  ASSERT_TRUE(base::WriteFileAtomic(agent->directory + "/ca.pem", roots()).ok());
  replica = world_.StartReplicaAt(control, enrolment);
  ASSERT_TRUE(replica->publisher.TakeOver("uid", "b").ok());
  ASSERT_TRUE(replica->publisher.Publish("phoenix", TestContent("r2")).ok());
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r2"; })) << agent->state().last_error;
  EXPECT_EQ(agent->state().enrolments, 2);
}

}  // namespace
}  // namespace sluice::agents::testing
