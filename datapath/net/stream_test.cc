#include "datapath/net/stream.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "datapath/net/resolver.h"
#include "datapath/net/socket_options.h"
#include "datapath/net/stream_pair_for_test.h"

namespace sluice::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StreamTest : public StreamPair {};

TEST_P(StreamTest, CarriesBytesBothWaysAndThenEndOfStream) {
  Pair();
  char buffer[16];
  ASSERT_EQ(client_->Write(std::string_view("ping"), false).bytes, 4u);
  ASSERT_TRUE(Until([&] { return server_events_.readable; }));
  ASSERT_EQ(server_->Read(buffer).bytes, 4u);
  EXPECT_TRUE(server_->Read(buffer).blocked());
  ASSERT_EQ(server_->Write(std::string_view("pong"), false).bytes, 4u);
  server_->ShutdownWrite();
  ASSERT_TRUE(Until([&] { return client_events_.readable; }));
  EXPECT_EQ(client_->Read(buffer).bytes, 4u);
  IoResult end;
  ASSERT_TRUE(Until([&] { return !(end = client_->Read(buffer)).blocked(); }));
  EXPECT_EQ(end.state, IoResult::State::kEof);
  EXPECT_GT(client_->Write(std::string_view("still"), false).bytes, 0u);  // half closed only
}

TEST_P(StreamTest, MovesMoreThanTheSocketHoldsByWaitingForRoom) {
  Pair();
  const std::size_t total = 32 << 20;
  const int file = ::memfd_create("body", 0);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, static_cast<off_t>(total)), 0);
  auto* bytes =
      static_cast<char*>(::mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  for (std::size_t i = 0; i < total; i += 4096) bytes[i] = static_cast<char>(i / 4096);
  std::size_t sent = 0, received = 0;
  bool blocked = false, same = true;
  const auto pump = [&] {
    while (sent < total) {
      const IoResult result = server_->SendPages({bytes + sent, total - sent}, false);
      if (!result.ok()) {
        blocked |= result.blocked();
        return;
      }
      sent += result.bytes;
    }
  };
  std::vector<char> chunk(64 << 10);
  server_events_.on_writable = pump;
  client_events_.on_readable = [&] {
    for (;;) {
      const IoResult result = client_->Read(chunk);
      if (!result.ok()) return;
      same = same && std::memcmp(chunk.data(), bytes + received, result.bytes) == 0;
      received += result.bytes;
    }
  };
  pump();
  EXPECT_TRUE(Until([&] { return received == total; })) << received;
  EXPECT_TRUE(blocked);
  EXPECT_TRUE(same);
  ::munmap(bytes, total);
  ::close(file);
}

TEST_P(StreamTest, MayBeDestroyedInsideAnyOfItsCallbacks) {
  Pair();
  server_events_.on_readable = [&] { server_.reset(); };
  client_->Write(std::string_view("x"), false);
  ASSERT_TRUE(Until([&] { return server_ == nullptr; }));
  client_events_.on_deadline = [&] { client_.reset(); };
  client_->SetDeadline(milliseconds(1));
  EXPECT_TRUE(Until([&] { return client_ == nullptr; }));
}

TEST_P(StreamTest, ReplaysReadinessToANewHandler) {
  Pair();
  client_->Write(std::string_view("x"), false);
  ASSERT_TRUE(Until([&] { return server_events_.readable; }));
  Recorder second;
  server_->SetHandler(&second);
  EXPECT_TRUE(Until([&] { return second.readable; }));
  server_->SetHandler(nullptr);
}

TEST_P(StreamTest, TellsWhenThePeerIsGone) {
  Pair();
  server_->Abort();
  server_.reset();
  char buffer[4];
  ASSERT_TRUE(Until([&] { return client_events_.readable || !client_events_.broken.ok(); }));
  EXPECT_NE(client_->Read(buffer).state, IoResult::State::kOk);
}

INSTANTIATE_TEST_SUITE_P(, StreamTest,
                         testing::Combine(testing::Values("127.0.0.1:0", "[::1]:0", "unix"),
                                          testing::ValuesIn(kPollers)),
                         NameOf);

class TcpTest : public StreamPair {};

TEST_P(TcpTest, AResetSaysSoToTheOtherSide) {
  Pair();
  server_->Abort();
  server_.reset();
  ASSERT_TRUE(Until([&] { return !client_events_.broken.ok(); }));
  EXPECT_NE(client_events_.broken.message().find("127.0.0.1"), std::string::npos);
}

TEST_P(TcpTest, UsesNeitherNagleNorTheHostsBbrOnLoopback) {
  Pair();
  EXPECT_NE(CongestionOf(accepted_fd_), "bbr");
  EXPECT_TRUE(CongestionOf(accepted_fd_) == "cubic" || CongestionOf(accepted_fd_) == "reno");
}

TEST_P(TcpTest, ARefusedConnectIsToldOnceThroughTheHandler) {
  Pair();
  const Address gone = listener_->bound();
  listener_->Close();
  Recorder events;
  int told = 0;
  events.on_broken = [&] { ++told; };
  auto stream = Connect(*loop_, gone, {}, &events);
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE(Until([&] { return told > 0; }));
  loop_->RunOnce(milliseconds(5));
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(events.connected);
}

TEST_P(TcpTest, AnAddressInUseIsAlreadyExists) {
  Pair();
  auto second = Listener::Listen(
      *loop_, listener_->bound(), {}, [](UniqueFd, const Address&) {}, [](const base::Status&) {});
  EXPECT_EQ(second.status().code(), base::Code::kAlreadyExists);
}

INSTANTIATE_TEST_SUITE_P(, TcpTest,
                         testing::Combine(testing::Values("127.0.0.1:0"),
                                          testing::ValuesIn(kPollers)),
                         NameOf);

TEST(Listener, ReplacesASocketFileLeftByADeadProcessButNotALiveOne) {
  base::RealClock clock;
  auto loop = *EventLoop::Create(clock);
  char directory[] = "/tmp/sluice-net-XXXXXX";
  const std::string path = std::string(::mkdtemp(directory)) + "/s.sock";
  const Address address = *Address::Parse("unix:" + path);
  const auto listen = [&] {
    return Listener::Listen(
        *loop, address, {}, [](UniqueFd, const Address&) {}, [](const base::Status&) {});
  };
  {
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::bind(dead.get(), address.get(), address.length()), 0);
  }
  {
    auto first = listen();
    ASSERT_TRUE(first.ok()) << first.status().ToString();
    EXPECT_EQ(listen().status().code(), base::Code::kAlreadyExists);
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  ::rmdir(directory);
}

TEST(Address, ParsesAndPrintsEveryForm) {
  for (const char* text : {"127.0.0.1:80", "0.0.0.0:0", "[::1]:9000", "unix:/run/x.sock"}) {
    auto address = Address::Parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_TRUE(Address::Parse("127.3.0.1:1")->is_loopback());
  EXPECT_FALSE(Address::Parse("10.0.0.1:1")->is_loopback());
}

TEST(Address, RefusesWhatIsNotAnAddress) {
  for (const char* text : {"", "host:80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "::1:80",
                           "unix:relative", "unix:", "1.2.3.4:-1"})
    EXPECT_EQ(Address::Parse(text).status().code(), base::Code::kInvalidArgument) << text;
}

TEST(Resolver, AnswersLiteralsAndLocalhostOnTheLoop) {
  base::RealClock clock;
  auto loop = *EventLoop::Create(clock);
  Resolver resolver(clock);
  int answers = 0;
  const auto expect_loopback = [&](base::StatusOr<std::vector<Address>> result) {
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    ASSERT_FALSE(result->empty());
    EXPECT_TRUE(result->front().is_loopback());
    EXPECT_EQ(result->front().port(), 77);
    ++answers;
  };
  resolver.Resolve(*loop, "127.0.0.1", 77, expect_loopback);
  EXPECT_EQ(answers, 0);  // never from inside the call
  resolver.Resolve(*loop, "localhost", 77, expect_loopback);
  const auto deadline = clock.Mono() + seconds(20);
  while (answers < 2 && clock.Mono() < deadline) loop->RunOnce(milliseconds(10));
  EXPECT_EQ(answers, 2);
}

}  // namespace
}  // namespace sluice::net
