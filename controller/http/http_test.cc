#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>

#include "controller/http/client.h"
#include "controller/http/control_bytes.h"
#include "controller/http/server.h"
#include "controller/http/testing/imposter.h"

namespace sluice::http {
namespace {

using namespace std::chrono_literals;
using base::Code;
using testing::Answer;
using testing::Chunk;
using testing::Imposter;
using testing::ImposterConnection;
using testing::ImposterTls;
using testing::kChunkedHead;
using testing::TestCa;

void AnswerAll(ImposterConnection& connection) {
  while (connection.ReadRequest()) connection.Send(Answer(200, "ok"));
}

std::unique_ptr<Client> ClientFor(const std::string& url, TlsOptions tls = {}) {
  auto client = Client::New({.base_url = url, .tls = std::move(tls)});
  SLUICE_CHECK(client.ok());
  return std::move(client).value();
}

TEST(Url, IsTakenApart) {
  const Url url = ParseUrl("https://user:pw@[::1]:6443/api?x=1").value();
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, 6443);
  EXPECT_EQ(url.userinfo, "user:pw");
  EXPECT_EQ(url.path, "/api?x=1");
  EXPECT_EQ(url.Authority(), "[::1]:6443");
  EXPECT_EQ(ParseUrl("http://h").value().Authority(), "h");
  for (const char* bad : {"", "h:80", "ftp://h", "http://", "http://h:0", "http://h:99999",
                          "http://h h", "http://::1", "http://h#f", "http://[::1"}) {
    EXPECT_FALSE(ParseUrl(bad).ok()) << bad;
  }
}

TEST(Url, QueryNamesAndValuesAreEncoded) {
  EXPECT_EQ(EncodeQuery({{"query", "up{job=\"a\"} > 1"}, {"t", "1"}}),
            "query=up%7Bjob%3D%22a%22%7D%20%3E%201&t=1");
}

struct Parsed {
  base::Status status;
  std::string body;
  bool done = false;
  bool keep = false;
};

Parsed ParseInSteps(std::string_view bytes, std::size_t step, bool ended = false) {
  ResponseParser parser(false);
  Parsed out;
  while (!bytes.empty() && !parser.done()) {
    const auto used = parser.Feed(bytes.substr(0, step), [&](std::string_view piece) {
      out.body += piece;
      return base::OkStatus();
    });
    if (!used.ok()) {
      out.status = used.status();
      return out;
    }
    bytes.remove_prefix(*used);
  }
  if (ended) out.status = parser.FeedEnd();
  out.done = parser.done();
  out.keep = parser.keep_alive();
  return out;
}

TEST(ResponseParser, GivesTheSameBodyInAnyCutting) {
  const std::string fixed = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: "
      "t\r\n\r\n";
  const std::string interim = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + fixed;
  for (const std::string& text : {fixed, chunked, interim}) {
    for (std::size_t step = 1; step <= text.size(); ++step) {
      const Parsed parsed = ParseInSteps(text, step);
      EXPECT_TRUE(parsed.done) << step;
      EXPECT_TRUE(parsed.keep);
      EXPECT_EQ(parsed.body, "hello");
    }
  }
}

TEST(ResponseParser, ABodyUntilCloseIsWholeOnlyAtTheEnd) {
  const std::string text = "HTTP/1.1 200 OK\r\n\r\nhello";
  EXPECT_FALSE(ParseInSteps(text, 3).done);
  const Parsed ended = ParseInSteps(text, 3, true);
  EXPECT_TRUE(ended.done);
  EXPECT_FALSE(ended.keep);
}

TEST(ResponseParser, ACutAnswerIsNeverWhole) {
  for (const char* text :
       {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}) {
    EXPECT_EQ(ParseInSteps(text, 4, true).status.reason(), "ConnectionCut") << text;
  }
}

TEST(ResponseParser, RefusesWhatCouldBeReadTwoWays) {
  for (const char* text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/2 200\r\n\r\n      ",
        "HTTP/1.1 999 X\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n"}) {
    EXPECT_EQ(ParseInSteps(text, 100).status.code(), Code::kDataLoss) << text;
  }
}

TEST(ControlBytes, AreFoundAtEveryPlaceAndOnlyThese) {
  for (std::size_t at = 0; at < 20; ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text(20, 'a');
      text[at] = static_cast<char>(byte);
      const bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
      EXPECT_EQ(HasControl(text), control) << byte << " at " << at;
    }
  }
  EXPECT_FALSE(HasControl(std::string(40, '\t')));
}

TEST(ResponseParser, BoundsTheHead) {
  const std::string endless = "HTTP/1.1 200 OK\r\nA: " + std::string(kMaxHeaderBytes, 'x');
  EXPECT_EQ(ParseInSteps(endless, 1000).status.code(), Code::kResourceExhausted);
}

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
    if (pieces.empty()) first_seen.set_value();
    pieces.emplace_back(piece);
    return base::OkStatus();
  });
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_THAT(pieces, ::testing::ElementsAre("one", "two"));
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
  int port = 0;
  {
    Imposter gone(AnswerAll);
    port = gone.port();
  }
  const auto answer = ClientFor("http://127.0.0.1:" + std::to_string(port))->Do({});
  EXPECT_EQ(answer.status().reason(), "ConnectionRefused") << answer.status().ToString();
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
  auto client = Client::New({.base_url = "https://api.test",
                             .tls = {.ca_pem = ca.cert_pem()},
                             .proxy_url = "http://u:p@127.0.0.1:" + std::to_string(proxy.port())});
  ASSERT_TRUE(client.ok());
  const auto answer = (*client)->Do({});
  EXPECT_EQ(answer.status().reason(), "Proxy");
  EXPECT_NE(answer.status().message().find("403"), std::string::npos);
  EXPECT_EQ(proxy.requests().at(0).method, "CONNECT");
  EXPECT_EQ(FindHeader(proxy.requests().at(0).headers, "Proxy-Authorization"), "Basic dTpw");
}

TEST(HttpClientTls, VerifiesNameAndIssuer) {
  TestCa ca;
  TestCa other;
  const TestCa::Issued server = ca.Issue("api", "IP:127.0.0.1,DNS:api.test");
  Imposter imposter(AnswerAll, ImposterTls{server.cert_pem, server.key_pem, ""});
  const auto ask = [&](TlsOptions tls) {
    return ClientFor(imposter.url(), std::move(tls))->Do({});
  };

  EXPECT_TRUE(ask({.ca_pem = ca.cert_pem()}).ok());
  EXPECT_TRUE(ask({.ca_pem = ca.cert_pem(), .server_name = "api.test"}).ok());
  EXPECT_TRUE(ask({.insecure_skip_verify = true}).ok());
  EXPECT_EQ(ask({.ca_pem = other.cert_pem()}).status().reason(), "CertificateInvalid");
  EXPECT_EQ(ask({.ca_pem = ca.cert_pem(), .server_name = "evil.test"}).status().reason(),
            "CertificateInvalid");
  EXPECT_EQ(ask({}).status().reason(), "CertificateInvalid");
}

TEST(HttpClientTls, ShowsItsClientCertificate) {
  TestCa ca;
  const TestCa::Issued server = ca.Issue("api", "IP:127.0.0.1");
  const TestCa::Issued user = ca.Issue("user", "DNS:user");
  Imposter imposter(AnswerAll, ImposterTls{server.cert_pem, server.key_pem, ca.cert_pem()});
  EXPECT_FALSE(ClientFor(imposter.url(), {.ca_pem = ca.cert_pem()})->Do({}).ok());
  const auto client = ClientFor(imposter.url(), {ca.cert_pem(), user.cert_pem, user.key_pem});
  EXPECT_TRUE(client->Do({}).ok());
  EXPECT_TRUE(client->Do({}).ok());  // session tickets do not spoil the kept connection
  EXPECT_EQ(imposter.connections(), 2);
}

TEST(HttpClientTls, ACutAfterTheRequestIsNoFailedHandshake) {
  TestCa ca;
  const TestCa::Issued server = ca.Issue("api", "IP:127.0.0.1");
  Imposter imposter(
      [](ImposterConnection& c) {
        c.ReadRequest();
        c.Cut();
      },
      ImposterTls{server.cert_pem, server.key_pem, ""});
  const auto client = ClientFor(imposter.url(), {.ca_pem = ca.cert_pem()});
  EXPECT_EQ(client->Do({.method = "POST"}).status().reason(), "ConnectionCut");
  EXPECT_EQ(imposter.requests().size(), 1u);
}

TEST(HttpClientTls, RotationReplacesKeptConnectionsAndABadTextChangesNothing) {
  TestCa ca;
  const TestCa::Issued server = ca.Issue("api", "IP:127.0.0.1");
  Imposter imposter(AnswerAll, ImposterTls{server.cert_pem, server.key_pem, ""});
  const auto client = ClientFor(imposter.url(), {.ca_pem = ca.cert_pem()});
  ASSERT_TRUE(client->Do({}).ok());
  EXPECT_EQ(client->SetTls({.ca_pem = "garbage"}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(client->Do({}).ok());
  EXPECT_EQ(imposter.connections(), 1);
  ASSERT_TRUE(client->SetTls({.ca_pem = ca.cert_pem()}).ok());
  ASSERT_TRUE(client->Do({}).ok());
  EXPECT_EQ(imposter.connections(), 2);
}

TEST(HttpClientTls, ANewConnectionResumesTheSessionUntilARotation) {
  TestCa ca;
  const TestCa::Issued server = ca.Issue("api", "IP:127.0.0.1");
  const TestCa::Issued user = ca.Issue("user", "DNS:user");
  Imposter imposter(
      [](ImposterConnection& c) {
        if (c.ReadRequest()) c.Send(Answer(200, "ok", "Connection: close\r\n"));
      },
      ImposterTls{server.cert_pem, server.key_pem, ca.cert_pem()});
  const TlsOptions tls{ca.cert_pem(), user.cert_pem, user.key_pem};
  const auto client = ClientFor(imposter.url(), tls);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client->Do({}).ok());
  ASSERT_TRUE(client->SetTls(tls).ok());
  ASSERT_TRUE(client->Do({}).ok());
  const auto requests = imposter.requests();
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_FALSE(requests[0].resumed);
  EXPECT_TRUE(requests[1].resumed);
  EXPECT_TRUE(requests[2].resumed);
  EXPECT_FALSE(requests[3].resumed) << "new roots and keys have to be tried";
}

TEST(HttpServer, ServesExactPathsAndPrefixes) {
  auto server = Server::New({}).value();
  server->Handle("/metrics", [](const ServerRequest&) {
    return ServerResponse{200, "text/plain", "m"};
  });
  server->Handle("/readyz/", [](const ServerRequest& r) {
    return ServerResponse{503, "text/plain",
                          r.path + "?" + std::string(FindHeader(r.query, "verbose"))};
  });
  server->Handle("/throws",
                 [](const ServerRequest&) -> ServerResponse { throw std::runtime_error("x"); });
  ASSERT_TRUE(server->Start().ok());
  const auto client = ClientFor("http://127.0.0.1:" + std::to_string(server->port()));
  EXPECT_EQ(client->Do({.target = "/metrics"})->body, "m");
  const auto ready = client->Do({.target = "/readyz/leader?verbose=1"});
  EXPECT_EQ(ready->status, 503);
  EXPECT_EQ(ready->body, "/readyz/leader?1");
  EXPECT_EQ(client->Do({.target = "/throws"})->status, 500);
  EXPECT_EQ(client->Do({.target = "/other"})->status, 404);
  EXPECT_EQ(client->Do({.method = "POST", .target = "/metrics", .body = "x"})->body, "m");
  server->Stop();
  EXPECT_FALSE(client->Do({.target = "/metrics"}).ok());
}

TEST(HttpServer, OverTlsEachHandshakeTakesTheCertificateThatIsSetThen) {
  TestCa first;
  TestCa second;
  const auto pair = [](const TestCa& ca) {
    const TestCa::Issued issued = ca.Issue("hook", "IP:127.0.0.1");
    return base::KeyPair{issued.cert_pem, issued.key_pem};
  };
  const auto tls = std::make_shared<ServerTls>();
  auto server = Server::New({.max_body_bytes = 10, .tls = tls}).value();
  server->Handle("/", [](const ServerRequest& r) {
    return ServerResponse{200, "text/plain", r.body};
  });
  ASSERT_TRUE(server->Start().ok());
  const std::string url = "https://127.0.0.1:" + std::to_string(server->port());
  const auto asked = [&](const TestCa& ca, const std::string& body) {
    return ClientFor(url, {.ca_pem = ca.cert_pem()})
        ->Do({.method = "POST", .target = "/", .body = body});
  };
  EXPECT_FALSE(asked(first, "x").ok()) << "no certificate yet";
  ASSERT_TRUE(tls->Set(pair(first)).ok());
  EXPECT_EQ(asked(first, "x")->body, "x");
  EXPECT_EQ(asked(first, "longer than ten")->status, 413);
  EXPECT_EQ(tls->Set({pair(first).certificate_pem, pair(second).key_pem}).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(asked(first, "x")->body, "x") << "the good one stayed";
  ASSERT_TRUE(tls->Set(pair(second)).ok());
  EXPECT_EQ(asked(first, "x").status().reason(), "CertificateInvalid");
  EXPECT_EQ(asked(second, "y")->body, "y");
}

TEST(HttpServer, TwoServersDoNotShareAPort) {
  auto first = Server::New({}).value();
  ASSERT_TRUE(first->Start().ok());
  auto second = Server::New({.address = "127.0.0.1:" + std::to_string(first->port())}).value();
  EXPECT_EQ(second->Start().code(), Code::kUnavailable);
  EXPECT_FALSE(Server::New({.address = "nonsense"}).ok());
}

}  // namespace
}  // namespace sluice::http
