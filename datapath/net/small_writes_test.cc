// Small writes may leave with the loop's next batch: these hold whatever the poller does with them.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "datapath/net/stream_pair_for_test.h"

namespace sluice::net {
namespace {

class SmallWritesTest : public StreamPair {};

TEST_P(SmallWritesTest, WhatFollowsASmallWriteArrivesBehindIt) {
  Pair();
  const std::string three = "three";
  std::string received;
  client_events_.on_readable = [&] {
    char buffer[64];
    for (IoResult got; (got = client_->Read(buffer)).ok();) received.append(buffer, got.bytes);
  };
  const std::string large(100'000, '2');
  std::string_view rest = large;
  std::uint64_t sent = 0;
  int step = 0;
  const auto pump = [&] {
    if (step == 0 && server_->Write(std::string_view("one"), false).ok()) ++step;
    while (step == 1) {
      const IoResult result = server_->Write(rest, false);
      if (!result.ok()) return;
      rest.remove_prefix(result.bytes);
      if (rest.empty()) ++step;
    }
    if (step == 2 && server_->Write(std::string_view("+"), false).ok()) ++step;
    while (step == 3) {
      const IoResult result = server_->SendPages({three.data() + sent, 5 - sent}, false);
      if (!result.ok()) return;
      if ((sent += result.bytes) == 5) ++step;
    }
  };
  server_events_.on_writable = pump;
  pump();
  EXPECT_TRUE(Until([&] { return received == "one" + large + "+three"; })) << received.size();
}

TEST_P(SmallWritesTest, SmallWritesToAPeerThatDoesNotReadBlockAndAllArriveOnceItDoes) {
  const std::string piece(4000, 'p');
  for (const bool closed : {false, true}) {  // by us, before the peer reads
    Pair();
    std::size_t taken = 0;
    bool blocked = false;
    server_events_.on_writable = [&] {
      for (int i = 0; taken < (16 << 20) && i < 100; ++i) {
        const auto number = static_cast<std::uint32_t>(taken / 4000);
        std::string numbered = piece;
        std::memcpy(numbered.data(), &number, sizeof number);
        const IoResult result =
            server_->Write(std::string_view(numbered).substr(taken % 4000), false);
        blocked = blocked || result.blocked();
        if (!result.ok()) return;
        taken += result.bytes;
      }
      loop_->Post([this] {
        if (server_events_.on_writable) server_events_.on_writable();
      });
    };
    server_events_.on_writable();
    std::size_t before = ~std::size_t{0};
    while (before != taken) {  // until the socket is full
      before = taken;
      for (int i = 0; i < 20; ++i) loop_->RunOnce(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(blocked);
    server_events_.on_writable = nullptr;
    if (closed) server_.reset();
    std::string all;
    bool ended = false;
    char buffer[4096];
    ASSERT_TRUE(Until([&] {
      IoResult got;
      while ((got = client_->Read(buffer)).ok()) all.append(buffer, got.bytes);
      ended = got.state == IoResult::State::kEof;
      return closed ? ended : all.size() == taken;
    })) << closed
        << all.size() << " of " << taken;
    ASSERT_EQ(all.size(), taken) << closed;
    for (std::uint32_t i = 0; i < taken / 4000; ++i)
      ASSERT_EQ(std::memcmp(all.data() + i * 4000, &i, sizeof i), 0) << i;
    client_.reset();
    server_.reset();
    listener_.reset();
  }
}

// The peer reads on a thread of its own and says nothing: the loop has no event but room to write.
TEST_P(SmallWritesTest, AWriterWhosePeerReadsSlowlyIsWokenByRoomAlone) {
  Pair();
  server_.reset();
  client_.reset();
  std::size_t arrived = 0;
  std::atomic<bool> ended = false;
  const Address to = listener_->bound();
  std::thread peer([&] {
    const UniqueFd fd(::socket(to.family(), SOCK_STREAM, 0));
    ASSERT_EQ(::connect(fd.get(), to.get(), to.length()), 0);
    std::string buffer(300'000, '\0');
    for (ssize_t got; (got = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_WAITALL)) > 0;) {
      arrived += static_cast<std::size_t>(got);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ended = true;
  });
  const std::string body(16 << 20, 'b');
  std::string_view rest = body;
  server_events_.on_writable = [&] {
    // What is left of a piece that went in part is often small.
    while (!rest.empty()) {
      const IoResult result = server_->Write(rest.substr(0, 16'406), false);
      if (!result.ok()) return;
      rest.remove_prefix(result.bytes);
    }
    server_->ShutdownWrite();
  };
  const auto before = clock_.Mono();
  const auto waited = [&] { return clock_.Mono() - before; };
  while (!rest.empty() && waited() < std::chrono::seconds(15))
    loop_->RunOnce(std::chrono::seconds(20));
  EXPECT_LT(waited(), std::chrono::seconds(15));
  server_.reset();
  // The last piece may still be the loop's to send, though the stream is gone.
  EXPECT_TRUE(Until([&] { return ended.load(); }));
  listener_.reset();
  loop_.reset();
  peer.join();
  EXPECT_EQ(arrived, body.size());
}

TEST_P(SmallWritesTest, ASmallWriteBeforeTheEndArrives) {
  for (const bool shutdown : {true, false}) {
    Pair();
    ASSERT_TRUE(server_->Write(std::string_view("last words"), false).ok());
    if (shutdown) {
      server_->ShutdownWrite();
    } else {
      server_.reset();
    }
    std::string received;
    char buffer[64];
    EXPECT_TRUE(Until([&] {
      const IoResult got = client_->Read(buffer);
      if (got.ok()) received.append(buffer, got.bytes);
      return got.state == IoResult::State::kEof;
    })) << shutdown;
    EXPECT_EQ(received, "last words");
    client_.reset();
    server_.reset();
    listener_.reset();
  }
}

TEST_P(SmallWritesTest, ASmallWriteToAPeerThatIsGoneTellsThatItIsBroken) {
  Pair();
  client_->Abort();
  client_.reset();
  server_->Write(std::string_view("anybody there?"), false);
  EXPECT_TRUE(Until([&] { return !server_events_.broken.ok(); }));
}

INSTANTIATE_TEST_SUITE_P(, SmallWritesTest,
                         testing::Combine(testing::Values("127.0.0.1:0", "[::1]:0", "unix"),
                                          testing::ValuesIn(kPollers)),
                         NameOf);

}  // namespace
}  // namespace sluice::net
