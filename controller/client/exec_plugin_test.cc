// Credential plugins as real programs: shell scripts that a test writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "controller/base/authority.h"
#include "controller/base/digest.h"
#include "controller/base/time_format.h"
#include "controller/client/credentials.h"
#include "controller/client/limits.h"
#include "controller/client/testing_support.h"
#include "controller/testing/wait.h"

namespace sluice::client {
namespace {

using namespace std::chrono_literals;
using base::Code;
using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::ImposterTls;
using http::testing::TestCa;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPrint[] =
    R"(printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s","expirationTimestamp":"2023-11-14T22:20:00Z"}}' )";

class ExecTest : public ::testing::Test {
 protected:
  Config ConfigFor(const std::string& script) {
    folder_.Write("plugin", "#!/bin/sh\n" + script, 0700);
    Config config;
    config.server = "https://h";
    config.exec =
        ExecPlugin{.command = folder_.File("plugin"), .args = {"arg"}, .env = {{"E", "v"}}};
    return config;
  }
  // A script that prints what the file holds.
  Config Printing(const std::string& file) { return ConfigFor("cat " + folder_.File(file)); }
  json InfoSeen() const {
    return json::parse(base::ReadFile(folder_.File("info")).value(), nullptr, false);
  }
  ScratchFolder folder_;
};

TEST_F(ExecTest, IsAskedOnceUntilItsCredentialExpires) {
  base::FakeClock clock;  // stands at 2023-11-14T22:13:20Z
  const Config config = ConfigFor("echo x >> " + folder_.File("runs") + "\n" + kPrint +
                                  "\"$1-$E-$(wc -l < " + folder_.File("runs") + " | tr -d ' ')\"");
  const auto credentials = Credentials::Make(config, clock).value();
  const auto token = [&] { return (*credentials->Current(clock.Mono() + 20s))->token; };
  EXPECT_EQ(token(), "arg-v-1");
  clock.Advance(60s);
  EXPECT_EQ(token(), "arg-v-1");
  clock.Advance(400s);
  EXPECT_EQ(token(), "arg-v-2");
}

TEST_F(ExecTest, ATokenTheServerRefusesIsAskedForAgain) {
  Imposter server([](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      const bool known = http::FindHeader(request->headers, "Authorization") == "Bearer 2";
      c.Send(known ? Answer(200, kSiteAnswer)
                   : Answer(401, R"({"kind":"Status","reason":"Unauthorized"})"));
    }
  });
  Config config = ConfigFor("echo x >> " + folder_.File("runs") + "\n" + kPrint + "\"$(wc -l < " +
                            folder_.File("runs") + " | tr -d ' ')\"");
  config.server = server.url();
  base::FakeClock clock;
  const auto client = NewClient(config, clock).value();
  const auto answer = client->Get(kSites, {"", "x"});
  EXPECT_TRUE(answer.ok()) << answer.status().ToString();
}

// How often a plugin runs when eight calls are refused at once with what its first run gave.
// `next_is_known`: the server takes what its later runs give.
int RunsOfEightRefusedAtOnce(const Config& plugin, const std::string& runs, bool next_is_known) {
  constexpr int kThreads = 8;
  std::atomic<int> refused{0};
  Imposter server([&](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      if (next_is_known &&
          http::FindHeader(request->headers, "Authorization") != "Bearer token-1") {
        c.Send(Answer(200, kSiteAnswer));
        continue;
      }
      ++refused;  // nobody is told before all have asked
      EXPECT_TRUE(testing_kit::WaitUntil([&] { return refused >= kThreads; }));
      c.Send(Answer(401, R"({"kind":"Status","reason":"Unauthorized"})"));
    }
  });
  Config config = plugin;
  config.server = server.url();
  base::FakeClock clock;  // before what the plugin gives expires
  const auto client = NewClient(config, clock).value();
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const auto answer = client->Get(kSites, {"", "x"});
      EXPECT_EQ(answer.ok(), next_is_known) << answer.status().ToString();
    });
  }
  threads.clear();
  return static_cast<int>(base::ReadFile(runs)->size() / 2);
}

TEST_F(ExecTest, OfManyCallsThatOneRevokedTokenStopsOneAsksForTheNext) {
  const std::string runs = folder_.File("runs");
  const Config config = ConfigFor("echo x >> " + runs + "\n" + kPrint + "\"token-$(wc -l < " +
                                  runs + " | tr -d ' ')\"");
  EXPECT_EQ(RunsOfEightRefusedAtOnce(config, runs, true), 2) << "the first, and one more";
}

TEST_F(ExecTest, APluginThatGivesTheSameTokenAgainIsNotAskedByEachCall) {
  const std::string runs = folder_.File("runs");
  const Config config = ConfigFor("echo x >> " + runs + "\n" + kPrint + "token-1");
  EXPECT_EQ(RunsOfEightRefusedAtOnce(config, runs, false), 2);
}

TEST_F(ExecTest, ItsCertificateProvesWhoWeAreAndItsEndIsAnExpiry) {
  const base::WallTime now = std::chrono::system_clock::now();
  const TestCa ca;
  const auto user = ca.Issue("user", "DNS:user");
  const auto api = ca.Issue("api", "IP:127.0.0.1");
  folder_.Write(
      "credential",
      json{{"apiVersion", "client.authentication.k8s.io/v1"},
           {"kind", "ExecCredential"},
           {"status", {{"clientCertificateData", user.cert_pem}, {"clientKeyData", user.key_pem}}}}
          .dump());
  Imposter server(AnswerWithSite, ImposterTls{api.cert_pem, api.key_pem, ca.cert_pem()});
  Config config = Printing("credential");
  config.server = server.url();
  config.ca_pem = ca.cert_pem();
  const auto client = NewClient(config).value();
  const auto answer = client->Get(kSites, {"", "x"});
  EXPECT_TRUE(answer.ok()) << answer.status().ToString();

  const auto end = base::NotAfter(user.cert_pem).value();
  ASSERT_GT(end, now);
  EXPECT_EQ(RunExecPlugin(config, 20s)->expires, end);
}

TEST_F(ExecTest, IsToldTheClusterWhenItAsksForIt) {
  Config config = ConfigFor("printf '%s' \"$KUBERNETES_EXEC_INFO\" > " + folder_.File("info") +
                            "\n" + kPrint + "t");
  ASSERT_TRUE(RunExecPlugin(config, 20s).ok());
  EXPECT_EQ(InfoSeen()["kind"], "ExecCredential");
  EXPECT_EQ(InfoSeen()["spec"], (json{{"interactive", false}}));
  folder_.Write("ca.pem", "CA");
  config.ca_file = folder_.File("ca.pem");
  config.tls_server_name = "api";
  config.proxy_url = "http://p:1";
  config.exec->provide_cluster_info = true;
  config.exec->cluster_config_json = R"({"audience":"x"})";
  ASSERT_TRUE(RunExecPlugin(config, 20s).ok());
  EXPECT_EQ(InfoSeen()["spec"]["cluster"],
            (json{{"server", "https://h"},
                  {"tls-server-name", "api"},
                  {"proxy-url", "http://p:1"},
                  {"certificate-authority-data", base::Base64Encode("CA")},
                  {"config", {{"audience", "x"}}}}));
}

TEST_F(ExecTest, ItsOwnEnvironmentWinsOverOurs) {
  setenv("SLUICE_TEST_A", "ours", 1);
  setenv("SLUICE_TEST_B", "ours", 1);
  Config config = ConfigFor(std::string(kPrint) + "\"$SLUICE_TEST_A-$SLUICE_TEST_B\"");
  config.exec->env = {{"SLUICE_TEST_A", "plugin's"}};
  EXPECT_EQ(RunExecPlugin(config, 20s)->token, "plugin's-ours");
}

TEST_F(ExecTest, AFailureIsNamedWithWhatItComplainedOfAndNeverWithWhatItPrinted) {
  const auto failed = RunExecPlugin(
      ConfigFor("echo SECRET; echo 'no session:' >&2; echo 'log in first' >&2; exit 3"), 20s);
  EXPECT_EQ(failed.status().message(), "exited with 3: no session: log in first");
  EXPECT_THAT(RunExecPlugin(ConfigFor("kill -9 $$"), 20s).status().message(),
              HasSubstr("died of signal 9"));
  const auto babbled = RunExecPlugin(ConfigFor("echo SECRET"), 20s);
  EXPECT_EQ(babbled.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(babbled.status().message(), Not(HasSubstr("SECRET")));
  const auto loud = RunExecPlugin(
      ConfigFor("i=0; while [ $i -lt 2000 ]; do echo complaint >&2; i=$((i+1)); done; exit 1"),
      20s);
  EXPECT_LE(loud.status().message().size(), kMaxExecErrorBytes + 32);
  Config missing = ConfigFor("");
  missing.exec->command = "/nowhere/plugin";
  missing.exec->install_hint = "get it from the platform team";
  EXPECT_THAT(RunExecPlugin(missing, 20s).status().message(),
              HasSubstr("get it from the platform team"));
}

TEST_F(ExecTest, OneThatHangsIsEndedAtTheDeadlineWithAllItStarted) {
  const Config config = ConfigFor("sleep 600 & echo $! > " + folder_.File("helper") +
                                  "; echo waiting >&2; sleep 600");
  const auto hung = RunExecPlugin(config, 2s);
  EXPECT_EQ(hung.status().code(), Code::kDeadlineExceeded);
  const auto helper = base::ReadFile(folder_.File("helper"));
  if (!helper.ok() || !helper->ends_with('\n')) return;  // it was not even that far
  const pid_t pid = std::stoi(*helper);
  EXPECT_TRUE(testing_kit::WaitUntil([&] {
    const auto state = base::ReadFile("/proc/" + std::to_string(pid) + "/stat");
    return !state.ok() || state->find(") Z ") != std::string::npos;
  }));
}

// As one does that keeps an agent with its session.
TEST_F(ExecTest, AHelperThatHoldsStandardErrorOpenIsNotWaitedForAndLives) {
  const std::string helper = "sleep 60 >/dev/null & echo $! > " + folder_.File("helper") + "\n";
  const auto start = std::chrono::steady_clock::now();
  const auto credential = RunExecPlugin(ConfigFor(helper + kPrint + "t"), 20s);
  ASSERT_TRUE(credential.ok()) << credential.status().ToString();
  EXPECT_EQ(credential->token, "t");
  const pid_t pid = std::stoi(base::ReadFile(folder_.File("helper")).value());
  EXPECT_EQ(kill(pid, SIGKILL), 0) << "it was there";
  const auto failed =
      RunExecPlugin(ConfigFor(helper + "exec >&-; echo 'log in first' >&2; exit 3"), 20s);
  EXPECT_EQ(failed.status().message(), "exited with 3: log in first");
  EXPECT_EQ(kill(std::stoi(base::ReadFile(folder_.File("helper")).value()), SIGKILL), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 15s) << "a helper's minute is not ours";
}

TEST_F(ExecTest, ACallSaysThatThePluginFailedAndDoesNotStartItForEachCall) {
  base::FakeClock clock;
  const auto credentials =
      Credentials::Make(ConfigFor("echo x >> " + folder_.File("runs") + "; exit 1"), clock).value();
  const auto runs = [&] { return base::ReadFile(folder_.File("runs"))->size() / 2; };
  for (int i = 0; i < 3; ++i) {
    const auto status = credentials->Current(clock.Mono() + 20s).status();
    EXPECT_EQ(status.reason(), "CredentialPlugin");
    EXPECT_EQ(status.code(), Code::kUnauthenticated);
    EXPECT_THAT(status.message(), HasSubstr("exited with 1"));
  }
  EXPECT_EQ(runs(), 1U);
  clock.Advance(kExecRetry);
  EXPECT_FALSE(credentials->Current(clock.Mono() + 20s).ok());
  EXPECT_EQ(runs(), 2U);
}

TEST_F(ExecTest, AnAnswerThatIsNoneIsRefused) {
  for (
      const char* answer :
      {"", "{}", "[]", R"({"kind":"ExecCredential"})",
       R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{}})",
       R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":7}})",
       R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"clientKeyData":"k"}})",
       R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"t","expirationTimestamp":"soon"}})"}) {
    EXPECT_FALSE(ParseExecCredential(answer, kExecV1).ok()) << answer;
  }
}

TEST_F(ExecTest, AnAnswersNullIsNothing) {
  const auto credential = ParseExecCredential(
      R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"t","expirationTimestamp":null,"clientCertificateData":null,"clientKeyData":null}})",
      kExecV1);
  ASSERT_TRUE(credential.ok()) << credential.status().ToString();
  EXPECT_EQ(credential->token, "t");
  EXPECT_EQ(credential->cert_pem, "");
  EXPECT_EQ(credential->expires, base::WallTime::max());
  for (const char* status : {R"({"token":null})", "null", R"(["token"])"}) {
    EXPECT_FALSE(
        ParseExecCredential(
            std::string(
                R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":)") +
                status + "}",
            kExecV1)
            .ok())
        << status;
  }
}

TEST_F(ExecTest, IsAskedInTheVersionOfTheKubeconfigAndMustAnswerInIt) {
  const auto run = [this](const std::string& version, const std::string& answer) {
    Config config = ConfigFor("printf '%s' \"$KUBERNETES_EXEC_INFO\" > " + folder_.File("info") +
                              "\nprintf '{\"apiVersion\":\"" + answer +
                              R"(","kind":"ExecCredential","status":{"token":"SECRET"}}')");
    config.exec->api_version = version;
    return RunExecPlugin(config, 20s);
  };
  for (const char* version : {kExecV1, kExecV1Beta1}) {
    const auto credential = run(version, version);
    ASSERT_TRUE(credential.ok()) << credential.status().ToString();
    EXPECT_EQ(credential->token, "SECRET");
    EXPECT_EQ(InfoSeen()["apiVersion"], version);
  }
  EXPECT_EQ(run(kExecV1, kExecV1Beta1).status().message(),
            "the plugin printed no ExecCredential of client.authentication.k8s.io/v1");
  EXPECT_EQ(run(kExecV1Beta1, kExecV1).status().message(),
            "the plugin printed no ExecCredential of client.authentication.k8s.io/v1beta1");
}

// A terminal of its own, as a shell gives one to the program in front: whoever is not in front
// may not read from it.
TEST_F(ExecTest, AnInteractiveOneAsksThePersonAtTheTerminal) {
  Config config =
      ConfigFor("printf '%s' \"$KUBERNETES_EXEC_INFO\" > " + folder_.File("info") +
                "\ntest -t 0 || exit 7\necho 'Code:' >&2\nread code\n" + kPrint + "\"$code\"");
  config.exec->interactive = true;
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    const auto credential = RunExecPlugin(config, 20s);
    _exit(credential.ok() && credential->token == "1234" ? 0 : 1);
  }
  ASSERT_EQ(write(terminal, "1234\n", 5), 5);
  std::string seen;
  char buffer[256];
  for (ssize_t n = 0; (n = read(terminal, buffer, sizeof(buffer))) > 0;) {
    seen.append(buffer, static_cast<std::size_t>(n));
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  close(terminal);
  EXPECT_EQ(status, 0) << seen;
  EXPECT_THAT(seen, HasSubstr("Code:"));
  EXPECT_EQ(InfoSeen()["spec"], (json{{"interactive", true}}));
}

TEST_F(ExecTest, TheTimeAPersonTakesIsNotTheCalls) {
  Imposter server(AnswerWithSite);
  Config config = ConfigFor("touch " + folder_.File("asking") + "\nwhile ! test -e " +
                            folder_.File("answered") + "; do sleep 0.01; done\n" + kPrint + "t");
  config.server = server.url();
  config.request_timeout = 3s;
  config.exec->interactive = true;
  base::FakeClock clock;
  const auto client = NewClient(config, clock).value();
  auto answer = std::async([&] { return client->Get(kSites, {"", "x"}).status(); });
  EXPECT_TRUE(testing_kit::WaitUntil([&] { return base::ReadFile(folder_.File("asking")).ok(); }));
  clock.Advance(100s);
  folder_.Write("answered", "");
  const base::Status status = answer.get();
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace sluice::client
