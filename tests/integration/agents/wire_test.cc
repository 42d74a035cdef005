// gRPC's own client against our server: the bounds of messages, ends of calls from either side,
// many calls over one connection.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <filesystem>

#include "reconcilers/agents/limits.h"
#include "tests/integration/agents/rogue.h"
#include "tests/integration/agents/world.h"

namespace sluice::agents::testing {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::HasSubstr;

class WireTest : public ::testing::Test {
 protected:
  WireTest() {
    EXPECT_TRUE(replica_->publisher.TakeOver("uid", "a").ok());
    EXPECT_TRUE(replica_->publisher.Publish("phoenix", TestContent("r1")).ok());
    context_.set_deadline(std::chrono::system_clock::now() + seconds(30));
  }
  const std::string& roots() const { return world_.authority.certificate_pem(); }
  static agent::v1::AgentMessage Hello() {
    agent::v1::AgentMessage hello;
    hello.mutable_hello()->set_site("phoenix");
    hello.mutable_hello()->set_node("n1");
    return hello;
  }
  bool Connected() const {
    const auto node = replica_->fleet.Node(kN1);
    return node && node->connected;
  }

  World world_;
  const std::unique_ptr<Replica> replica_ = world_.StartReplica();
  const Rogue rogue_{world_.authority, kN1, world_.clock.Wall(), hours(1)};
  grpc::ClientContext context_;
};

TEST_F(WireTest, AConfigurationAsLongAsIsAllowedArrivesWhole) {
  TestContent content("big");
  content.config.mutable_origins(0)->set_ca_pem(std::string((4 << 20) - 20'000, 'x'));
  ASSERT_TRUE(replica_->publisher.Publish("phoenix", content).ok());
  const auto stub = rogue_.Stub(*replica_, roots());
  const auto stream = stub->Connect(&context_);
  stream->Write(Hello());
  agent::v1::ControllerMessage welcome, configuration;
  ASSERT_TRUE(stream->Read(&welcome));
  ASSERT_TRUE(stream->Read(&configuration));
  EXPECT_EQ(configuration.configuration().config().SerializeAsString(),
            content.config.SerializeAsString());
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(WireTest, AMessageOverTheBoundEndsItsStreamAndSaysSo) {
  const auto stub = rogue_.Stub(*replica_, roots());
  const auto stream = stub->Connect(&context_);
  agent::v1::AgentMessage hello = Hello();
  hello.mutable_hello()->set_agent_version(std::string(kMaxUpwardMessageBytes, 'x'));
  stream->Write(hello);
  agent::v1::ControllerMessage message;
  EXPECT_FALSE(stream->Read(&message));
  const auto status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("at most 65536"));
  EXPECT_FALSE(replica_->fleet.Node(kN1));
}

TEST_F(WireTest, AStreamThatIsCancelledOrHalfClosedIsGone) {
  const auto stub = rogue_.Stub(*replica_, roots());
  agent::v1::ControllerMessage message;
  {
    grpc::ClientContext context;
    const auto stream = stub->Connect(&context);
    stream->Write(Hello());
    ASSERT_TRUE(stream->Read(&message));
    EXPECT_TRUE(Connected());
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_TRUE(Eventually([&] { return !Connected(); }));
  }
  const auto stream = stub->Connect(&context_);
  stream->Write(Hello());
  ASSERT_TRUE(stream->Read(&message));
  ASSERT_TRUE(stream->Read(&message));
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(Eventually([&] { return !Connected() && replica_->server.stats().streams == 0; }));
}

// Its kernel ends it; pings are too rare for that.
TEST_F(WireTest, AConnectionEndsWhenNobodyTakesWhatTheAgentSays) {
  const auto agent = world_.StartAgent(*replica_);
  ASSERT_TRUE(Eventually([&] { return agent->region() == "r1"; }));
  int connections = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_in to{};
    socklen_t size = sizeof(to);
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&to), &size) != 0 ||
        ntohs(to.sin_port) != replica_->server.control_port()) {
      continue;
    }
    ++connections;
    unsigned patience_ms = 0;
    size = sizeof(patience_ms);
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, &size), 0);
    EXPECT_EQ(patience_ms, 20'000u);
  }
  EXPECT_EQ(connections, 1);
}

TEST_F(WireTest, GarbageEndsItsStreamAndASecondHelloToo) {
  const auto stub = rogue_.Stub(*replica_, roots());
  const auto stream = stub->Connect(&context_);
  stream->Write(Hello());
  stream->Write(Hello());
  agent::v1::ControllerMessage message;
  while (stream->Read(&message)) continue;
  EXPECT_EQ(stream->Finish().error_message(), "Hello comes first, and once");
}

TEST_F(WireTest, CallsFollowEachOtherOverOneConnectionBesideAStream) {
  const auto stub = rogue_.Stub(*replica_, roots());
  const auto stream = stub->Connect(&context_);
  stream->Write(Hello());
  agent::v1::RenewRequest request;
  request.set_csr_pem(rogue_.csr);
  for (int i = 0; i < 30; ++i) {
    grpc::ClientContext context;
    agent::v1::Identity answer;
    const auto status = stub->Renew(&context, request, &answer);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_THAT(answer.certificate_pem(), HasSubstr("BEGIN CERTIFICATE"));
  }
  request.set_csr_pem("nonsense");
  grpc::ClientContext context;
  agent::v1::Identity answer;
  EXPECT_EQ(stub->Renew(&context, request, &answer).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(replica_->server.stats().renewed, 30);
  EXPECT_TRUE(Connected());
}

TEST_F(WireTest, AtItsStopStreamsAreToldWhy) {
  const auto stub = rogue_.Stub(*replica_, roots());
  const auto stream = stub->Connect(&context_);
  stream->Write(Hello());
  agent::v1::ControllerMessage message;
  ASSERT_TRUE(stream->Read(&message));
  replica_->server.Stop();
  while (stream->Read(&message)) continue;
  const auto status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the controller is stopping");
}

}  // namespace
}  // namespace sluice::agents::testing
