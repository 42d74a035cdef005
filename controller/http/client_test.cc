#include "controller/http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "controller/http/testing/clients.h"

namespace sluice::http {
namespace {

using namespace std::chrono_literals;
using base::Code;
using testing::Answer;
using testing::AnswerAll;
using testing::Chunk;
using testing::ClientFor;
using ::testing::HasSubstr;
using testing::Imposter;
using testing::ImposterConnection;
using testing::kChunkedHead;
using testing::TestCa;

TEST(HttpClient, SendsHeadersThatLiveElsewhere) {
  Imposter imposter(AnswerAll);
  const HeaderView views[] = {{"B", "2"}, {"C", "3"}};
  const auto client = ClientFor(imposter.url());
  ASSERT_TRUE(client->Do({.headers = {{"A", "1"}}, .more_headers = views}).ok());
  const auto headers = imposter.requests().at(0).headers;
  EXPECT_EQ(FindHeader(headers, "A"), "1");
  EXPECT_EQ(FindHeader(headers, "B"), "2");
  EXPECT_EQ(FindHeader(headers, "C"), "3");
  const HeaderView bad[] = {{"B", "2\r\nD: 4"}};
  EXPECT_EQ(client->Do({.more_headers = bad}).status().code(), Code::kInvalidArgument);
}

TEST(HttpClient, TheAnswerOfAPeerThatRefusesALongBodyAndClosesIsNotLost) {
  const TestCa ca;
  const TestCa::Issued cert = ca.Issue("api", "IP:127.0.0.1");
  const std::string body(32 << 20, 'x');
  for (const bool tls : {false, true}) {
    for (const int code : {413, 200, 0}) {  // 0: none
      Imposter imposter(
          [&](ImposterConnection& c) {
            if (c.ReadHead() && code != 0) c.Send(Answer(code, "too long"));
          },
          tls ? std::optional(testing::ImposterTls{cert.cert_pem, cert.key_pem, ""})
              : std::nullopt);
      const auto client = ClientFor(imposter.url(), {.ca_pem = ca.cert_pem()});
      const auto answer = client->Do({.method = "POST", .body = body});
      if (code == 413) {
        ASSERT_TRUE(answer.ok()) << answer.status().ToString() << (tls ? " TLS" : "");
        EXPECT_EQ(answer->status, 413);
        EXPECT_EQ(answer->body, "too long");
      } else {
        EXPECT_EQ(answer.status().reason(), "ConnectionCut") << "half a body is not done: " << code;
      }
      EXPECT_EQ(imposter.connections(), 1) << "sent once";
    }
  }
}

// A connection given back moments ago is used again without a look at it.
TEST(HttpClient, AWriteOnAConnectionClosedMomentsAgoIsSentOnceAtMost) {
  std::atomic<int> posts{0};
  Imposter imposter([&posts](ImposterConnection& c) {
    while (c.ReadRequest()) {
      ++posts;
      c.Send(Answer(200, "ok"));
      if (c.index() % 2 == 0) return;  // closes without having said so
    }
  });
  const auto client = ClientFor(imposter.url());
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    const auto answer = client->Do({.method = "POST", .body = "x"});
    answered += answer.ok();
    EXPECT_EQ(answer.ok() ? "ConnectionCut" : answer.status().reason(), "ConnectionCut");
  }
  EXPECT_EQ(answered, posts.load()) << "each that was taken was answered, each once";
}

TEST(HttpClient, KeepsItsConnection) {
  Imposter imposter(AnswerAll);
  const auto client = ClientFor(imposter.url() + "/prefix/");
  for (int i = 0; i < 3; ++i) {
    const auto answer = client->Do({.method = "POST", .target = "/a?b=c", .body = "body"});
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    EXPECT_EQ(answer->body, "ok");
  }
  EXPECT_EQ(imposter.connections(), 1);
  EXPECT_EQ(imposter.requests().at(2).target, "/prefix/a?b=c");
  EXPECT_EQ(imposter.requests().at(2).body, "body");
}

TEST(HttpClient, RetriesAReadOnAKeptConnectionThatTheServerClosed) {
  // The server reads the second request and closes without an answer.
  Imposter imposter([](ImposterConnection& c) {
    if (c.ReadRequest()) c.Send(Answer(200, "ok"));
    if (c.index() == 0) c.ReadRequest();
  });
  const auto client = ClientFor(imposter.url());
  ASSERT_TRUE(client->Do({}).ok());
  EXPECT_TRUE(client->Do({}).ok());
  EXPECT_EQ(imposter.connections(), 2);
}

TEST(HttpClient, NeverRepeatsAWriteByItself) {
  Imposter imposter([](ImposterConnection& c) {
    if (c.ReadRequest()) c.Send(Answer(200, "ok"));
    if (c.index() == 0) c.ReadRequest();
  });
  const auto client = ClientFor(imposter.url());
  ASSERT_TRUE(client->Do({}).ok());
  const auto answer = client->Do({.method = "POST", .body = "x"});
  EXPECT_EQ(answer.status().code(), Code::kUnavailable);
  EXPECT_EQ(imposter.requests().size(), 2u);
}

TEST(HttpClient, StreamsPiecesAsTheyCome) {
  std::promise<void> first_seen;
  Imposter imposter([&](ImposterConnection& c) {
    c.ReadRequest();
    c.Send(std::string(kChunkedHead) + Chunk("one"));
    first_seen.get_future().wait();  // nothing more until the client saw the first piece
    c.Send(Chunk("two") + Chunk(""));
    c.WaitForClose();
  });
  const auto client = ClientFor(imposter.url());
  std::vector<std::string> pieces;
  const auto answer = client->Do({}, [&](std::string_view piece) {
    if (pieces.size() == 1) first_seen.set_value();
    pieces.emplace_back(piece);
    return base::OkStatus();
  });
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_THAT(pieces, ::testing::ElementsAre("", "one", "two")) << "the head first";
  EXPECT_EQ(answer->body, "");
}

TEST(HttpClient, AnErrorOfTheSinkEndsTheCall) {
  Imposter imposter(AnswerAll);
  const auto answer =
      ClientFor(imposter.url())->Do({}, [](std::string_view) { return base::Aborted("enough"); });
  EXPECT_EQ(answer.status(), base::Aborted("enough"));
}

TEST(HttpClient, ASilentServerHitsTheReadLimitAndASlowOneTheTotal) {
  Imposter imposter([](ImposterConnection& c) {
    const auto request = c.ReadRequest();
    if (request && request->target == "/drip") {
      c.Send(kChunkedHead);
      while (c.Send(Chunk("x"))) std::this_thread::yield();
    }
    c.WaitForClose();
  });
  const auto client = ClientFor(imposter.url());
  EXPECT_EQ(client->Do({.read_timeout = 30ms}).status().reason(), "Read");
  const auto slow = client->Do({.target = "/drip", .read_timeout = 5s, .total_timeout = 60ms});
  EXPECT_EQ(slow.status().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(slow.status().reason(), "Total");
}

TEST(HttpClient, AStopTokenCallsOffAWaitingCall) {
  std::stop_source source;
  Imposter imposter([&](ImposterConnection& c) {
    c.ReadRequest();
    source.request_stop();
    c.WaitForClose();
  });
  const auto answer = ClientFor(imposter.url())->Do({.stop = source.get_token()});
  EXPECT_EQ(answer.status().code(), Code::kCancelled);
}

TEST(HttpClient, StopEndsCallsUnderWayAndLaterOnes) {
  std::unique_ptr<Client> client;
  Imposter imposter([&](ImposterConnection& c) {
    c.ReadRequest();
    client->Stop();
    c.WaitForClose();
  });
  client = ClientFor(imposter.url());
  EXPECT_EQ(client->Do({}).status().code(), Code::kCancelled);
  EXPECT_EQ(client->Do({}).status().code(), Code::kCancelled);
  EXPECT_EQ(imposter.requests().size(), 1u);
}

TEST(HttpClient, BoundsTheBodyItKeeps) {
  Imposter imposter([](ImposterConnection& c) {
    while (c.ReadRequest()) c.Send(Answer(200, std::string(1000, 'x')));
  });
  const auto answer = ClientFor(imposter.url())->Do({.max_body_bytes = 999});
  EXPECT_EQ(answer.status().code(), Code::kResourceExhausted);
}

TEST(HttpClient, RefusesInjectionThroughTargetOrHeader) {
  Imposter imposter(AnswerAll);
  const auto client = ClientFor(imposter.url());
  EXPECT_EQ(client->Do({.target = "/a b"}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(client->Do({.headers = {{"A", "b\r\nC: d"}}}).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(imposter.requests().empty());
}

TEST(HttpClient, ARefusedConnectionSaysSo) {
  // Bound, so that the port is nobody else's, and not listening.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const auto answer = ClientFor("http://127.0.0.1:" + port)->Do({});
  EXPECT_EQ(answer.status().reason(), "ConnectionRefused") << answer.status().ToString();
  close(fd);
}

TEST(HttpClient, ATunnelThroughAProxyCarriesTls) {
  TestCa ca;
  const TestCa::Issued server = ca.Issue("api", "DNS:api.test");
  // The proxy plays the server too: after CONNECT it would forward; here it refuses by name.
  Imposter proxy([](ImposterConnection& c) {
    while (auto request = c.ReadRequest()) {
      c.Send(request->target == "api.test:443" ? Answer(403, "") : Answer(500, ""));
    }
  });
  auto client =
      Client::New({.base_url = "https://api.test",
                   .tls = {.ca_pem = ca.cert_pem()},
                   .proxy_url = "http://u:%70@127.0.0.1:" + std::to_string(proxy.port())});
  ASSERT_TRUE(client.ok());
  const auto answer = (*client)->Do({});
  EXPECT_EQ(answer.status().reason(), "Proxy");
  EXPECT_NE(answer.status().message().find("403"), std::string::npos);
  EXPECT_EQ(proxy.requests().at(0).method, "CONNECT");
  EXPECT_EQ(FindHeader(proxy.requests().at(0).headers, "Proxy-Authorization"), "Basic dTpw");
}

TEST(HttpClient, AProxyThatExplainsItsRefusalIsToldByItsStatus) {
  const auto message = [](const std::string& answer) {
    Imposter proxy([&](ImposterConnection& c) {
      if (c.ReadRequest()) c.Send(answer);
    });
    const auto client =
        Client::New({.base_url = "https://api.test",
                     .proxy_url = "http://token@127.0.0.1:" + std::to_string(proxy.port())});
    const base::Status status = (*client)->Do({}).status();
    EXPECT_EQ(status.reason(), "Proxy") << status.ToString();
    EXPECT_EQ(FindHeader(proxy.requests().at(0).headers, "Proxy-Authorization"), "Basic dG9rZW46");
    return status.message();
  };
  EXPECT_THAT(message(Answer(407, "<html>who are you?</html>")), HasSubstr("answered 407"));
  EXPECT_THAT(message("HTTP/1.1 200 OK\r\n\r\nhello"), HasSubstr("bytes of its own"));
}

// A socket that listens and takes no connection.
class DeafListener {
 public:
  explicit DeafListener(int backlog) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    SLUICE_CHECK(bind(fd_, as_any(), size) == 0 && listen(fd_, backlog) == 0);
    SLUICE_CHECK(getsockname(fd_, as_any(), &size) == 0);
  }
  ~DeafListener() {
    for (const int fd : waiting_) close(fd);
    close(fd_);
  }
  DeafListener(const DeafListener&) = delete;
  DeafListener& operator=(const DeafListener&) = delete;
  // Connects until the kernel takes no more: the next one's SYN goes unanswered.
  void Fill() {
    for (bool taken = true; taken;) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      waiting_.push_back(fd);
      pollfd wait{fd, POLLOUT, 0};
      taken = connect(fd, as_any(), sizeof(address_)) == 0 || poll(&wait, 1, 200) == 1;
    }
  }
  std::string authority() const { return "127.0.0.1:" + std::to_string(ntohs(address_.sin_port)); }

 private:
  sockaddr* as_any() { return reinterpret_cast<sockaddr*>(&address_); }
  const int fd_;
  sockaddr_in address_{};
  std::vector<int> waiting_;
};

TEST(HttpClient, AServerThatTakesNoConnectionHitsTheConnectLimit) {
  const auto status = [](const std::string& url) {
    const auto client = Client::New({.base_url = url, .connect_timeout = 100ms});
    return (*client)->Do({.read_timeout = 60s, .total_timeout = 60s}).status();
  };
  DeafListener silent(16);
  EXPECT_EQ(status("https://" + silent.authority()).reason(), "Connect") << "in the handshake";
  DeafListener full(0);
  full.Fill();
  const base::Status refused = status("http://" + full.authority());
  EXPECT_EQ(refused.reason(), "Connect") << "before it: " << refused.ToString();
  EXPECT_EQ(refused.code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace sluice::http
