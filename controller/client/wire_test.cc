// What a kubeconfig says, as the server and the proxy see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controller/base/digest.h"
#include "controller/client/testing_support.h"

namespace sluice::client {
namespace {

using base::Code;
using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::ImposterTls;
using http::testing::RecordedRequest;
using http::testing::TestCa;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An API server whose certificate is for "api.test" alone, and a proxy that leads to it whatever
// name it is asked for.
class WireTest : public ::testing::Test {
 protected:
  std::string TextFor(const std::string& server, const std::string& more) const {
    return "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
           "clusters: [{name: c, cluster: {server: '" +
           server + "'" + more + "}}]\nusers: [{name: u, user: {token: t}}]\n";
  }
  std::string Ca() const {
    return ", certificate-authority-data: " + base::Base64Encode(ca_.cert_pem());
  }
  base::Status Ask(const base::StatusOr<Config>& config) const {
    if (!config.ok()) return config.status();
    const auto client = NewClient(*config);
    if (!client.ok()) return client.status();
    return (*client)->Get(kSites, {"", "x"}).status();
  }
  base::Status AskBy(const std::string& server, const std::string& more) const {
    return Ask(ParseKubeconfig(TextFor(server, more), {}));
  }
  std::string ProxyUrl() const {
    return "http://us%65r:p%40ss@127.0.0.1:" + std::to_string(proxy_.port());
  }
  // Of what the proxy was asked: the lines that are not the same in each case.
  void ExpectOneTunnel() const {
    ASSERT_EQ(proxy_.requests().size(), 1u);
    const RecordedRequest asked = proxy_.requests().front();
    EXPECT_EQ(asked.method, "CONNECT");
    EXPECT_EQ(asked.target, "api.test:6443");
    std::vector<std::string> names;
    for (const http::Header& header : asked.headers) names.push_back(header.name);
    EXPECT_THAT(names, ElementsAre("Host", "Proxy-Authorization")) << "and no token";
    EXPECT_EQ(http::FindHeader(asked.headers, "Host"), "api.test:6443");
    EXPECT_EQ(http::FindHeader(asked.headers, "Proxy-Authorization"),
              "Basic " + base::Base64Encode("user:p@ss"));
    ASSERT_EQ(api_.requests().size(), 1u);
    EXPECT_EQ(http::FindHeader(api_.requests()[0].headers, "Authorization"), "Bearer t");
    EXPECT_EQ(http::FindHeader(api_.requests()[0].headers, "Proxy-Authorization"), "");
  }

  TestCa ca_;
  TestCa::Issued cert_ = ca_.Issue("api", "DNS:api.test");
  Imposter api_{AnswerWithSite, ImposterTls{cert_.cert_pem, cert_.key_pem, ""}};
  Imposter proxy_{[this](ImposterConnection& c) {
    if (!c.ReadRequest()) return;
    c.Send("HTTP/1.1 200 Connected\r\n\r\n");
    c.RelayTo(api_.port());
  }};
};

TEST_F(WireTest, TheServerIsKnownByTheNameThatIsGivenForIt) {
  EXPECT_EQ(AskBy(api_.url(), Ca()).reason(), "CertificateInvalid");
  EXPECT_EQ(AskBy(api_.url(), Ca() + ", tls-server-name: other.test").reason(),
            "CertificateInvalid");
  const base::Status named = AskBy(api_.url(), Ca() + ", tls-server-name: api.test");
  EXPECT_TRUE(named.ok()) << named.ToString();
}

TEST_F(WireTest, AServerThatNobodyVouchesForIsTakenOnlyWhenTheFileSaysSo) {
  EXPECT_EQ(AskBy(api_.url(), "").reason(), "CertificateInvalid");
  const base::Status taken = AskBy(api_.url(), ", insecure-skip-tls-verify: true");
  EXPECT_TRUE(taken.ok()) << taken.ToString();
}

TEST_F(WireTest, TheProxyOfTheFileIsAskedForATunnel) {
  const base::Status asked =
      AskBy("https://api.test:6443", Ca() + ", proxy-url: '" + ProxyUrl() + "'");
  EXPECT_TRUE(asked.ok()) << asked.ToString();
  ExpectOneTunnel();
}

TEST_F(WireTest, TheProxyOfTheEnvironmentIsAskedWhereTheFileNamesNone) {
  const ScopedEnvironment proxy("HTTPS_PROXY", ProxyUrl());
  const ScopedEnvironment none("NO_PROXY", "");
  const ScopedEnvironment none_either("no_proxy", "");
  ScratchFolder folder;
  folder.Write("config", TextFor("https://api.test:6443", Ca()));
  const base::Status asked = Ask(LoadKubeconfig(folder.File("config")));
  EXPECT_TRUE(asked.ok()) << asked.ToString();
  ExpectOneTunnel();
}

TEST_F(WireTest, TheEnvironmentsProxyCountsForFilesAndPodsAndNeverForASecret) {
  const ScopedEnvironment proxy("HTTPS_PROXY", "http://p:1");
  const ScopedEnvironment none("NO_PROXY", "direct.test");
  const std::string text = TextFor("https://api.test:6443", Ca());
  EXPECT_EQ(ParseKubeconfig(text, {.inline_only = true})->proxy_url, "");
  EXPECT_EQ(ParseKubeconfig(text, {})->proxy_url, "");
  ScratchFolder folder;
  folder.Write("plain", text);
  folder.Write("named", TextFor("https://api.test:6443", ", proxy-url: 'http://q:1'"));
  folder.Write("direct", TextFor("https://direct.test:6443", ""));
  EXPECT_EQ(LoadKubeconfig(folder.File("plain"))->proxy_url, "http://p:1");
  EXPECT_EQ(LoadKubeconfig(folder.File("named"))->proxy_url, "http://q:1");
  EXPECT_EQ(LoadKubeconfig(folder.File("direct"))->proxy_url, "");
  const ScopedEnvironment files("KUBECONFIG", folder.File("plain"));
  EXPECT_EQ(DefaultConfig(Search::kPodFirst)->proxy_url, "http://p:1");
  const ScopedEnvironment host("KUBERNETES_SERVICE_HOST", "10.96.0.1");
  const ScopedEnvironment port("KUBERNETES_SERVICE_PORT", "443");
  EXPECT_EQ(InClusterConfig(folder.File(""))->proxy_url, "http://p:1");
  const ScopedEnvironment socks("HTTPS_PROXY", "socks5://u:SECRET@p:1");
  for (const auto& config : {LoadKubeconfig(folder.File("plain")), DefaultConfig(Search::kPodFirst),
                             InClusterConfig()}) {
    EXPECT_EQ(config.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(config.status().message(), HasSubstr("HTTPS_PROXY"));
  }
}

TEST(Impersonation, IsSentAsClientGoSendsIt) {
  Imposter server(AnswerWithSite);
  const auto config = ParseKubeconfig(
      "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
      "clusters: [{name: c, cluster: {server: '" +
          server.url() +
          "'}}]\nusers: [{name: u, user: {token: t, as: 'system:serviceaccount:a:b', as-uid: 7-7, "
          "as-groups: [one, 'two words'], as-user-extra: {Acme.com/Scopes: [view, edit], 'a%': "
          "[x]}}}]\n",
      {});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  ASSERT_TRUE(NewClient(*config).value()->Get(kSites, {"", "x"}).ok());
  const RecordedRequest request = server.requests().at(0);
  http::Headers seen;
  for (const http::Header& header : request.headers) {
    if (header.name.starts_with("Impersonate-")) seen.push_back(header);
  }
  EXPECT_THAT(seen, ::testing::UnorderedElementsAreArray(
                        http::Headers{{"Impersonate-User", "system:serviceaccount:a:b"},
                                      {"Impersonate-Uid", "7-7"},
                                      {"Impersonate-Group", "one"},
                                      {"Impersonate-Group", "two words"},
                                      {"Impersonate-Extra-acme.com%2Fscopes", "view"},
                                      {"Impersonate-Extra-acme.com%2Fscopes", "edit"},
                                      {"Impersonate-Extra-a%25", "x"}}));
}

}  // namespace
}  // namespace sluice::client
