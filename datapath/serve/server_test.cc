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
    for (int i = 0; i < 3; ++i) ASSERT_EQ(Get(client, key).body, Body(size, 7)) << size;
  }
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

TEST_F(ServerTest, UploadsPassThroughAndAreSeenAtOnce) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "old");
  EXPECT_EQ(Get("a").body, "old");
  TestClient client = NewClient();
  client.SendRaw(Head("PUT", "/data/a", {{"expect", "100-continue"}}, {}, 5));
  EXPECT_EQ(client.Receive().status, 100);
  client.SendRaw("fresh");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(Get(client, "a").body, "fresh");  // on the same connection
}

TEST_F(ServerTest, AReadUnderWayDuringAWriteDoesNotBringTheOldBytesBack) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "old");
  TestClient reader = NewClient();
  std::atomic<bool> asked{false};
  origin_.SetTamper([&](const origin::Request&, Reply&) { asked = true; });
  reader.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(Until([&] { return asked.load(); }));
  EXPECT_EQ(reader.Receive().body, "old");
  TestClient writer = NewClient();
  writer.SendRaw(Head("PUT", "/data/a", {}, {}, 3) + "new");
  EXPECT_EQ(writer.Receive().status, 200);
  EXPECT_EQ(Get("a").body, "new");
}

TEST_F(ServerTest, AReadThatJoinsALoadBegunBeforeAWriteSeesTheWrite) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "old");
  // The first read's answer is decided (old), and kept back until the write is acknowledged.
  std::atomic<int> asked{0};
  std::atomic<bool> hold{true};
  origin_.SetTamper([&](const origin::Request& request, Reply& reply) {
    if (request.method != http1::Method::kGet || ++asked > 1) return;
    reply.wait = [&] { return hold.load(); };
  });
  TestClient first = NewClient();
  first.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(Until([&] { return asked.load() == 1; }));
  TestClient writer = NewClient();
  writer.SendRaw(Head("PUT", "/data/a", {}, {}, 3) + "new");
  ASSERT_EQ(writer.Receive().status, 200);
  TestClient second = NewClient();
  const std::uint64_t waits = server_->cache().pool().buffers_used();
  second.SendRaw(Head("GET", "/data/a"));  // joins the load of the first
  ASSERT_TRUE(Until([&] { return server_->cache().pool().buffers_used() > waits; }));
  hold = false;
  EXPECT_EQ(second.Receive().body, "new");
  EXPECT_EQ(first.Receive().status, 200);
  EXPECT_EQ(Get("a").body, "new");
  // And when the origin goes away, the old bytes are not what is left.
  origin_.SetTamper(
      [](const origin::Request&, Reply& reply) { reply.instead = base::Unavailable("away"); });
  EXPECT_NE(Get("a").body, "old");
}

TEST_F(ServerTest, AChecksumBehindTheBodyReachesTheOriginBehindTheBody) {
  StartServer();
  const std::string framed = "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
  // The client cuts its chunks as it likes; the origin gets one.
  const std::string sent = "1\r\na\r\n2\r\nbc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
  TestClient client = NewClient();
  client.SendRaw(Head("PUT", "/data/a",
                      {{"content-encoding", "aws-chunked"},
                       {"x-amz-decoded-content-length", "3"},
                       {"x-amz-trailer", "x-amz-checksum-crc32"}},
                      {}, sent.size(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER") +
                 sent);
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(Get(client, "a").body, framed);  // this origin keeps what it was sent
  const std::string wrong = "3\r\nabd\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
  client.SendRaw(Head("PUT", "/data/b",
                      {{"content-encoding", "aws-chunked"},
                       {"x-amz-decoded-content-length", "3"},
                       {"x-amz-trailer", "x-amz-checksum-crc32"}},
                      {}, wrong.size(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER") +
                 wrong);
  EXPECT_EQ(client.Receive().status, 400);
  EXPECT_EQ(Get("b").status, 404);
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

TEST_F(ServerTest, SlowReadersNeverPushMemoryOverItsLimit) {
  control::Config config = BaseConfig();
  config.cache.memory_bytes = 16 << 20;
  StartServer(config);
  std::vector<TestClient> clients;
  for (int i = 0; i < 60; ++i) {
    const std::string key = "big" + std::to_string(i);
    origin_.Put("in/" + key, "\"v1\"", Body(4 << 20, i));
    clients.push_back(TestClient(address(), 4096));
    clients.back().SendRaw(Head("GET", "/data/" + key));  // and reads nothing
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < until) {
    ASSERT_LE(server_->cache().pool().used(), server_->cache().pool().limit());
    std::this_thread::yield();
  }
  clients.clear();
  origin_.Put("in/after", "\"v1\"", "served");
  ASSERT_TRUE(Until([&] { return Get("after").body == "served"; }));
}

TEST_F(ServerTest, ADrainLetsAnAnswerFinishAndRefusesNewConnections) {
  StartServer();
  const std::string body = Body(8 << 20, 5);
  origin_.Put("in/a", "\"v1\"", body);
  EXPECT_EQ(Get("a").body, body);
  TestClient slow = NewClient();
  TestClient idle = NewClient();
  EXPECT_EQ(Get(idle, "a").status, 200);
  slow.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(slow.ReadMore());
  const net::Address old = address();
  std::thread drain([&] { server_->Drain(std::chrono::seconds(20)); });
  EXPECT_TRUE(idle.Ended());
  const Answer answer = slow.Receive();
  EXPECT_EQ(answer.body, body);
  EXPECT_TRUE(slow.Ended());
  drain.join();
  net::UniqueFd late(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_NE(::connect(late.get(), old.get(), old.length()), 0);
}

TEST_F(ServerTest, MetricsCountEachAnswerOnceUnderItsTenant) {
  StartServer();
  const std::string before = server_->RenderMetrics();
  const std::string line =
      "sluice_agent_requests_total{site=\"lab\",tenant=\"falcon\",operation=\"GetObject\","
      "outcome=\"ok\"} ";
  EXPECT_NE(before.find(line + "0\n"), std::string::npos);  // registered at zero
  origin_.Put("in/a", "\"v1\"", Body(100'000, 1));
  Get("a");
  Get("a");
  Get("missing");
  std::string after;  // an answer is counted once it was sent
  ASSERT_TRUE(Until([&] {
    after = server_->RenderMetrics();
    return after.find(line + "2\n") != std::string::npos &&
           after.find("operation=\"GetObject\",outcome=\"client_error\"} 1\n") != std::string::npos;
  })) << after;
  EXPECT_NE(after.find("source=\"dram\"} 100000\n"), std::string::npos);
  EXPECT_NE(after.find("source=\"origin\"} 100000\n"), std::string::npos);
  EXPECT_EQ(after.find("secret"), std::string::npos);
}

// Deadlines, on a clock that stands still until it is moved.
class ServerDeadlineTest : public ServerRig {
 protected:
  base::Clock& clock() override { return fake_clock_; }
  // Moves time and wakes the loops, which sleep until a deadline of the old time.
  void Advance(base::Duration by) {
    fake_clock_.Advance(by);
    ASSERT_TRUE(server_->Apply(config_).ok());
  }
  base::FakeClock fake_clock_;
};

TEST_F(ServerDeadlineTest, AnIdleConnectionIsClosedAndOneInMidHeadIsTold) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "x");
  TestClient idle = NewClient();
  EXPECT_EQ(Get(idle, "a").status, 200);
  TestClient half = NewClient();
  half.SendRaw("GET /data/a HTTP/1.1\r\nHost: x\r\n");
  const auto read_heads = [&] {
    return server_->cache().pool().buffers_used() >= 2 * sizeof(Scratch);
  };
  ASSERT_TRUE(Until(read_heads));
  Advance(kHeadDeadline + std::chrono::seconds(1));
  EXPECT_EQ(half.Receive().status, 408);
  Advance(kIdleDeadline + std::chrono::seconds(1));
  EXPECT_TRUE(idle.Ended());
}

TEST_F(ServerDeadlineTest, AnOriginThatNeverAnswersCostsABoundedTime) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "x");
  origin_.Hold(true);
  TestClient client = NewClient();
  client.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(Until([&] { return server_->cache().pool().buffers_used() >= sizeof(Scratch); }));
  pollfd ready{client.fd(), POLLIN, 0};
  for (int i = 0; i < 50 && ::poll(&ready, 1, 20) == 0; ++i) Advance(std::chrono::seconds(2));
  EXPECT_EQ(client.Receive().status, 503);
}

}  // namespace
}  // namespace sluice::serve
