// What bounds the server: memory, drain, deadlines; and what it counts.
#include <cstdlib>
#include <filesystem>

#include "datapath/serve/server.h"
#include "datapath/testing/server_rig.h"

namespace sluice::serve {
namespace {

using testing::Answer;
using testing::ServerRig;
using testing::TestClient;

class ServerLifeTest : public ServerRig {};

TEST_F(ServerLifeTest, SlowReadersNeverPushMemoryOverItsLimit) {
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

TEST_F(ServerLifeTest, WhatTheDiskKeptIsConfirmedBeforeItIsServedAgain) {
  char folder[] = "/tmp/sluice_serve_XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  control::Config config = BaseConfig();
  config.cache.disk_paths = {folder};
  config.cache.disk_bytes = 64 << 20;
  const std::string body = Body(3 * kChunk, 7);
  origin_.Put("in/a", "\"v1\"", body);
  StartServer(config);
  EXPECT_EQ(Get("a").body, body);
  server_->cache().FlushDisk();
  server_.reset();
  StartServer(config);
  const Answer again = Get("a");
  EXPECT_EQ(again.headers.at("x-sluice-cache"), "revalidated");
  EXPECT_EQ(again.body, body);
  EXPECT_EQ(Get("a").headers.at("x-sluice-cache"), "hit");
  server_.reset();
  std::filesystem::remove_all(folder);
}

TEST_F(ServerLifeTest, ADrainLetsAnAnswerFinishAndRefusesNewConnections) {
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

TEST_F(ServerLifeTest, MetricsCountEachAnswerOnceUnderItsTenant) {
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
  const std::string poller = ring::PollerKindName(ring::ChoosePoller(kPoller).kind);
  EXPECT_NE(after.find("sluice_agent_poller{site=\"lab\",poller=\"" + poller + "\"} 1\n"),
            std::string::npos);
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
