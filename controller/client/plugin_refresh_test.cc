// When a credential plugin is run, who waits for it and how long. What it may say is
// exec_plugin_test.cc's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <future>

#include "controller/client/credentials.h"
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
using testing_kit::WaitUntil;

class PluginRefresh : public ::testing::Test {
 protected:
  // A plugin that does `script`, in which $run is how often it was started, and then gives
  // `credential`, a part of its answer; by default the token is that number.
  Config ConfigFor(const std::string& script,
                   const std::string& credential = R"("token":"'$run'")") const {
    const std::string runs = folder_.File("runs");
    folder_.Write("plugin",
                  "#!/bin/sh\necho x >> " + runs + "\nrun=$(wc -l < " + runs + " | tr -d ' ')\n" +
                      script +
                      "\nprintf '%s' '{\"apiVersion\":\"client.authentication.k8s.io/v1\","
                      "\"kind\":\"ExecCredential\",\"status\":{" +
                      credential + "}}'\n",
                  0700);
    Config config;
    config.server = "https://h";
    config.exec = ExecPlugin{.command = folder_.File("plugin")};
    return config;
  }
  // A line of a script that waits for Let(file).
  std::string Await(const std::string& file) const {
    return "while ! test -e " + folder_.File(file) + "; do sleep 0.01; done";
  }
  void Let(const std::string& file) const { folder_.Write(file, ""); }
  bool Exists(const std::string& file) const { return base::ReadFile(folder_.File(file)).ok(); }
  std::size_t runs() const {
    const auto lines = base::ReadFile(folder_.File("runs"));
    return lines.ok() ? lines->size() / 2 : 0;
  }
  base::MonoTime In(std::chrono::milliseconds time) const { return clock_.Mono() + time; }

  ScratchFolder folder_;
  base::RealClock clock_;
};

TEST_F(PluginRefresh, ARunThatTakesLongerThanACallIsThereForTheNext) {
  Imposter server(AnswerWithSite);
  Config config = ConfigFor(Await("go"));
  config.server = server.url();
  config.request_timeout = 300ms;
  const auto client = NewClient(config).value();
  EXPECT_EQ(client->Get(kSites, {"", "x"}).status().code(), Code::kDeadlineExceeded);
  Let("go");
  EXPECT_TRUE(WaitUntil([&] { return client->Get(kSites, {"", "x"}).ok(); }));
  EXPECT_EQ(runs(), 1u);
}

TEST_F(PluginRefresh, ARefusalShortlyBeforeADeadlineCostsOthersNothing) {
  const auto credentials =
      Credentials::Make(ConfigFor("test $run = 1 || " + Await("go")), clock_).value();
  const auto first = credentials->Current(In(20s)).value();
  EXPECT_EQ(first->token, "1");
  const auto unless = [&](std::chrono::milliseconds time) {
    return credentials->CurrentUnless(first, Credentials::Unknown::kUser, In(time));
  };
  EXPECT_EQ(unless(50ms).status().code(), Code::kDeadlineExceeded);
  EXPECT_EQ((*credentials->Current(In(20s)))->token, "1") << "who was not refused does not wait";
  auto other = std::async(std::launch::async, [&] { return unless(20s); });
  Let("go");
  const auto next = other.get();
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ((*next)->token, "2");
  EXPECT_EQ(runs(), 2u);
}

TEST_F(PluginRefresh, StopEndsTheWaitAndThePlugin) {
  Config config = ConfigFor("echo $$ > " + folder_.File("new") + "\nmv " + folder_.File("new") +
                            " " + folder_.File("pid") + "\nexec sleep 600");
  for (const bool interactive : {false, true}) {
    std::filesystem::remove(folder_.File("pid"));
    config.exec->interactive = interactive;
    auto client = NewClient(config).value();
    auto answer = std::async(std::launch::async, [&] {
      return client->Get(kSites, {"", "x"}).status();
    });
    ASSERT_TRUE(WaitUntil([&] { return Exists("pid"); }));
    const pid_t pid = std::stoi(*base::ReadFile(folder_.File("pid")));
    const base::MonoTime stopped = clock_.Mono();
    client->Stop();
    EXPECT_EQ(answer.get().code(), Code::kCancelled);
    client.reset();
    EXPECT_LT(clock_.Mono() - stopped, 5s);
    EXPECT_NE(kill(pid, 0), 0) << "it is still there, or was not waited for";
  }
}

TEST_F(PluginRefresh, ACallsOwnStopEndsItsWaitAlone) {
  Imposter server(AnswerWithSite);
  Config config = ConfigFor(Await("go"));
  config.server = server.url();
  const auto client = NewClient(config).value();
  std::stop_source source;
  auto list = std::async(std::launch::async, [&] {
    return client->List(kSites, {.stop = source.get_token()}).status();
  });
  ASSERT_TRUE(WaitUntil([&] { return runs() == 1; }));
  source.request_stop();
  EXPECT_EQ(list.get().code(), Code::kCancelled);
  Let("go");
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  EXPECT_EQ(runs(), 1u) << "the run went on";
}

TEST_F(PluginRefresh, AServerThatIsNotKnownByItsCertificateIsNoAffairOfThePlugin) {
  const TestCa ca;
  const TestCa other;
  const auto api = other.Issue("api", "IP:127.0.0.1");
  Imposter server(AnswerWithSite, ImposterTls{api.cert_pem, api.key_pem, ""});
  Config config = ConfigFor("");
  config.server = server.url();
  config.ca_pem = ca.cert_pem();
  const auto client = NewClient(config).value();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client->Get(kSites, {"", "x"}).status().reason(), "CertificateInvalid");
  }
  EXPECT_EQ(runs(), 1u);
}

TEST_F(PluginRefresh, AHandshakeThatFailsAsksThePluginOnlyWhereItsCertificateWasShown) {
  const auto runs_after_three = [this](const std::string& credential) {
    std::filesystem::remove(folder_.File("runs"));
    Imposter server([](ImposterConnection& c) { c.Send(Answer(400, "")); });  // speaks no TLS
    Config config = ConfigFor("", credential);
    config.server = "https://127.0.0.1:" + std::to_string(server.port());
    const auto client = NewClient(config).value();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(client->Get(kSites, {"", "x"}).status().reason(), "Tls");
    }
    return runs();
  };
  EXPECT_EQ(runs_after_three(R"("token":"t")"), 1u);
  std::string pair;
  const auto user = TestCa().Issue("user", "DNS:user");
  for (const auto& [field, pem] : {std::pair{"clientCertificateData", user.cert_pem},
                                   std::pair{"clientKeyData", user.key_pem}}) {
    std::string text;
    for (const char c : pem) text += c == '\n' ? "\\n" : std::string(1, c);
    pair += (pair.empty() ? "\"" : ",\"") + std::string(field) + "\":\"" + text + "\"";
  }
  EXPECT_EQ(runs_after_three(pair), 4u);
}

}  // namespace
}  // namespace sluice::client
