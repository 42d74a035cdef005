#include "controller/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <latch>

#include "controller/base/check.h"
#include "controller/http/client.h"
#include "controller/http/limits.h"
#include "controller/http/testing/clients.h"
#include "controller/http/testing/sockets.h"

namespace sluice::http {
namespace {

using base::Code;
using ::testing::AllOf;
using testing::ClientFor;
using testing::ConnectTo;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TestCa;

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

// What is answered to these bytes, all of it.
std::string Raw(int port, const std::string& bytes) {
  const int fd = ConnectTo(port);
  SLUICE_CHECK(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(bytes.size()));
  shutdown(fd, SHUT_WR);
  std::string out;
  char buffer[4096];
  for (ssize_t n = 0; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(n));
  }
  close(fd);
  return out;
}

TEST(HttpServer, RefusalsAreAnsweredAndOthersGoUnanswered) {
  auto server = Server::New({.max_body_bytes = 10}).value();
  server->Handle("/", [](const ServerRequest& r) {
    return ServerResponse{200, "text/plain", r.method + r.body};
  });
  ASSERT_TRUE(server->Start().ok());
  const auto answer = [&](const std::string& bytes) { return Raw(server->port(), bytes); };
  EXPECT_THAT(answer("GET / HTTP/1.1\r\n\r\n"), EndsWith("\r\n\r\nGET"));
  EXPECT_THAT(answer("HEAD / HTTP/1.1\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Length: 4\r\n"),
                    EndsWith("close\r\n\r\n")));
  EXPECT_THAT(answer("HEAD /other HTTP/1.1\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 404 "), EndsWith("close\r\n\r\n")));
  EXPECT_THAT(answer("PUT / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(answer("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 411 "));
  EXPECT_THAT(answer("POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\nelevenbytes"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer("GET / HTTP/1.1\r\nA: " + std::string(kMaxServerHeadBytes, 'a')),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(answer("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"),
              EndsWith("\r\n\r\nPOSTab"));
  EXPECT_EQ(answer("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na"), "") << "cut short";
  EXPECT_EQ(answer(""), "");
}

TEST(HttpServer, WhatNoHandlerGetsIsRefusedBeforeAByteOfItsBodyComes) {
  auto server = Server::New({.threads = 1}).value();
  std::atomic<int> refused = 0;
  const auto length = [](const ServerRequest& r) {
    return ServerResponse{200, "text/plain", std::to_string(r.body.size())};
  };
  server->Handle("/validate", length, {.max_body_bytes = 7 << 20, .refused = [&] { ++refused; }});
  server->Handle("/convert", length, {.max_body_bytes = 64 << 20});
  server->Handle("/page", length);
  ASSERT_TRUE(server->Start().ok());
  const auto head = [&](const std::string& request) {
    const int fd = ConnectTo(server->port());
    const std::string bytes = request + " HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n";
    SLUICE_CHECK(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
    std::string status(sizeof("HTTP/1.1 404") - 1, ' ');
    status.resize(static_cast<std::size_t>(
        std::max<ssize_t>(recv(fd, status.data(), status.size(), MSG_WAITALL), 0)));
    close(fd);
    return status;
  };
  EXPECT_EQ(head("POST /validate"), "HTTP/1.1 413");
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(head("POST /page"), "HTTP/1.1 413") << "as the server's options say";
  EXPECT_EQ(head("POST /other"), "HTTP/1.1 404");
  EXPECT_EQ(head("PUT /convert"), "HTTP/1.1 405");
  const auto client = ClientFor("http://127.0.0.1:" + std::to_string(server->port()));
  const std::string body(8 << 20, 'x');
  EXPECT_EQ(client->Do({.method = "POST", .target = "/convert", .body = body})->body, "8388608");
  EXPECT_EQ(refused, 1);
}

TEST(HttpServer, StopsWhileAClientSaysNothingAndAnswersWhatWasAsked) {
  auto server = Server::New({.threads = 2}).value();
  std::latch asked(1), stopping(1);
  server->Handle("/", [&](const ServerRequest&) {
    asked.count_down();
    stopping.wait();
    return ServerResponse{200, "text/plain", "late"};
  });
  ASSERT_TRUE(server->Start().ok());
  const int silent = ConnectTo(server->port());
  auto answer =
      std::async(std::launch::async, [&] { return Raw(server->port(), "GET / HTTP/1.1\r\n\r\n"); });
  asked.wait();
  auto stopped = std::async(std::launch::async, [&] { server->Stop(); });
  stopping.count_down();
  EXPECT_THAT(answer.get(), EndsWith("late"));
  stopped.get();
  close(silent);
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
