// Clients that are silent, slow or refused keep nobody else from an answer.
#include "controller/http/server_intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "controller/http/limits.h"
#include "controller/http/server.h"
#include "controller/http/testing/clients.h"
#include "controller/http/testing/sockets.h"

namespace sluice::http {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing::ClientFor;
using testing::ConnectTo;
using testing::TestCa;

// The server of a page; whoever is held open to it, closed at the end.
class ServerIntakeTest : public ::testing::Test {
 protected:
  ~ServerIntakeTest() override {
    for (const int fd : open_) close(fd);
  }
  void Start(bool with_tls) {
    ServerOptions options;
    if (with_tls) {
      const TestCa::Issued issued = ca_.Issue("page", "IP:127.0.0.1");
      options.tls = std::make_shared<ServerTls>();
      ASSERT_TRUE(options.tls->Set({issued.cert_pem, issued.key_pem}).ok());
    }
    server_ = Server::New(options).value();
    server_->Handle("/healthz", [](const ServerRequest& r) {
      return ServerResponse{200, "text/plain", "ok" + r.body};
    });
    ASSERT_TRUE(server_->Start().ok());
    url_ = (with_tls ? "https" : "http") + ("://127.0.0.1:" + std::to_string(server_->port()));
  }
  int Open(std::string_view bytes = {}) {
    open_.push_back(ConnectTo(server_->port()));
    Send(open_.back(), bytes);
    return open_.back();
  }
  static bool Send(int fd, std::string_view bytes) {
    return send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // Each time on a connection of its own, as probes do.
  void ExpectAnswersFor(std::chrono::milliseconds time) {
    const auto end = steady_clock::now() + time;
    do {
      const auto client = ClientFor(url_, {.ca_pem = ca_.cert_pem()});
      const auto answer = client->Do({.target = "/healthz", .total_timeout = 1s});
      ASSERT_TRUE(answer.ok()) << answer.status().ToString();
      EXPECT_EQ(answer->body, "ok");
    } while (steady_clock::now() < end);
  }

  TestCa ca_;
  std::unique_ptr<Server> server_;
  std::string url_;
  std::vector<int> open_;
};

class ServerIntakeCrowdTest : public ServerIntakeTest,
                              public ::testing::WithParamInterface<bool> {};

TEST_P(ServerIntakeCrowdTest, SilentClientsAndThoseThatSendAByteAtATimeKeepNobodyWaiting) {
  Start(GetParam());
  // A request's head, or a handshake's, that never ends.
  const std::string_view begin = GetParam() ? std::string_view("\x16\x03\x01\x3f\x00\x01", 6)
                                            : std::string_view("GET /healthz HTTP/1.1\r\nA: ");
  for (int i = 0; i < 200; ++i) Open();
  std::vector<int> slow;
  for (int i = 0; i < 20; ++i) slow.push_back(Open(begin));
  std::jthread dribble([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (const int fd : slow) Send(fd, "a");
      std::this_thread::sleep_for(100ms);
    }
  });
  ExpectAnswersFor(2s);
}

INSTANTIATE_TEST_SUITE_P(PlainAndTls, ServerIntakeCrowdTest, ::testing::Bool());

TEST_F(ServerIntakeTest, RefusedClientsThatStayKeepNobodyWaiting) {
  Start(false);
  for (int i = 0; i < 100; ++i) Open("nonsense\r\n\r\n");
  ExpectAnswersFor(500ms);
}

TEST_F(ServerIntakeTest, TheOldestSilentClientMakesRoomForOneMore) {
  Start(false);
  const auto readable = [](int fd) {
    pollfd wait{fd, POLLIN, 0};
    return poll(&wait, 1, 0) == 1;
  };
  const int oldest = Open();
  for (std::size_t i = 1; i < kMaxServerWaiting; ++i) Open();
  ExpectAnswersFor(0ms);  // one more came, and went with its answer
  char byte = 0;
  EXPECT_EQ(recv(oldest, &byte, 1, 0), 0) << "closed";
  for (std::size_t i = 1; i < open_.size(); ++i) EXPECT_FALSE(readable(open_[i])) << i;
}

TEST_F(ServerIntakeTest, ARequestInAnyCuttingIsAnswered) {
  Start(false);
  const int fd = Open();
  const int one = 1;  // each byte leaves alone, and no acknowledgement is waited for
  ASSERT_EQ(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
  for (const char byte : std::string("POST /healthz HTTP/1.1\r\nContent-Length: 2\r\n\r\nay")) {
    ASSERT_TRUE(Send(fd, {&byte, 1}));
    std::this_thread::yield();
  }
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\nokay"));
}

TEST_F(ServerIntakeTest, AHeadThatIsNotWholeInTimeIsGivenUp) {
  Start(false);
  const auto began = steady_clock::now();  // before the server can have begun to count
  const int fd = Open("GET /healthz HTTP/1.1\r\n");
  char byte = 0;
  EXPECT_EQ(recv(fd, &byte, 1, 0), 0) << "closed, unanswered";
  EXPECT_GE(steady_clock::now() - began, kServerHeadTimeout);
}

}  // namespace
}  // namespace sluice::http
