// Both sides of TLS over a pair of sockets, on one loop.
#include "datapath/net/tls_stream.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <string>

#include "datapath/net/stream_pair_for_test.h"
#include "datapath/net/tls_for_test.h"

namespace sluice::net {
namespace {

struct TlsEvents : StreamHandler {
  void OnConnected() override { connected = true; }
  void OnReadable() override {}
  void OnWritable() override {}
  void OnDeadline() override {}
  void OnBroken(const base::Status& why) override { broken = why; }
  bool connected = false;
  base::Status broken;
};

class TlsStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = EventLoop::Create(clock_).value();
    contexts_ = ServerOfTests(clock_);
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const int small = 64 << 10;
    ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    server_ = contexts_->Accept(Raw(ends[0]), &server_events_).value();
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    client_ = MakeTlsStream(Raw(ends[1]), SSL_new(context), TlsRole::kClient, &client_events_);
    SSL_CTX_free(context);
    ASSERT_TRUE(Until([this] { return server_events_.connected && client_events_.connected; }));
    loop_->RunOnce(base::Duration::zero());  // tickets, which may lie in the loop's batch
  }
  std::unique_ptr<Stream> Raw(int fd) {
    return AdoptSocket(*loop_, UniqueFd(fd), *Address::Parse("unix:/pair"), {}, nullptr).value();
  }
  bool Until(const std::function<bool()>& done) { return RunUntil(*loop_, done); }
  // Bytes that the socket took before it was full.
  std::size_t WriteUntilBlocked(const std::string& bytes) {
    std::size_t sent = 0;
    for (;;) {
      const IoResult result = server_->Write(std::string_view(bytes).substr(sent), false);
      if (!result.ok()) {
        EXPECT_TRUE(result.blocked());
        return sent;
      }
      sent += result.bytes;
    }
  }

  base::RealClock clock_;
  std::unique_ptr<EventLoop> loop_;
  std::shared_ptr<const TlsServer> contexts_;
  TlsEvents server_events_, client_events_;
  std::unique_ptr<Stream> server_, client_;
};

TEST_F(TlsStreamTest, ABlockedWriteGoesOnWithTheSameBytesAndTheEndIsTold) {
  const std::string bytes = Pattern(3'000'000);
  std::size_t sent = WriteUntilBlocked(bytes);
  ASSERT_LT(sent, bytes.size());
  std::string got;
  while (sent < bytes.size()) {
    ASSERT_EQ(ReadInto(*client_, &got), IoResult::State::kBlocked);
    loop_->RunOnce(base::Duration::zero());  // a record's end may lie in the loop's batch
    // In two pieces, as a head and its body: the same bytes all the same.
    const std::string_view left = std::string_view(bytes).substr(sent);
    const std::string_view head = left.substr(0, 100), body = left.substr(head.size());
    const iovec pieces[2] = {{const_cast<char*>(head.data()), head.size()},
                             {const_cast<char*>(body.data()), body.size()}};
    const IoResult result = server_->Write(pieces, false);
    ASSERT_NE(result.state, IoResult::State::kBroken);
    sent += result.bytes;
  }
  server_->ShutdownWrite();
  IoResult::State state = IoResult::State::kBlocked;
  ASSERT_TRUE(
      Until([&] { return (state = ReadInto(*client_, &got)) != IoResult::State::kBlocked; }));
  EXPECT_EQ(state, IoResult::State::kEof);
  EXPECT_TRUE(got == bytes);
}

TEST_F(TlsStreamTest, OtherBytesBehindABlockedWriteBreakTheConnection) {
  const std::string bytes = Pattern(3'000'000);
  WriteUntilBlocked(bytes);
  std::string got;
  ASSERT_EQ(ReadInto(*client_, &got), IoResult::State::kBlocked);
  const IoResult result = server_->Write(std::string(100'000, 'x'), false);
  EXPECT_EQ(result.state, IoResult::State::kBroken);
  ReadInto(*client_, &got);
  EXPECT_TRUE(bytes.starts_with(got));
}

TEST_F(TlsStreamTest, AnEndWithoutItsWordInTlsIsBroken) {
  ASSERT_TRUE(server_->Write(std::string_view("half"), false).ok());
  server_->Abort();
  server_.reset();
  std::string got;
  IoResult::State state = IoResult::State::kBlocked;
  ASSERT_TRUE(
      Until([&] { return (state = ReadInto(*client_, &got)) != IoResult::State::kBlocked; }));
  EXPECT_EQ(state, IoResult::State::kBroken);
  EXPECT_TRUE(std::string_view("half").starts_with(got));
}

TEST_F(TlsStreamTest, BytesInPiecesBeyondARecordAreNotLost) {
  const std::string bytes = Pattern(40'000);
  const iovec pieces[3] = {{const_cast<char*>(bytes.data()), 1},
                           {nullptr, 0},
                           {const_cast<char*>(bytes.data()) + 1, bytes.size() - 1}};
  const IoResult first = server_->Write(pieces, false);
  ASSERT_TRUE(first.ok());
  EXPECT_LT(first.bytes, bytes.size());
  const IoResult rest = server_->Write(std::string_view(bytes).substr(first.bytes), false);
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(first.bytes + rest.bytes, bytes.size());
  std::string got;
  ASSERT_TRUE(Until([&] { return ReadInto(*client_, &got), got.size() == bytes.size(); }));
  EXPECT_TRUE(got == bytes);
}

}  // namespace
}  // namespace sluice::net
