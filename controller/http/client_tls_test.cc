#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "controller/http/client.h"
#include "controller/http/testing/clients.h"

namespace sluice::http {
namespace {

using base::Code;
using testing::Answer;
using testing::AnswerAll;
using testing::ClientFor;
using testing::Imposter;
using testing::ImposterConnection;
using testing::ImposterTls;
using testing::TestCa;

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

TEST(HttpClientTls, VouchesForTheNamesACertificateIsForAndNeverByItsCommonName) {
  TestCa ca;
  const auto ask = [&ca](const std::string& alt_names, const std::string& name) {
    const TestCa::Issued server = ca.Issue("api.test", alt_names);
    Imposter imposter(AnswerAll, ImposterTls{server.cert_pem, server.key_pem, ""});
    return ClientFor(imposter.url(), {.ca_pem = ca.cert_pem(), .server_name = name})
        ->Do({})
        .status();
  };
  EXPECT_EQ(ask("email:admin@api.test", "api.test").reason(), "CertificateInvalid");
  EXPECT_EQ(ask("DNS:a*.lab.test", "api.lab.test").reason(), "CertificateInvalid");
  EXPECT_TRUE(ask("DNS:*.lab.test", "api.lab.test").ok());
  for (const char* name : {".", ".test", ".api.test"}) {
    EXPECT_EQ(ask("DNS:api.test", name).code(), Code::kInvalidArgument) << name;
  }
}

TEST(HttpClientTls, TheDotOfAWholeNameIsNoPartOfWhatIsCheckedAndNamed) {
  TestCa ca;
  const TestCa::Issued server = ca.Issue("api", "DNS:api.test");
  Imposter imposter(AnswerAll, ImposterTls{server.cert_pem, server.key_pem, ""});
  const auto answer =
      ClientFor(imposter.url(), {.ca_pem = ca.cert_pem(), .server_name = "api.test."})->Do({});
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_EQ(imposter.requests().at(0).server_name, "api.test");
}

TEST(HttpClientTls, ACaThatIsGivenAndSaysNothingIsRefusedAndNeverTheSystemsRoots) {
  for (const char* text : {"", " \n", "no certificate"}) {
    const auto made = Client::New({.base_url = "https://h", .tls = {.ca_pem = text}});
    EXPECT_EQ(made.status().code(), Code::kInvalidArgument) << '"' << text << '"';
  }
}

TEST(HttpClientTls, AnIssuingCaIsEnoughWithoutItsRootAsInGo) {
  const TestCa root;
  const auto issuing = root.Intermediate();
  const TestCa::Issued server = issuing->Issue("api", "IP:127.0.0.1");
  Imposter imposter(AnswerAll, ImposterTls{server.cert_pem, server.key_pem, ""});
  const auto ask = [&](const std::string& ca) {
    return ClientFor(imposter.url(), {.ca_pem = ca})->Do({}).status();
  };
  EXPECT_TRUE(ask(issuing->cert_pem()).ok());
  EXPECT_TRUE(ask(root.cert_pem() + issuing->cert_pem()).ok());
  EXPECT_EQ(ask(root.cert_pem()).reason(), "CertificateInvalid") << "nothing between the two";
  EXPECT_EQ(ask(root.Intermediate()->cert_pem()).reason(), "CertificateInvalid");
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

TEST(HttpClientTls, AServersCertificateIsLookedAtAgainHoweverManySessionsAreResumed) {
  TestCa ca;
  const TestCa::Issued server = ca.Issue("api", "IP:127.0.0.1");
  std::atomic<int> full{0};
  std::atomic<int> resumed{0};
  Imposter imposter(
      [&](ImposterConnection& c) {
        const auto request = c.ReadRequest();
        if (!request) return;
        ++(request->resumed ? resumed : full);
        c.Send(Answer(200, "ok", "Connection: close\r\n"));
      },
      ImposterTls{server.cert_pem, server.key_pem, ""});
  const auto client = ClientFor(
      imposter.url(), {.ca_pem = ca.cert_pem(), .session_reuse = std::chrono::milliseconds(300)});
  // On a slow machine each of the first may find the session too old already.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((full < 3 || resumed == 0) && std::chrono::steady_clock::now() < end) {
    ASSERT_TRUE(client->Do({}).ok());
  }
  EXPECT_GE(full, 3);
  EXPECT_GT(resumed, 0);
}

}  // namespace
}  // namespace sluice::http
