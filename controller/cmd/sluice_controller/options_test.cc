#include "controller/cmd/sluice_controller/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::controller_main {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const std::vector<std::string>& arguments) {
  const auto options = ParseOptions(arguments);
  return options.ok() ? "" : options.status().message();
}

TEST(Options, TakeBothSpellingsOfAValue) {
  const auto options = ParseOptions({"--namespace=one", "--lease-name", "two", "--workers=8"});
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->namespace_name, "one");
  EXPECT_EQ(options->lease_name, "two");
  EXPECT_EQ(options->workers, 8);
}

TEST(Options, AWrongFlagIsNamedInOneLine) {
  EXPECT_EQ(ErrorOf({"--nonsense"}), "no such flag: --nonsense; see --help");
  EXPECT_EQ(ErrorOf({"site"}), "takes no arguments: site");
  EXPECT_EQ(ErrorOf({"--workers=many"}), "--workers takes a number from 1 to 64, not \"many\"");
  EXPECT_EQ(ErrorOf({"--workers"}), "--workers needs N");
  EXPECT_EQ(ErrorOf({"--help=yes"}), "--help takes no value");
  EXPECT_EQ(ErrorOf({"--log-format=xml"}), "--log-format takes json or text, not \"xml\"");
  EXPECT_EQ(ErrorOf({"--metrics-address=8080"}), "--metrics-address takes HOST:PORT, not \"8080\"");
  EXPECT_EQ(ErrorOf({"--control-address="}), "--control-address takes HOST:PORT, not \"\"");
  for (const std::string path : {"/etc/agent.json", "a/../../b"})
    EXPECT_EQ(
        ErrorOf({"--agent-seccomp-profile=" + path}),
        "--agent-seccomp-profile takes a path below the kubelet's folder of profiles, not \"" +
            path + "\"");
  EXPECT_EQ(ErrorOf({"--external-gate-host=https://x/"}),
            "--external-gate-host takes HOST or HOST:PORT, not \"https://x/\"");
  EXPECT_EQ(ErrorOf({"--leader-elect=maybe"}), "--leader-elect takes true or false, not \"maybe\"");
}

// Each would be refused by the API server for ever, or reached by nobody, by a process that looks
// healthy.
TEST(Options, ANameThatCanNeverWorkIsRefused) {
  for (const auto& [argument, message] : std::vector<std::pair<std::string, std::string>>{
           {"--lease-name=", "--leader-elect=false is how to elect no leader"},
           {"--lease-name=A_B", "takes an object's name, not \"A_B\": must be lower case"},
           {"--namespace=Storage", "takes an object's name, not \"Storage\""},
           {"--namespace=a.b", "takes a name without dots, at most 63 characters, not \"a.b\""},
           {"--agent-service=", "takes an object's name, not \"\""},
           {"--agent-service=agents.storage", "takes a name without dots"},
           {"--agent-service=" + std::string(64, 'a'), "at most 63 characters"},
           {"--agent-image-pull-secret=My Secret", "takes an object's name, not \"My Secret\""},
           {"--agent-image-pull-secret=", "takes an object's name, not \"\""},
           {"--agent-image=", "takes an image's reference"},
           {"--agent-image=agent: 1", "neither white space nor control characters"},
           {"--agent-image=agent:1\n", "neither white space nor control characters"},
           {"--control-endpoint=h:0", "takes HOST:PORT with a port from 1 to 65535, not \"h:0\""},
           {"--enrolment-endpoint=h:0", "with a port from 1 to 65535"}}) {
    EXPECT_THAT(ErrorOf({argument}), HasSubstr(message)) << argument;
    EXPECT_THAT(ErrorOf({argument}), testing::StartsWith(argument.substr(0, argument.find('='))));
  }
  EXPECT_EQ(ErrorOf({"--namespace=", "--lease-name=a.b", "--agent-service=x-1",
                     "--agent-image-pull-secret=a.b", "--agent-image=h:5000/a/b@sha256:0",
                     "--control-endpoint=h:1", "--enrolment-endpoint=", "--control-address=h:0"}),
            "");
}

TEST(Options, ANewLineageNeedsANameAndAReason) {
  const auto options = ParseOptions({"--start-lineage=restored-1", "--reason=etcd was restored",
                                     "--supersedes=uid-1", "--supersedes", "uid-2"});
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->start_lineage, "restored-1");
  EXPECT_EQ(options->supersedes, (std::vector<std::string>{"uid-1", "uid-2"}));
  EXPECT_EQ(ErrorOf({"--start-lineage=x"}), "--start-lineage needs --reason, which is recorded");
  EXPECT_EQ(ErrorOf({"--reason=x"}), "--supersedes and --reason go with --start-lineage only");
  EXPECT_THAT(ErrorOf({"--start-lineage=a,b", "--reason=x"}), HasSubstr("takes letters, digits"));
}

TEST(Options, AReceiverOfAlertsNeedsAToken) {
  EXPECT_THAT(ErrorOf({"--alertmanager-address=0.0.0.0:8083"}), HasSubstr("go together"));
  EXPECT_THAT(ErrorOf({"--alertmanager-token-file=/x"}), HasSubstr("go together"));
  EXPECT_EQ(ErrorOf({"--alertmanager-address=0.0.0.0:8083", "--alertmanager-token-file=/x"}), "");
}

TEST(Options, TimesOfTheLeaseMustRise) {
  EXPECT_THAT(ErrorOf({"--renew-deadline-seconds=15"}), HasSubstr("must rise in this order"));
  EXPECT_EQ(ErrorOf({"--lease-duration-seconds=4", "--renew-deadline-seconds=3",
                     "--retry-period-seconds=1"}),
            "");
}

TEST(Options, TheHelpNamesEveryFlagAndTheExitCodes) {
  const std::string help = HelpText();
  for (const char* flag :
       {"--kubeconfig FILE", "--agent-image IMAGE", "--log-format", "--version"}) {
    EXPECT_THAT(help, HasSubstr(flag));
  }
  EXPECT_THAT(help, HasSubstr("2 for a\nwrong flag"));
}

// It shows whom it serves what it does, and asks nobody who they are: docs/adr/0293.
TEST(Options, TheDebugPageIsOnLoopbackAlone) {
  for (const char* good : {"127.0.0.1:8082", "127.7.7.7:0", "[::1]:8082", ""}) {
    EXPECT_EQ(ErrorOf({std::string("--debug-address=") + good}), "") << good;
  }
  for (const char* bad : {"0.0.0.0:8082", ":8082", "10.0.0.1:8082", "localhost:8082", "[::]:8082",
                          "::1:8082", "[::ffff:127.0.0.1]:8082", "128.0.0.1:1", "127.1:80"}) {
    EXPECT_NE(ErrorOf({std::string("--debug-address=") + bad}), "") << bad;
  }
  EXPECT_THAT(ErrorOf({"--debug-address=0.0.0.0:8082"}), HasSubstr("of loopback"));
}

}  // namespace
}  // namespace sluice::controller_main
