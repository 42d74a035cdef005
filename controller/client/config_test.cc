#include "controller/client/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "controller/base/digest.h"
#include "controller/client/kubeconfig.h"
#include "controller/client/testing_support.h"

namespace sluice::client {
namespace {

using base::Code;
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

TEST(Kubeconfig, AFlagIsOneOfYamlsWordsAndNothingElse) {
  const auto insecure = [](const std::string& word) {
    return ParseKubeconfig(
        Kubeconfig("server: https://h, insecure-skip-tls-verify: " + word, "token: t"), {});
  };
  for (const char* word : {"true", "True", "TRUE", "yes", "Yes", "on", "ON", "y"}) {
    ASSERT_TRUE(insecure(word).ok()) << word << insecure(word).status().ToString();
    EXPECT_TRUE(insecure(word)->insecure_skip_verify) << word;
  }
  for (const char* word : {"false", "False", "no", "NO", "off", "n", "", "~", "null"}) {
    ASSERT_TRUE(insecure(word).ok()) << word << insecure(word).status().ToString();
    EXPECT_FALSE(insecure(word)->insecure_skip_verify) << word;
  }
  for (const char* word : {"ture", "1", "tRUE", "''", "[true]", "{}"}) {
    EXPECT_EQ(insecure(word).status().message(),
              "kubeconfig: cluster.insecure-skip-tls-verify: must be true or false (or YAML's yes, "
              "no, on, off)")
        << word;
  }
  EXPECT_THAT(
      ParseKubeconfig(Kubeconfig("server: https://h",
                                 "exec: {apiVersion: client.authentication.k8s.io/v1, command: c, "
                                 "provideClusterInfo: maybe}"),
                      {})
          .status()
          .message(),
      HasSubstr("user.exec.provideClusterInfo: must be"));
}

TEST(Kubeconfig, DataMayStandInLines) {
  const std::string ca = "line one of the authority, longer than a line of base64 would be";
  std::string data = base::Base64Encode(ca);
  data.insert(40, "\n");
  const std::size_t half = data.find('\n');
  const std::string first = data.substr(0, half), second = data.substr(half + 1);
  const auto read = [](const std::string& value) {
    return ParseKubeconfig(
        "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters:\n"
        "- name: c\n  cluster:\n    server: https://h\n    certificate-authority-data: " +
            value + "\n",
        {});
  };
  const std::string block = "\n      " + first + "\n      " + second + "\n";
  for (const std::string& value :
       {"|" + block, ">-" + block, block, '"' + first + "\\r\\n" + second + '"'}) {
    const auto config = read(value);
    ASSERT_TRUE(config.ok()) << value << config.status().ToString();
    EXPECT_EQ(config->ca_pem, ca) << value;
  }
  for (const char* value : {"\"\\n\"", "QQ==\\t", "'QQ==\t'", "QQ==;"}) {
    EXPECT_THAT(read(value).status().message(), HasSubstr("authority-data: not base64")) << value;
  }
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
  for (const std::string field :
       {"as: u", "as-uid: x", "as-groups: [g]", "as-user-extra: {k: [v]}"}) {
    EXPECT_THAT(inline_only("", "token: t, " + field).message(),
                HasSubstr("user." + field.substr(0, field.find(':')) + ": refused"));
  }
  EXPECT_FALSE(
      ParseKubeconfig(Kubeconfig("server: http://h", "token: t"), {.inline_only = true}).ok());
}

TEST(Kubeconfig, AnImpersonationThatCannotBeSentAsItIsIsRefused) {
  for (const auto& [user, field] : std::vector<std::array<std::string, 2>>{
           {"as: [u]", "user.as:"},
           {"as: ''", "user.as:"},
           {"as: ' u'", "user.as:"},
           {"as: 'u '", "user.as:"},
           {R"(as: "u\r\nX: y")", "user.as:"},
           {"as-groups: [g]", "user.as-groups"},
           {"as-uid: x", "user.as-uid"},
           {"as-user-extra: {k: [v]}", "user.as-user-extra"},
           {"as: u, as-uid: {}", "user.as-uid"},
           {"as: u, as-groups: g", "user.as-groups"},
           {"as: u, as-groups: [g, ~]", "user.as-groups"},
           {R"(as: u, as-groups: ["g\n"])", "user.as-groups"},
           {"as: u, as-user-extra: [k]", "user.as-user-extra"},
           {"as: u, as-user-extra: {k: v}", "user.as-user-extra"},
           {"as: u, as-user-extra: {'': [v]}", "user.as-user-extra"}}) {
    const auto config = ParseKubeconfig(Kubeconfig("server: https://h", user), {});
    EXPECT_EQ(config.status().code(), Code::kInvalidArgument) << user;
    EXPECT_THAT(config.status().message(), HasSubstr(field));
  }
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
  const auto config = DefaultConfig(Search::kFilesFirst);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->server, "https://one");
  EXPECT_EQ(config->token_file, second.File("t")) << "relative to the file that has the user";
  EXPECT_EQ(DefaultConfig(Search::kFilesFirst, "b")->ns, "");
  EXPECT_THAT(DefaultConfig(Search::kFilesFirst, "z").status().message(),
              HasSubstr("there are: a, b"));
  const ScopedEnvironment none("KUBECONFIG", first.File("none"));
  EXPECT_EQ(DefaultConfig(Search::kFilesFirst).status().code(), Code::kNotFound);
}

TEST(DefaultConfig, AContextOfTheHomeFolderIsChosenWithoutTheVariable) {
  ScratchFolder home;
  std::filesystem::create_directories(home.File(".kube"));
  home.Write(".kube/config", Kubeconfig("server: https://h", "token: t"));
  const ScopedEnvironment no_list("KUBECONFIG", "");
  const ScopedEnvironment at_home("HOME", home.File(""));
  const auto config = DefaultConfig(Search::kPodFirst, "b");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->server, "https://h");
}

// A pod that a person works in: its own cluster counts for the controller before the home folder,
// for the person only when no file says anything.
TEST(DefaultConfig, InAPodAPersonsFilesGoFirstAndOfAControllersOnlyThoseOfTheVariable) {
  const ScopedEnvironment no_proxy("NO_PROXY", "*");
  const ScopedEnvironment host("KUBERNETES_SERVICE_HOST", "10.96.0.1");
  const ScopedEnvironment port("KUBERNETES_SERVICE_PORT", "443");
  ScratchFolder home;
  std::filesystem::create_directories(home.File(".kube"));
  home.Write(".kube/config", Kubeconfig("server: https://home", "token: t"));
  home.Write("named", Kubeconfig("server: https://named", "token: t"));
  home.Write("empty", "\n");
  const ScopedEnvironment at_home("HOME", home.File(""));
  const auto servers = [&](const std::string& list) {
    const ScopedEnvironment variable("KUBECONFIG", list);
    std::vector<std::string> out;
    for (const Search search : {Search::kFilesFirst, Search::kPodFirst}) {
      const auto config = DefaultConfig(search);
      out.push_back(config.ok() ? config->server : config.status().message());
    }
    return out;
  };
  using ::testing::ElementsAre;
  const std::string pod = "https://10.96.0.1:443";
  EXPECT_THAT(servers(""), ElementsAre("https://home", pod));
  EXPECT_THAT(servers(home.File("named")), ElementsAre("https://named", "https://named"));
  EXPECT_THAT(servers(home.File("none")), ElementsAre(pod, HasSubstr("none")));
  EXPECT_THAT(servers(home.File("empty")), ElementsAre(pod, HasSubstr("empty")));
  home.Write(".kube/config", "token: [");
  EXPECT_THAT(servers(""), ElementsAre(HasSubstr("bad YAML"), pod)) << "it says something";
  std::filesystem::remove(home.File(".kube/config"));
  EXPECT_THAT(servers(""), ElementsAre(pod, pod));
  const ScopedEnvironment nowhere("KUBERNETES_SERVICE_HOST", "");
  EXPECT_THAT(servers(""), ElementsAre(HasSubstr(".kube/config"), HasSubstr(".kube/config")));
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
  EXPECT_EQ(config->ca_file, folder.File("") + "/ca.crt");
  EXPECT_EQ(config->token_file, folder.File("") + "/token");
  EXPECT_EQ(InClusterConfig()->ca_file, "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
  EXPECT_EQ(InClusterConfig()->token_file, "/var/run/secrets/kubernetes.io/serviceaccount/token");
  unsetenv("KUBERNETES_SERVICE_HOST");
}

}  // namespace
}  // namespace sluice::client
