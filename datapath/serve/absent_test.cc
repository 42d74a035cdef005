// Names the origin does not know, and signers that are known, over real sockets.
#include "datapath/testing/server_rig.h"

namespace sluice::serve {
namespace {

using testing::Answer;
using testing::ServerRig;
using testing::TestClient;

class AbsentTest : public ServerRig {
 protected:
  base::Clock& clock() override { return fake_clock_; }
  base::FakeClock fake_clock_;
};

TEST_F(AbsentTest, TheOriginIsAskedOnceForAWhile) {
  StartServer();
  TestClient client = NewClient();
  for (int i = 0; i < 5; ++i) {
    const Answer answer = Get(client, "missing");
    EXPECT_EQ(answer.status, 404);
    EXPECT_NE(answer.body.find("<Code>NoSuchKey</Code>"), std::string::npos);
  }
  EXPECT_EQ(origin_.gets(), 1);
  EXPECT_EQ(server_->metrics().absent_served.Total(), 4u);
  EXPECT_EQ(Get(client, "another").status, 404);
  EXPECT_EQ(origin_.gets(), 2);
}

TEST_F(AbsentTest, WhatComesToBeElsewhereIsFoundWhenThatTimeIsOver) {
  StartServer();
  TestClient client = NewClient();
  EXPECT_EQ(Get(client, "a").status, 404);
  origin_.Put("in/a", "\"v1\"", "here now");
  fake_clock_.Advance(kAbsentLife);
  EXPECT_EQ(Get(client, "a").body, "here now");
}

TEST_F(AbsentTest, AnOwnUploadIsSeenAtOnce) {
  StartServer();
  TestClient client = NewClient();
  EXPECT_EQ(Get(client, "a").status, 404);
  client.SendRaw(Head("PUT", "/data/a", {}, {}, 5) + "fresh");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(Get(client, "a").body, "fresh");
}

TEST_F(AbsentTest, WithoutAMetadataTTLNothingIsTakenToBeAbsent) {
  control::Config config = BaseConfig();
  config.cache.metadata_ttl = std::chrono::seconds(0);
  StartServer(config);
  TestClient client = NewClient();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Get(client, "missing").status, 404);
  EXPECT_EQ(origin_.gets(), 3);
}

TEST_F(AbsentTest, AKnownSignerIsForgottenWithTheConfigurationThatHadItsKey) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "bytes");
  TestClient client = NewClient();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Get(client, "a").body, "bytes");
  control::Config next = BaseConfig();
  next.version = "v2";
  next.tenants[0].keys = {{"FALCON", "rotated", ""}};
  ASSERT_TRUE(server_->Apply(std::make_shared<control::Config>(next)).ok());
  EXPECT_EQ(Get(client, "a").status, 403);
  next.version = "v3";
  next.tenants[0].keys = {{"FALCON", "secret", ""}};
  next.tenants[0].grants = {};
  ASSERT_TRUE(server_->Apply(std::make_shared<control::Config>(next)).ok());
  EXPECT_EQ(Get(client, "a").status, 403);
}

}  // namespace
}  // namespace sluice::serve
