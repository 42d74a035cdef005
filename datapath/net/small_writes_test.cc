// Small writes may leave with the loop's next batch: these hold whatever the poller does with them.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "datapath/net/stream_pair_for_test.h"

namespace sluice::net {
namespace {

class SmallWritesTest : public StreamPair {};

TEST_P(SmallWritesTest, WhatFollowsASmallWriteArrivesBehindIt) {
  Pair();
  const int file = ::memfd_create("body", 0);
  ASSERT_EQ(::write(file, "three", 5), 5);
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
      const IoResult result = server_->SendFile(file, sent, 5 - sent, false);
      if (!result.ok()) return;
      if ((sent += result.bytes) == 5) ++step;
    }
  };
  server_events_.on_writable = pump;
  pump();
  EXPECT_TRUE(Until([&] { return received == "one" + large + "+three"; })) << received.size();
  ::close(file);
}

TEST_P(SmallWritesTest, SmallWritesToAPeerThatDoesNotReadBlockAndAllArriveOnceItDoes) {
  Pair();
  const std::string piece(4000, 'p');
  std::size_t taken = 0;
  bool blocked = false;
  const auto pump = [&] {
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
  server_events_.on_writable = pump;
  pump();
  std::size_t before = ~std::size_t{0};
  while (before != taken) {  // until the socket is full
    before = taken;
    for (int i = 0; i < 20; ++i) loop_->RunOnce(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(blocked);
  server_events_.on_writable = nullptr;
  std::string all;
  char buffer[4096];
  ASSERT_TRUE(Until([&] {
    for (IoResult got; (got = client_->Read(buffer)).ok();) all.append(buffer, got.bytes);
    return all.size() == taken;
  })) << all.size()
      << " of " << taken;
  for (std::uint32_t i = 0; i < taken / 4000; ++i)
    ASSERT_EQ(std::memcmp(all.data() + i * 4000, &i, sizeof i), 0) << i;
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
