// The server over real sockets with origins by script.
#include "datapath/serve/server.h"

#include "datapath/testing/server_rig.h"

namespace sluice::serve {
namespace {

using testing::Answer;
using testing::ServerRig;
using testing::TestClient;
using Reply = testing::ScriptOrigin::Reply;

class ServerTest : public ServerRig {};

TEST_F(ServerTest, AColdReadMissesAWarmOneHitsAndBothAreRight) {
  StartServer();
  const std::string body = Body(300'000, 1);
  origin_.Put("in/a", "\"v1\"", body);
  TestClient client = NewClient();
  const Answer cold = Get(client, "a");
  EXPECT_EQ(cold.status, 200);
  EXPECT_EQ(cold.body, body);
  EXPECT_EQ(cold.headers.at("x-sluice-cache"), "miss");
  EXPECT_EQ(cold.headers.at("ETag"), "\"v1\"");
  const Answer warm = Get(client, "a");
  EXPECT_EQ(warm.body, body);
  EXPECT_EQ(warm.headers.at("x-sluice-cache"), "hit");
  EXPECT_EQ(origin_.gets(), 1);
  EXPECT_EQ(origin_.heads(), 0);
}

TEST_F(ServerTest, EverySizeAroundTheTransmitCrossingIsRight) {
  StartServer();
  TestClient client = NewClient();
  for (const std::size_t size :
       {1u, 4095u, 4096u, 16383u, 16384u, 16385u, 65535u, 65536u, 65537u, 200'000u}) {
    const std::string key = "s" + std::to_string(size);
    origin_.Put("in/" + key, "\"e\"", Body(size, 7));
    for (int i = 0; i < 6; ++i) ASSERT_EQ(Get(client, key).body, Body(size, 7)) << size;
  }
}

// Pages that were sent by reference go with the chunk; those of a chunk that was read once do not.
TEST_F(ServerTest, WhatIsReadOnceIsCopiedSoThatItsPagesServeTheNextChunk) {
  StartServer();
  store::MemoryPool& pool = server_->cache().pool();
  // All of it was touched: from here on only what is given back changes the account.
  ASSERT_TRUE(Until([&] { return pool.cache_used() + kChunk > pool.cache_limit(); }));
  const std::uint64_t all = pool.cache_used();
  const auto lost_after = [&](const std::string& key, int reads) {
    TestClient client = NewClient();
    origin_.Put("in/" + key, "\"e\"", Body(4 * kChunk, 3));
    for (int i = 0; i < reads; ++i) EXPECT_EQ(Get(client, key).body, Body(4 * kChunk, 3));
    EXPECT_EQ(Get(client, "none").status, 404);  // behind it nothing holds the chunks any more
    server_->cache().Invalidate(std::string("lake") + '\0' + "bucket" + '\0' + "in/" + key, [] {});
    return all - pool.cache_used();
  };
  EXPECT_EQ(lost_after("once", 1), 0u);
  EXPECT_EQ(lost_after("often", 6), 4 * kChunk);
}

TEST_F(ServerTest, ManyReadersOfOneColdObjectFetchItOnce) {
  StartServer();
  const std::string body = Body(2'000'000, 2);
  origin_.Put("in/a", "\"v1\"", body);
  origin_.Hold(true);
  std::vector<TestClient> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(NewClient());
    clients.back().SendRaw(Head("GET", "/data/a"));
  }
  clients.pop_back();  // one leaves while the fetch is under way
  origin_.Hold(false);
  for (TestClient& client : clients) EXPECT_EQ(client.Receive().body, body);
  EXPECT_EQ(origin_.bytes_sent(), body.size());
}

TEST_F(ServerTest, AnObjectThatChangesBetweenWindowsIsNeverMixed) {
  StartServer();
  const std::string old = Body(20 << 20, 1), now = Body(20 << 20, 2);
  origin_.Put("in/a", "\"v1\"", old);
  // The second request to the origin finds another version.
  origin_.SetTamper([&, n = 0](const origin::Request&, Reply& reply) mutable {
    if (++n == 1) return;
    reply.status = 412;
    reply.headers.clear();
    reply.body.clear();
    reply.content_length = 0;
  });
  const Answer cut = Get("a");
  EXPECT_EQ(cut.status, 200);
  EXPECT_FALSE(cut.whole);
  EXPECT_EQ(cut.body, old.substr(0, cut.body.size()));
  origin_.SetTamper({});
  origin_.Put("in/a", "\"v2\"", now);
  const Answer next = Get("a");
  EXPECT_TRUE(next.whole);
  EXPECT_EQ(next.body, now);
}

TEST_F(ServerTest, AnotherETagInAFillsAnswerIsAChangeEvenWithStatus206) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", Body(20 << 20, 1));
  origin_.SetTamper([n = 0](const origin::Request&, Reply& reply) mutable {
    if (++n > 1 && reply.status == 206) reply.headers[0].second = "\"v2\"";
  });
  EXPECT_FALSE(Get("a").whole);
}

TEST_F(ServerTest, AShortBodyFromTheOriginIsFetchedAgain) {
  StartServer();
  const std::string body = Body(500'000, 3);
  origin_.Put("in/a", "\"v1\"", body);
  origin_.SetTamper([n = 0](const origin::Request&, Reply& reply) mutable {
    if (++n == 1) reply.stop_after = 200'000;
  });
  const Answer answer = Get("a");
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(answer.body, body);
}

TEST_F(ServerTest, APartWhoseLengthContradictsItsRangeIsNotPassedOn) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", Body(100'000, 1));
  origin_.SetTamper([](const origin::Request&, Reply& reply) {
    // Without a validator the answer is passed through.
    std::erase_if(reply.headers, [](const auto& line) { return line.first == "ETag"; });
    reply.body.resize(10);
    reply.content_length = 10;
  });
  EXPECT_EQ(Get("a", {{"range", "bytes=100-1099"}}).status, 503);
  EXPECT_EQ(Get("a", {{"range", "bytes=100-109"}}).body.size(), 10U);
}

TEST_F(ServerTest, AnOriginThatAlwaysBreaksOffNeverYieldsAWholeLookingBody) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", Body(500'000, 3));
  // Less than a chunk: a try that brings whole chunks is progress, and is gone on from.
  origin_.SetTamper([](const origin::Request&, Reply& reply) { reply.stop_after = 10'000; });
  const Answer answer = Get("a");
  EXPECT_FALSE(answer.status == 200 && answer.whole);
}

TEST_F(ServerTest, WithoutTheOriginColdReadsAre503WithS3sXmlAndWarmOnesGoOn) {
  StartServer();
  origin_.Put("in/warm", "\"v1\"", "warm bytes");
  EXPECT_EQ(Get("warm").status, 200);
  origin_.SetTamper([](const origin::Request&, Reply& reply) {
    reply.instead = base::Unavailable("connection refused");
  });
  const Answer cold = Get("cold");
  EXPECT_EQ(cold.status, 503);
  EXPECT_NE(cold.body.find("<Code>ServiceUnavailable</Code>"), std::string::npos);
  EXPECT_NE(cold.body.find("<RequestId>"), std::string::npos);
  EXPECT_EQ(Get("warm").body, "warm bytes");
}

TEST_F(ServerTest, StaleObjectsAreServedWhileTheOriginIsAwayAndConfirmedWhenItIsBack) {
  control::Config config = BaseConfig();
  config.cache.metadata_ttl = std::chrono::seconds(0);
  StartServer(config);
  origin_.Put("in/a", "\"v1\"", "one");
  EXPECT_EQ(Get("a").headers.at("x-sluice-cache"), "miss");
  EXPECT_EQ(Get("a").headers.at("x-sluice-cache"), "revalidated");
  origin_.SetTamper([](const origin::Request&, Reply& reply) {
    reply.instead = base::DeadlineExceeded("silence");
  });
  EXPECT_EQ(Get("a").body, "one");
  EXPECT_EQ(server_->metrics().stale_served.Total(), 1u);
  origin_.SetTamper({});
  origin_.Put("in/a", "\"v2\"", "two");
  EXPECT_EQ(Get("a").body, "two");
}

TEST_F(ServerTest, AnObjectWithoutETagIsPassedThroughAndNotKept) {
  StartServer();
  const std::string body = Body(400'000, 4);
  origin_.Put("in/a", "\"v1\"", body);
  origin_.SetTamper([](const origin::Request&, Reply& reply) {
    std::erase_if(reply.headers, [](const auto& line) { return line.first == "ETag"; });
  });
  EXPECT_EQ(Get("a").body, body);
  EXPECT_EQ(Get("a").body, body);
  EXPECT_EQ(server_->cache().counters().resident_bytes.load(), 0u);
}

TEST_F(ServerTest, AnOriginThatIgnoresRangesIsStillReadRightly) {
  StartServer();
  const std::string body = Body(3'000'000, 6);
  origin_.Put("in/a", "\"v1\"", body);
  origin_.SetTamper([&](const origin::Request&, Reply& reply) {
    if (reply.status != 206) return;
    reply.status = 200;
    reply.body = body;
    reply.content_length = body.size();
    std::erase_if(reply.headers, [](const auto& line) { return line.first == "Content-Range"; });
  });
  EXPECT_EQ(Get("a").body, body);
  EXPECT_EQ(Get("a", {{"range", "bytes=1000000-1000009"}}).body, body.substr(1'000'000, 10));
}

TEST_F(ServerTest, TheNeighboursNamesAreDeniedBeforeAnythingIsLookedUp) {
  StartServer();
  origin_.Put("other/secret", "\"v1\"", "hawk's");
  TestClient client = NewClient();
  for (const char* method : {"GET", "HEAD", "PUT", "DELETE"}) {
    client.SendRaw(Head(method, "/other/secret"));
    const Answer answer = client.Receive(std::string_view(method) == "HEAD" ? http1::Method::kHead
                                                                            : http1::Method::kGet);
    EXPECT_EQ(answer.status, 403) << method;
  }
  EXPECT_EQ(origin_.gets() + origin_.heads(), 0);
}

TEST_F(ServerTest, ANewConfigurationTakesEffectForTheNextRequestOfAnOpenConnection) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "bytes");
  TestClient client = NewClient();
  EXPECT_EQ(Get(client, "a").status, 200);
  auto next = std::make_shared<control::Config>(BaseConfig());
  next->version = "v2";
  next->tenants[0].keys = {{"NEWKEY", "newsecret", ""}};
  ASSERT_TRUE(server_->Apply(next).ok());
  const Answer answer = Get(client, "a");
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(answer.body.find("InvalidAccessKeyId"), std::string::npos);
}

TEST_F(ServerTest, OversizedAndMalformedHeadsAreRefused) {
  StartServer();
  TestClient large = NewClient();
  large.SendRaw("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(large.Receive().status, 431);
  TestClient broken = NewClient();
  broken.SendRaw("NOT HTTP\r\n\r\n");
  EXPECT_EQ(broken.Receive().status, 400);
  EXPECT_TRUE(broken.Ended());
}

}  // namespace
}  // namespace sluice::serve
