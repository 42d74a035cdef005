// One stream without a connection: what of it is told, and when it is looked at.
#include "reconcilers/agents/agent_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "reconcilers/agents/limits.h"
#include "reconcilers/agents/testing.h"

namespace sluice::agents {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class NotedCall final : public rpc::Call {
 public:
  explicit NotedCall(base::WallTime certificate_not_after)
      : peer_{{IdentityUri({"phoenix", "n1"})}, certificate_not_after} {}
  const rpc::Peer& peer() const override { return peer_; }
  void Send(std::shared_ptr<const std::string> bytes) override { sent.push_back(*bytes); }
  void Finish(base::Status status) override { end.push_back(std::move(status)); }

  std::vector<std::string> sent;
  std::vector<base::Status> end;

 private:
  const rpc::Peer peer_;
};

class AgentStreamTest : public ::testing::Test {
 protected:
  AgentStreamTest() {
    fleet_.OnChange([this](const std::string&) { ++told_; });
  }
  ~AgentStreamTest() override {
    if (stream_) stream_->OnEnd();
  }
  void Accept(base::Duration certificate_life = hours(24)) {
    call_ = std::make_shared<NotedCall>(clock_.Wall() + certificate_life);
    stream_ = std::static_pointer_cast<AgentStream>(AgentStream::Accept(context_, call_));
  }
  void Say(const agent::v1::AgentMessage& message) {
    stream_->OnMessage(message.SerializeAsString());
  }
  void SayHello() {
    agent::v1::AgentMessage message;
    message.mutable_hello()->set_site("phoenix");
    message.mutable_hello()->set_node("n1");
    Say(message);
  }
  void SayHealth(const std::string& problem = "", const std::string& certificate_problem = "") {
    agent::v1::AgentMessage message;
    auto& health = *message.mutable_health();
    health.set_state(problem.empty() ? agent::v1::Health::SERVING : agent::v1::Health::DEGRADED);
    if (!problem.empty()) health.add_problems(problem);
    health.set_certificates(certificate_problem.empty() ? agent::v1::Health::CERTIFICATES_SHOWN
                                                        : agent::v1::Health::CERTIFICATES_ENDED);
    health.set_certificate_problem(certificate_problem);
    Say(message);
  }
  // What the site of the stream shall run; as the leader does.
  void Publish(const std::string& region) {
    if (!publisher_.leading()) {
      ASSERT_TRUE(publisher_.TakeOver("uid", "a").ok());
    }
    agent::v1::AgentConfig config;
    config.set_s3_region(region);
    const agent::v1::Credentials none;
    ASSERT_TRUE(publisher_.Publish("phoenix", {&config, &none, {}}).ok());
    if (stream_) Deliver();
  }
  // Sends what is to be sent; the agent hears it.
  void Deliver() {
    stream_->Pump();
    for (std::size_t before = 0; before != call_->sent.size();) {
      before = call_->sent.size();
      stream_->OnSent();
    }
  }
  // Of all that were sent.
  std::vector<agent::v1::Configuration> Configurations() const {
    std::vector<agent::v1::Configuration> out;
    for (const auto& bytes : call_->sent) {
      agent::v1::ControllerMessage message;
      EXPECT_TRUE(message.ParseFromString(bytes));
      if (message.has_configuration()) out.push_back(message.configuration());
    }
    return out;
  }
  void Take(const agent::v1::Configuration& configuration) {
    agent::v1::AgentMessage message;
    message.mutable_ack()->set_version(configuration.version());
    *message.mutable_ack()->mutable_order() = configuration.order();
    Say(message);
  }
  void Refuse(const agent::v1::Configuration& configuration, const std::string& reason = "in use") {
    agent::v1::AgentMessage message;
    message.mutable_nack()->set_version(configuration.version());
    *message.mutable_nack()->mutable_order() = configuration.order();
    message.mutable_nack()->set_reason(reason);
    Say(message);
  }
  // As an agent that lives on: how many configurations came meanwhile.
  std::size_t OffersIn(base::Duration time) {
    const std::size_t before = Configurations().size();
    for (base::Duration passed{}; passed < time; passed += minutes(1)) {
      Pass(minutes(1));
      Deliver();
      SayHealth();
    }
    return Configurations().size() - before;
  }
  // As the server's housekeeping does, once a second. How often the stream was looked at.
  std::size_t Pass(base::Duration time) {
    std::size_t looks = 0;
    for (base::Duration passed{}; passed < time; passed += seconds(1)) {
      clock_.Advance(seconds(1));
      looks += context_.rounds.Go(clock_.Wall(), clock_.Mono());
    }
    return looks;
  }
  std::string End() const {
    return call_->end.empty() ? "" : std::string(call_->end.front().message());
  }

  base::FakeClock clock_;
  testing::MemoryEpochStore store_;
  ConfigPublisher publisher_{store_, "key"};
  FleetView fleet_;
  ServerOptions options_;
  int told_ = 0, asked_ = 0;
  base::Status on_roster_;
  StreamContext context_{.options = options_,
                         .publisher = publisher_,
                         .fleet = fleet_,
                         .roster =
                             [this](const AgentIdentity&) {
                               ++asked_;
                               return on_roster_;
                             },
                         .clock = clock_};
  std::shared_ptr<NotedCall> call_;
  std::shared_ptr<AgentStream> stream_;
};

TEST_F(AgentStreamTest, ListenersHearOfWhatASummaryTellsAndNotOfHealthThatIsAsItWas) {
  Accept();
  SayHello();
  EXPECT_EQ(told_, 1);
  SayHealth();
  EXPECT_EQ(told_, 2) << "it shows a certificate";
  SayHealth();
  EXPECT_EQ(told_, 2);
  SayHealth("disk d1 is slow");
  EXPECT_EQ(told_, 3);
  SayHealth("disk d1 is slow");
  EXPECT_EQ(told_, 3);
  SayHealth("disk d1 is gone");
  EXPECT_EQ(told_, 4);
  EXPECT_EQ(fleet_.Node({"phoenix", "n1"})->health, AgentHealth::kDegraded);
  EXPECT_EQ(fleet_.Summarise("phoenix", "", {}).example_problem, "node n1: disk d1 is gone");
  SayHealth();
  EXPECT_EQ(told_, 5);
  SayHealth("", "ended yesterday");
  EXPECT_EQ(told_, 6);
  SayHealth("", "ended the day before");
  EXPECT_EQ(told_, 7);
}

TEST_F(AgentStreamTest, AStreamEndsWithinASecondOfItsCertificate) {
  Accept(minutes(30));
  SayHello();
  for (int i = 0; i < 29; ++i) {
    Pass(minutes(1));
    SayHealth();
  }
  Pass(seconds(59));
  EXPECT_EQ(End(), "");
  Pass(seconds(1));
  EXPECT_EQ(End(), "the certificate has ended; renew it");
}

TEST_F(AgentStreamTest, ASetClockEndsWhatItSaysHasEnded) {
  Accept(hours(24));
  SayHello();
  Pass(seconds(10));
  clock_.StepWall(hours(23));
  Pass(seconds(1));
  EXPECT_EQ(End(), "");
  clock_.StepWall(hours(1));
  Pass(seconds(1));
  EXPECT_EQ(End(), "the certificate has ended; renew it");
}

TEST_F(AgentStreamTest, AStreamThatFallsSilentEnds) {
  Accept();
  Pass(kHelloDeadline - seconds(1));
  SayHello();
  const auto patience = kMissedHealthBeforeClose * options_.health_interval;
  Pass(patience - seconds(1));
  SayHealth();
  Pass(patience - seconds(1));
  EXPECT_EQ(End(), "");
  Pass(seconds(1));
  EXPECT_EQ(End(), "nothing was heard from the agent");
}

TEST_F(AgentStreamTest, AStreamWithoutHelloEnds) {
  Accept();
  Pass(kHelloDeadline);
  EXPECT_EQ(End(), "nothing was heard from the agent");
}

TEST_F(AgentStreamTest, TheRosterIsAskedAtHelloAndAnIntervalAfterTheLastTime) {
  Accept();
  SayHello();
  EXPECT_EQ(asked_, 1);
  const auto live = [this](base::Duration time) {
    for (base::Duration passed{}; passed < time; passed += minutes(1)) {
      Pass(minutes(1));
      SayHealth();
    }
  };
  live(options_.roster_interval * 3);
  EXPECT_EQ(asked_, 4);
  on_roster_ = base::Unavailable("not known yet");
  live(options_.roster_interval);
  EXPECT_EQ(asked_, 5);
  EXPECT_EQ(End(), "") << "nobody could tell";
  on_roster_ = base::NotFound("no such node");
  live(options_.roster_interval);
  EXPECT_EQ(End(), "no such node");
}

TEST_F(AgentStreamTest, ShortIntervalsCountFromHelloOn) {
  options_.roster_interval = seconds(2);
  Accept();
  Pass(seconds(5));
  SayHello();
  EXPECT_EQ(asked_, 1);
  Pass(seconds(2));
  EXPECT_EQ(asked_, 2);
}

// What 15,000 streams cost at rest hangs on it.
TEST_F(AgentStreamTest, AStreamThatOnlyRestsIsLookedAtAFewTimesAnHour) {
  Accept();
  SayHello();
  std::size_t looks = 0;
  for (int i = 0; i < 60; ++i) {
    SayHealth();
    looks += Pass(minutes(1));
  }
  EXPECT_LE(looks, 45u);
  EXPECT_GE(looks, 12u) << "for the roster";
}

TEST_F(AgentStreamTest, WhatWasRefusedIsOfferedAgainUntilItIsTaken) {
  Publish("r1");
  Accept();
  SayHello();
  Deliver();
  ASSERT_EQ(Configurations().size(), 1u);
  EXPECT_EQ(OffersIn(hours(1)), 0u) << "unanswered";
  Refuse(Configurations().back());
  ASSERT_EQ(OffersIn(minutes(2)), 1u);
  EXPECT_EQ(Configurations().back().SerializeAsString(),
            Configurations().front().SerializeAsString())
      << "the very same, under the same order";
  EXPECT_EQ(OffersIn(hours(1)), 0u) << "unanswered once more";
  Take(Configurations().back());
  EXPECT_EQ(OffersIn(hours(12)), 0u);
}

TEST_F(AgentStreamTest, RefusedAgainAndAgainItIsOfferedEverMoreSeldom) {
  Publish("r1");
  Accept();
  SayHello();
  Deliver();
  std::vector<seconds> waits;
  while (waits.size() < 8) {
    Refuse(Configurations().back());
    const std::size_t before = Configurations().size();
    seconds waited{0};
    for (; Configurations().size() == before && waited < hours(1); waited += seconds(1)) {
      Pass(seconds(1));
      Deliver();
      SayHealth();
    }
    waits.push_back(waited);
  }
  for (const minutes bound : {minutes(1), minutes(2), minutes(4), minutes(8), minutes(12)}) {
    EXPECT_GE(waits.front(), bound / 2.0);
    EXPECT_LE(waits.front(), bound + seconds(1));
    waits.erase(waits.begin());
  }
  EXPECT_LE(waits.back(), kOfferAgainMost + seconds(1)) << "and never more seldom than that";
  Publish("r2");
  Refuse(Configurations().back());
  EXPECT_EQ(OffersIn(minutes(2)), 1u) << "of another configuration it counts anew";
}

TEST_F(AgentStreamTest, AnotherConfigurationOrAnAnswerToAnotherOffersNothingAgain) {
  Publish("r1");
  Accept();
  SayHello();
  Deliver();
  const auto first = Configurations().back();
  Refuse(first);
  Publish("r2");
  ASSERT_EQ(Configurations().size(), 2u);
  Refuse(first);  // of an agent that answers late
  EXPECT_EQ(OffersIn(hours(1)), 0u);
  for (int i = 0; i < 100; ++i) Refuse(Configurations().back());
  EXPECT_EQ(OffersIn(hours(1)), 1u) << "however often it says so";
}

TEST_F(AgentStreamTest, TheSameRefusalOnceMoreIsNotTold) {
  Publish("r1");
  Accept();
  SayHello();
  Deliver();
  const int before = told_;
  Refuse(Configurations().back());
  EXPECT_EQ(told_, before + 1);
  Refuse(Configurations().back());
  EXPECT_EQ(told_, before + 1);
  EXPECT_EQ(context_.nacks, 2) << "counted it is";
  Refuse(Configurations().back(), "not mounted");
  EXPECT_EQ(told_, before + 2);
  EXPECT_EQ(fleet_.Node({"phoenix", "n1"})->nack_reason, "not mounted");
}

TEST_F(AgentStreamTest, AStreamThatEndedIsLetGo) {
  Accept();
  const std::weak_ptr<AgentStream> gone = stream_;
  Pass(seconds(1));
  stream_->OnEnd();
  stream_.reset();
  EXPECT_TRUE(gone.expired());
  EXPECT_EQ(Pass(hours(1)), 0u);
}

}  // namespace
}  // namespace sluice::agents
