#include "controller/client/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "controller/base/digest.h"
#include "controller/client/credentials.h"
#include "controller/client/kubeconfig.h"
#include "controller/client/limits.h"
#include "controller/client/testing_support.h"

namespace sluice::client {
namespace {

using namespace std::chrono_literals;
using base::Code;
using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::ImposterTls;
using http::testing::TestCa;
using ::testing::HasSubstr;

std::string Kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
         "contexts:\n- name: a\n  context: {cluster: c, user: u, namespace: n}\n"
         "- name: b\n  context: {cluster: c}\n"
         "clusters:\n- name: c\n  cluster: {" +
         cluster +
         "}\n"
         "users:\n- name: u\n  user: {" +
         user + "}\n";
}

TEST(Kubeconfig, IsReadWithContextDataAndFiles) {
  const std::string text = Kubeconfig(
      "server: https://h:6443, tls-server-name: api, certificate-authority: ca.pem, proxy-url: "
      "http://p:1",
      "client-certificate-data: " + base::Base64Encode("CERT") +
          ", client-key: /k.pem, tokenFile: t");
  const auto config = ParseKubeconfig(text, {.folder = "/etc/x"});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->server, "https://h:6443");
  EXPECT_EQ(config->tls_server_name, "api");
  EXPECT_EQ(config->ca_file, "/etc/x/ca.pem");
  EXPECT_EQ(config->cert_pem, "CERT");
  EXPECT_EQ(config->key_file, "/k.pem");
  EXPECT_EQ(config->token_file, "/etc/x/t");
  EXPECT_EQ(config->ns, "n");
  EXPECT_EQ(ParseKubeconfig(text, {.context = "b"})->ns, "");
}

TEST(Kubeconfig, PathsAreRelativeToTheFoldersOfTheirFileTheRootToo) {
  EXPECT_EQ(FolderOf("/etc/x/config"), "/etc/x");
  EXPECT_EQ(FolderOf("x/config"), "x");
  EXPECT_EQ(FolderOf("config"), "");
  EXPECT_EQ(FolderOf("/config"), "/");
  const std::string text =
      Kubeconfig("server: https://h, certificate-authority: ca.pem", "tokenFile: d/t");
  EXPECT_EQ(ParseKubeconfig(text, {.folder = "/"})->ca_file, "/ca.pem");
  EXPECT_EQ(ParseKubeconfig(text, {.folder = "/"})->token_file, "/d/t");
  EXPECT_EQ(ParseKubeconfig(text, {.folder = ""})->ca_file, "ca.pem");
}

TEST(Kubeconfig, JsonIsYamlToo) {
  EXPECT_EQ(
      ParseKubeconfig(
          R"({"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c","user":"u"}}],
      "clusters":[{"name":"c","cluster":{"server":"https://h"}}],"users":[{"name":"u","user":{"token":"t"}}]})",
          {})
          ->token,
      "t");
}

TEST(Kubeconfig, FromASecretMayHoldDataOnly) {
  const auto inline_only = [](const std::string& cluster, const std::string& user) {
    return ParseKubeconfig(Kubeconfig("server: https://h, " + cluster, user), {.inline_only = true})
        .status();
  };
  EXPECT_TRUE(inline_only("certificate-authority-data: QQ==", "token: t").ok());
  EXPECT_THAT(inline_only("certificate-authority: /x", "token: t").message(), HasSubstr("refused"));
  EXPECT_THAT(inline_only("proxy-url: http://p", "token: t").message(), HasSubstr("proxy-url"));
  EXPECT_THAT(inline_only("insecure-skip-tls-verify: true", "token: t").message(),
              HasSubstr("insecure"));
  EXPECT_THAT(inline_only("", "tokenFile: /x").message(), HasSubstr("tokenFile"));
  EXPECT_THAT(inline_only("", "client-key: /x, client-certificate-data: QQ==").message(),
              HasSubstr("client-key"));
  EXPECT_THAT(
      inline_only("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}").message(),
      HasSubstr("exec"));
  EXPECT_FALSE(
      ParseKubeconfig(Kubeconfig("server: http://h", "token: t"), {.inline_only = true}).ok());
}

TEST(Kubeconfig, ErrorsNameTheFieldAndNeverTheSecret) {
  for (const auto& [cluster, user, field] : std::vector<std::array<std::string, 3>>{
           {"server: ftp://h", "token: SECRET", "cluster.server"},
           {"server: https://h, proxy-url: 'https://u:SECRET@p:1'", "token: t",
            "cluster.proxy-url"},
           {"server: https://h, proxy-url: 'socks5://u:SECRET@p:1'", "token: t",
            "cluster.proxy-url"},
           {"server: https://h, certificate-authority-data: '!'", "token: SECRET",
            "certificate-authority-data"},
           {"server: https://h", "username: u, password: SECRET", "user.username"},
           {"server: https://h", "client-key-data: U0VDUkVU", "client-certificate"},
           {"server: https://h", "exec: {apiVersion: v1alpha1, command: c}", "exec.apiVersion"},
           {"server: https://h, insecure-skip-tls-verify: true, certificate-authority: x",
            "token: SECRET", "insecure"}}) {
    const auto config = ParseKubeconfig(Kubeconfig(cluster, user), {});
    EXPECT_EQ(config.status().code(), Code::kInvalidArgument) << field;
    EXPECT_THAT(config.status().message(), HasSubstr(field));
    EXPECT_EQ(config.status().message().find("SECRET"), std::string::npos);
  }
  for (const char* text :
       {"", "[]", "a: [", "x", "current-context: z", "token: SECRET\n  bad: : x"}) {
    EXPECT_EQ(ParseKubeconfig(text, {}).status().code(), Code::kInvalidArgument) << text;
  }
}

TEST(Kubeconfig, WhatFollowsItsDocumentIsRefusedWithTheLine) {
  const std::string one = Kubeconfig("server: https://h", "token: SECRET");
  EXPECT_TRUE(ParseKubeconfig("---\n" + one + "...\n# end\n", {}).ok());
  const auto two = ParseKubeconfig(one + "---\ncurrent-context: b\n", {}).status();
  EXPECT_EQ(two.code(), Code::kInvalidArgument);
  EXPECT_THAT(two.message(), HasSubstr("line 16, column 1: a second document; keep one"));
  EXPECT_FALSE(ParseKubeconfig(one + "---\n*SECRET\n", {}).ok());
}

TEST(Kubeconfig, AMissingContextIsToldWithThoseThatExistUnlessItIsASecret) {
  const std::string text = Kubeconfig("server: https://h", "token: t");
  EXPECT_EQ(ParseKubeconfig(text, {.context = "z"}).status().message(),
            "kubeconfig: contexts: no context \"z\"; there are: a, b");
  EXPECT_EQ(ParseKubeconfig(text, {.context = "z", .inline_only = true}).status().message(),
            "kubeconfig: contexts: no context \"z\"");
}

// What kubectl does with the same variable and the same flag.
TEST(DefaultConfig, TakesAllFilesOfTheVariableTogetherAndTheContextThatIsChosen) {
  ScratchFolder first, second;
  first.Write("config",
              "contexts: [{name: a, context: {cluster: c, user: u}}]\n"
              "clusters: [{name: c, cluster: {server: 'https://one'}}]\n");
  second.Write("config", Kubeconfig("server: https://two", "tokenFile: t"));
  const ScopedEnvironment variable(
      "KUBECONFIG", first.File("none") + ":" + first.File("config") + "::" + second.File("config"));
  const auto config = DefaultConfig();
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->server, "https://one");
  EXPECT_EQ(config->token_file, second.File("t")) << "relative to the file that has the user";
  EXPECT_EQ(DefaultConfig("b")->ns, "");
  EXPECT_THAT(DefaultConfig("z").status().message(), HasSubstr("there are: a, b"));
  const ScopedEnvironment none("KUBECONFIG", first.File("none"));
  EXPECT_EQ(DefaultConfig().status().code(), Code::kNotFound);
}

TEST(DefaultConfig, AContextOfTheHomeFolderIsChosenWithoutTheVariable) {
  ScratchFolder home;
  std::filesystem::create_directories(home.File(".kube"));
  home.Write(".kube/config", Kubeconfig("server: https://h", "token: t"));
  const ScopedEnvironment no_list("KUBECONFIG", "");
  const ScopedEnvironment at_home("HOME", home.File(""));
  ASSERT_TRUE(DefaultConfig("b").ok()) << DefaultConfig("b").status().ToString();
  EXPECT_EQ(DefaultConfig("b")->server, "https://h");
}

TEST(InCluster, NeedsItsEnvironment) {
  const ScopedEnvironment no_proxy("NO_PROXY", "*");
  unsetenv("KUBERNETES_SERVICE_HOST");
  EXPECT_EQ(InClusterConfig().status().code(), Code::kNotFound);
  ScratchFolder folder;
  folder.Write("namespace", "sluice");
  setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  const auto config = InClusterConfig(folder.File(""));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->ns, "sluice");
  unsetenv("KUBERNETES_SERVICE_HOST");
}

TEST(Rotation, ARefusedTokenIsReadAgainFromItsFile) {
  ScratchFolder folder;
  folder.Write("token", "old\n");
  Imposter server([](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      const bool known = http::FindHeader(request->headers, "Authorization") == "Bearer new";
      c.Send(known ? Answer(200, kSiteAnswer)
                   : Answer(401, R"({"kind":"Status","reason":"Unauthorized"})"));
    }
  });
  Config config;
  config.server = server.url();
  config.token_file = folder.File("token");
  const auto client = NewClient(config).value();
  EXPECT_EQ(client->Get(kSites, {"", "x"}).status().code(), Code::kUnauthenticated);
  EXPECT_EQ(server.requests().size(), 1u) << "the same token is not tried twice";
  folder.Write("token", "new");
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  std::filesystem::remove(folder.File("token"));
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok()) << "a lost file leaves the token as it was";
}

TEST(Rotation, ATokenFileIsReadAgainWithoutARefusal) {
  ScratchFolder folder;
  folder.Write("token", "one");
  base::FakeClock clock;
  Config config;
  config.server = "https://h";
  config.token_file = folder.File("token");
  const auto credentials = Credentials::Make(config, clock).value();
  folder.Write("token", "two");
  EXPECT_EQ((*credentials->Current(clock.Mono() + 1s))->token, "one");
  clock.Advance(10s);
  EXPECT_EQ((*credentials->Current(clock.Mono() + 1s))->token, "two");
  EXPECT_EQ((*credentials->Current(clock.Mono() + 1s))->tls_version, 1u);
}

TEST(Rotation, AnEmptyFileIsNoRotationAndRefusedAtTheStart) {
  ScratchFolder folder;
  const TestCa ca;
  const TestCa::Issued user = ca.Issue("user", "DNS:user");
  const std::vector<std::pair<std::string, std::string>> files = {
      {"token", "one"}, {"ca", ca.cert_pem()}, {"cert", user.cert_pem}, {"key", user.key_pem}};
  for (const auto& [name, text] : files) folder.Write(name, text);
  base::FakeClock clock;
  Config config;
  config.server = "https://h";
  config.token_file = folder.File("token");
  config.ca_file = folder.File("ca");
  config.cert_file = folder.File("cert");
  config.key_file = folder.File("key");
  const auto credentials = Credentials::Make(config, clock).value();
  const auto before = *credentials->Current(clock.Mono() + 1s);
  for (const auto& [name, text] : files) folder.Write(name, name == "ca" ? " \r\n\t\n" : "");
  clock.Advance(kFileRecheck);
  const auto after = *credentials->Current(clock.Mono() + 1s);
  EXPECT_EQ(after->token, "one");
  EXPECT_EQ(after->tls_version, before->tls_version);
  EXPECT_EQ(after->tls->ca_pem, ca.cert_pem());
  for (const auto& [name, text] : files) {
    for (const auto& [each, whole] : files) folder.Write(each, each == name ? "" : whole);
    const base::Status refused = NewClient(config).status();
    EXPECT_EQ(refused.code(), Code::kInvalidArgument) << name;
    EXPECT_THAT(refused.message(), HasSubstr(folder.File(name)));
  }
}

TEST(Rotation, ANewCaIsReadWhenTheServerIsNotRecognised) {
  TestCa first;
  TestCa second;
  const TestCa::Issued cert = second.Issue("api", "IP:127.0.0.1");
  Imposter server(AnswerWithSite, ImposterTls{cert.cert_pem, cert.key_pem, ""});
  ScratchFolder folder;
  folder.Write("ca.pem", first.cert_pem());
  Config config;
  config.server = server.url();
  config.ca_file = folder.File("ca.pem");
  const auto client = NewClient(config).value();
  EXPECT_EQ(client->Get(kSites, {"", "x"}).status().reason(), "CertificateInvalid");
  folder.Write("ca.pem", second.cert_pem());
  const auto answer = client->Get(kSites, {"", "x"});
  EXPECT_TRUE(answer.ok()) << answer.status().ToString();
}

class CertificateFiles : public ::testing::Test {
 protected:
  void WriteKey(const TestCa::Issued& user) const { folder_.Write("key.pem", user.key_pem); }
  void WriteCert(const TestCa::Issued& user) const { folder_.Write("cert.pem", user.cert_pem); }
  std::unique_ptr<Client> ClientOf(const Imposter& server) {
    Config config;
    config.server = server.url();
    config.ca_pem = ca_.cert_pem();
    config.cert_file = folder_.File("cert.pem");
    config.key_file = folder_.File("key.pem");
    return NewClient(config, clock_).value();
  }
  ImposterTls Taking(const TestCa& users) const {
    return {server_.cert_pem, server_.key_pem, users.cert_pem()};
  }
  ScratchFolder folder_;
  TestCa ca_;
  TestCa::Issued server_ = ca_.Issue("api", "IP:127.0.0.1");
  base::FakeClock clock_;
};

TEST_F(CertificateFiles, AreReadAgainWhileRunning) {
  TestCa before;
  TestCa after;
  Imposter server(AnswerWithSite, Taking(after));
  const TestCa::Issued renewed = after.Issue("user", "DNS:user");
  const TestCa::Issued old = before.Issue("user", "DNS:user");
  WriteCert(old);
  WriteKey(old);
  const auto client = ClientOf(server);
  EXPECT_FALSE(client->Get(kSites, {"", "x"}).ok());
  WriteCert(renewed);
  WriteKey(renewed);
  clock_.Advance(kFileRecheck);
  const auto answer = client->Get(kSites, {"", "x"});
  EXPECT_TRUE(answer.ok()) << answer.status().ToString();
}

TEST_F(CertificateFiles, ACertificateWhoseKeyIsNotThereYetLeavesTheOldPairInUse) {
  Imposter server(AnswerWithSite, Taking(ca_));
  const TestCa::Issued old = ca_.Issue("user", "DNS:user");
  const TestCa::Issued renewed = ca_.Issue("user", "DNS:user");
  WriteCert(old);
  WriteKey(old);
  const auto client = ClientOf(server);
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  WriteCert(renewed);
  clock_.Advance(kFileRecheck);
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  EXPECT_EQ(server.connections(), 1) << "the pair of before, and its connection";
  WriteKey(renewed);
  clock_.Advance(kFileRecheck);
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  EXPECT_EQ(server.connections(), 2) << "the new pair, by a handshake of its own";
}

TEST(Rotation, AMissingFileIsNamedAtTheStart) {
  Config config;
  config.server = "https://h";
  config.ca_file = "/nowhere/ca.pem";
  EXPECT_THAT(NewClient(config).status().message(), HasSubstr("/nowhere/ca.pem"));
}

}  // namespace
}  // namespace sluice::client
