#include "controller/http/server.h"

#include <gtest/gtest.h>

#include "controller/http/client.h"
#include "controller/http/testing/clients.h"

namespace sluice::http {
namespace {

using base::Code;
using testing::ClientFor;
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

TEST(HttpServer, TwoServersDoNotShareAPort) {
  auto first = Server::New({}).value();
  ASSERT_TRUE(first->Start().ok());
  auto second = Server::New({.address = "127.0.0.1:" + std::to_string(first->port())}).value();
  EXPECT_EQ(second->Start().code(), Code::kUnavailable);
  EXPECT_FALSE(Server::New({.address = "nonsense"}).ok());
}

}  // namespace
}  // namespace sluice::http
