// What a kubeconfig says of its credential plugin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "controller/client/config.h"

namespace sluice::client {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

base::StatusOr<Config> WithExec(const std::string& exec, const std::string& cluster = "",
                                Terminal terminal = Terminal::kNone,
                                const std::string& version = "v1") {
  return ParseKubeconfig(
      "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
      "clusters: [{name: c, cluster: {server: https://h" +
          cluster +
          "}}]\n"
          "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/" +
          version + ", command: plugin" + exec + "}}}]\n",
      {.folder = "/etc/x", .terminal = terminal});
}

TEST(ExecConfig, MayAskForV1AndForV1beta1AndSaysTheCureOfWhatIsGone) {
  const auto of = [](const std::string& version) {
    return WithExec("", "", Terminal::kNone, version);
  };
  EXPECT_EQ(of("v1")->exec->api_version, kExecV1);
  const auto beta = of("v1beta1");
  ASSERT_TRUE(beta.ok()) << beta.status().ToString();
  EXPECT_EQ(beta->exec->api_version, kExecV1Beta1);
  EXPECT_THAT(of("v1alpha1").status().message(),
              HasSubstr("user.exec.apiVersion: v1alpha1 is gone since Kubernetes 1.24; update"));
  EXPECT_THAT(of("v2").status().message(), HasSubstr("user.exec.apiVersion: must be"));
}

TEST(ExecConfig, NobodyIsThereToBeAsked) {
  EXPECT_TRUE(WithExec("").ok());
  EXPECT_TRUE(WithExec(", interactiveMode: Never").ok());
  EXPECT_TRUE(WithExec(", interactiveMode: IfAvailable").ok());
  EXPECT_THAT(WithExec(", interactiveMode: Always").status().message(),
              HasSubstr("user.exec.interactiveMode"));
  EXPECT_THAT(WithExec(", interactiveMode: Sometimes").status().message(),
              HasSubstr("user.exec.interactiveMode"));
}

TEST(ExecConfig, IsInteractiveWhereAPersonIsThereAndItDoesNotRefuse) {
  const auto interactive = [](const std::string& mode, Terminal terminal) {
    return WithExec(mode, "", terminal)->exec->interactive;
  };
  EXPECT_TRUE(interactive(", interactiveMode: Always", Terminal::kPerson));
  EXPECT_TRUE(interactive(", interactiveMode: IfAvailable", Terminal::kPerson));
  EXPECT_FALSE(interactive(", interactiveMode: Never", Terminal::kPerson));
  EXPECT_FALSE(interactive(", interactiveMode: IfAvailable", Terminal::kNone));
  EXPECT_FALSE(interactive("", Terminal::kNone));
}

TEST(ExecConfig, HoldsArgumentsEnvironmentHintAndTheClustersExtension) {
  const auto config = WithExec(
      ", args: [a, 'b c'], env: [{name: N, value: v}], provideClusterInfo: true, "
      "installHint: get it",
      ", extensions: [{name: other, extension: x}, {name: client.authentication.k8s.io/exec, "
      "extension: {audience: '7', limit: 7, on: true, list: [a, 1.5], none: null}}]");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->exec->command, "plugin") << "looked up in PATH";
  EXPECT_THAT(config->exec->args, ::testing::ElementsAre("a", "b c"));
  EXPECT_EQ(config->exec->env.at("N"), "v");
  EXPECT_EQ(config->exec->install_hint, "get it");
  EXPECT_EQ(json::parse(config->exec->cluster_config_json),
            json::parse(R"({"audience":"7","limit":7,"on":true,"list":["a",1.5],"none":null})"));
}

}  // namespace
}  // namespace sluice::client
