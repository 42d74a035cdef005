#include "datapath/cmd/flags.h"

#include <gtest/gtest.h>

namespace sluice::cmd {
namespace {

base::StatusOr<Flags> Parse(std::vector<const char*> arguments) { return ParseFlags(arguments); }

TEST(Flags, TakeBothSpellings) {
  auto flags = Parse({"--config=a.yaml", "--metrics", "0.0.0.0:9464", "--drain-seconds=7"});
  ASSERT_TRUE(flags.ok()) << flags.status().ToString();
  EXPECT_EQ(flags->config, "a.yaml");
  EXPECT_EQ(flags->metrics, "0.0.0.0:9464");
  EXPECT_EQ(flags->drain, std::chrono::seconds(7));
}

TEST(Flags, WhatTheDaemonSetGivesIsUnderstood) {
  auto flags = Parse({"--site",          "s",
                      "--node",          "n",
                      "--control",       "a:1,b:1",
                      "--enrolment",     "a:2",
                      "--ca-file",       "/ca",
                      "--token-file",    "/t",
                      "--state-dir",     "/var/lib/sluice",
                      "--run-dir",       "/run/sluice",
                      "--metrics",       "0.0.0.0:9464",
                      "--drain-seconds", "30"});
  ASSERT_TRUE(flags.ok()) << flags.status().ToString();
  EXPECT_EQ(flags->control, (std::vector<std::string>{"a:1", "b:1"}));
  EXPECT_EQ(flags->enrolment, std::vector<std::string>{"a:2"});
}

TEST(Flags, ThePollerIsAutoUnlessNamed) {
  EXPECT_EQ(Parse({"--config", "a"})->poller, ring::PollerKind::kAuto);
  EXPECT_EQ(Parse({"--config", "a", "--poller", "epoll"})->poller, ring::PollerKind::kEpoll);
  EXPECT_EQ(Parse({"check", "--poller=io_uring"})->poller, ring::PollerKind::kIoUring);
}

TEST(Flags, StatusNeedsToKnowWhomToAsk) {
  auto flags = Parse({"status", "--metrics", "127.0.0.1:9464"});
  ASSERT_TRUE(flags.ok()) << flags.status().ToString();
  EXPECT_EQ(flags->action, Flags::Action::kStatus);
  EXPECT_FALSE(Parse({"status"}).ok());
  EXPECT_TRUE(Parse({"status", "--config", "a.yaml"}).ok());
}

TEST(Flags, NameWhatIsWrong) {
  const auto message = [](std::vector<const char*> arguments) {
    auto flags = Parse(std::move(arguments));
    EXPECT_FALSE(flags.ok());
    return flags.ok() ? std::string() : flags.status().message();
  };
  EXPECT_NE(message({"--bogus"}).find("--bogus"), std::string::npos);
  EXPECT_NE(message({"--config"}).find("--config needs a value"), std::string::npos);
  EXPECT_NE(message({}).find("--config FILE or --control"), std::string::npos);
  EXPECT_NE(message({"--config", "a", "--control", "b:1"}).find("either"), std::string::npos);
  EXPECT_NE(message({"--config", "a", "--drain-seconds", "-1"}).find("0 to 3600"),
            std::string::npos);
  EXPECT_NE(message({"--config", "a", "--log-format", "xml"}).find("text or json"),
            std::string::npos);
  EXPECT_NE(message({"--config", "a", "--poller", "kqueue"}).find("auto, epoll or io_uring"),
            std::string::npos);
}

TEST(Flags, HelpAndVersionNeedNothingElse) {
  EXPECT_EQ(Parse({"--help"})->action, Flags::Action::kHelp);
  EXPECT_EQ(Parse({"--version"})->action, Flags::Action::kVersion);
  EXPECT_EQ(Parse({"check"})->action, Flags::Action::kCheck);
  EXPECT_NE(HelpText().find("--control HOST:PORT"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cmd
