// The pages a Manager serves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/runtime/manager_for_test.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using testing_kit::WaitUntil;

TEST_F(ManagerTest, ReadyzNamesTheCheckThatFails) {
  Make();
  manager->NewController("widget", kWidgets, reconciler);
  std::atomic<bool> good{false};
  manager->AddReadyCheck("agents", [&] {
    return good ? base::OkStatus() : base::Unavailable("port 9443 is not served");
  });
  Run();
  int status = 0;
  ASSERT_TRUE(WaitUntil([&] {
    return manager->health_port() != 0 &&
           Page(manager->health_port(), "/readyz").find("[+]caches ok") != std::string::npos;
  }));
  const std::string page = Page(manager->health_port(), "/readyz", &status);
  EXPECT_EQ(status, 503);
  EXPECT_THAT(page, testing::HasSubstr("[-]agents failed: port 9443 is not served"));
  EXPECT_EQ(Page(manager->health_port(), "/readyz/caches", &status), "ok");
  EXPECT_EQ(status, 200);
  Page(manager->health_port(), "/readyz/nothing", &status);
  EXPECT_EQ(status, 404);
  good = true;
  EXPECT_EQ(Page(manager->health_port(), "/healthz"), "ok");
  EXPECT_THAT(
      Page(manager->metrics_port(), "/metrics"),
      testing::HasSubstr("controller_runtime_max_concurrent_reconciles{controller=\"widget\"} 1"));
}

TEST_F(ManagerTest, DebugShowsCachesQueuesAndWhatOthersAdd) {
  options.debug_address = "127.0.0.1:0";
  Make();
  manager->NewController("widget", kWidgets, reconciler);
  manager->AddDebug("clusters", [] { return nlohmann::json{{{"cluster", "east"}}}; });
  Run();
  ASSERT_TRUE(WaitUntil([&] {
    return manager->leading() && manager->debug_port() != 0 && manager->StoreOf(kWidgets).synced();
  }));
  const auto shown = nlohmann::json::parse(Page(manager->debug_port(), "/debug"));
  EXPECT_EQ(shown["leading"], true);
  EXPECT_EQ(shown["caches"][0]["store"], "widgets.example.com");
  EXPECT_EQ(shown["caches"][0]["synced"], true);
  EXPECT_EQ(shown["caches"][0]["failures"], 0);
  EXPECT_TRUE(shown["caches"][0]["heardSecondsAgo"].is_number()) << shown["caches"][0];
  EXPECT_EQ(shown["controllers"]["widget"]["waiting"], 0);
  EXPECT_EQ(shown["controllers"]["widget"]["lastErrors"], nlohmann::json::array());
  EXPECT_EQ(shown["clusters"][0]["cluster"], "east");
}

TEST_F(ManagerTest, DebugShowsWhateverBytesAnErrorHasAndWhateverAPartThrows) {
  options.debug_address = "127.0.0.1:0";
  Make();
  reconciler->before = [](const auto&, auto) { throw std::runtime_error("a \xff byte"); };
  manager->NewController("widget", kWidgets, reconciler);
  manager->AddDebug("broken", []() -> nlohmann::json { throw std::runtime_error("no part"); });
  api.Put(kWidgets, Widget("a"));
  Run();
  nlohmann::json shown;
  ASSERT_TRUE(WaitUntil([&] {
    if (manager->debug_port() == 0) return false;
    shown = nlohmann::json::parse(Page(manager->debug_port(), "/debug"), nullptr, false);
    return shown.is_object() && !shown["controllers"]["widget"]["lastErrors"].empty();
  })) << Page(manager->debug_port(), "/debug");
  // That one's parts may be from before and behind the look; from now on each is of behind it.
  shown = nlohmann::json::parse(Page(manager->debug_port(), "/debug"));
  EXPECT_EQ(shown["controllers"]["widget"]["lastErrors"][0]["error"],
            "Internal: exception: a \xef\xbf\xbd byte");
  EXPECT_EQ(shown["controllers"]["widget"]["keys"][0]["key"], "ns/a");
  EXPECT_EQ(shown["caches"][0]["objects"], 1);
  EXPECT_EQ(shown["broken"]["error"], "no part");
}

TEST_F(ManagerTest, AnAddressThatCannotBeServedEndsTheRunWithOneClearError) {
  options.health_address = "nonsense";
  Make();
  manager->NewController("widget", kWidgets, reconciler);
  Run();
  runner.join();
  EXPECT_FALSE(result.ok());
  EXPECT_THAT(result.message(), testing::HasSubstr("health address"));
}

}  // namespace
}  // namespace sluice::runtime
