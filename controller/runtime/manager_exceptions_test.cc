// What others register throws on an object of a form it did not expect: the process goes on, and
// nothing that should be looked at is missed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/runtime/manager_for_test.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_kit::WaitUntil;

class ManagerExceptionsTest : public ManagerTest {
 protected:
  ~ManagerExceptionsTest() override { Stop(); }
  static json Part(const std::string& name, const json& widget) {
    return {{"apiVersion", "example.com/v1"},
            {"kind", "Part"},
            {"metadata", {{"namespace", "ns"}, {"name", name}}},
            {"spec", {{"widget", widget}}}};
  }
  // As reconcilers' do: throws when it is no text.
  static std::string WidgetOf(const meta::Object& part) {
    return part.ToJson()["spec"]["widget"].get<std::string>();
  }
};

TEST_F(ManagerExceptionsTest, AMapperThatThrowsHasEveryKeyLookedAtAndIsCounted) {
  Make();
  api.Put(kWidgets, Widget("a"));
  api.Put(kWidgets, Widget("b"));
  api.Put(kParts, Part("stored", 7));  // it is there at the start, too
  manager->NewController("widget", kWidgets, reconciler)
      .Watches(kParts, [](const cache::Event& event) {
        return std::vector<meta::Key>{{"ns", WidgetOf(*event.after)}};
      });
  Run();
  const auto calls = [&] { return std::pair(reconciler->Calls("a"), reconciler->Calls("b")); };
  ASSERT_TRUE(WaitUntil([&] { return calls() == std::pair(1, 1); }));
  api.Put(kParts, Part("good", "b"));
  ASSERT_TRUE(WaitUntil([&] { return calls() == std::pair(1, 2); }));
  api.Put(kParts, Part("bad", json::array()));
  ASSERT_TRUE(WaitUntil([&] { return calls() == std::pair(2, 3); }));
  api.Put(kParts, Part("good", "a"));
  ASSERT_TRUE(WaitUntil([&] { return calls() == std::pair(3, 3); }));
  EXPECT_THAT(manager->metrics().Expose(),
              HasSubstr("controller_runtime_reconcile_panics_total{controller=\"widget\"} 1"));
}

TEST_F(ManagerExceptionsTest, APredicateThatThrowsLetsTheEventThrough) {
  Make();
  api.Put(kWidgets, Widget("a"));
  manager->NewController("widget", kWidgets, reconciler).When([](const cache::Event& event) {
    return event.after->ToJson()["spec"]["size"].get<std::string>() == "large";
  });
  Run();
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 1; }));
  api.Put(kWidgets, Widget("a", 2));
  EXPECT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 2; }));
}

TEST_F(ManagerExceptionsTest, AnObjectWhoseIndexThrowsIsInTheStoreAndUnderNoValue) {
  Make();
  api.Put(kParts, Part("good", "w"));
  api.Put(kParts, Part("bad", 7));
  cache::Store& store = manager->StoreOf(kParts);
  manager->AddIndex(kParts, "widget",
                    [](const meta::Object& part) { return std::vector{WidgetOf(part)}; });
  Run();
  ASSERT_TRUE(WaitUntil([&] { return store.synced(); }));
  EXPECT_EQ(store.size(), 2U);
  EXPECT_EQ(store.ByIndex("widget", "w").size(), 1U);
  api.Put(kParts, Part("bad", "w"));
  EXPECT_TRUE(WaitUntil([&] { return store.ByIndex("widget", "w").size() == 2; }));
  api.Put(kParts, Part("good", 7));
  EXPECT_TRUE(WaitUntil([&] { return store.ByIndex("widget", "w").size() == 1; }));
  EXPECT_THAT(manager->metrics().Expose(),
              HasSubstr("sluice_cache_exceptions_total{store=\"parts.example.com\"} "));
}

TEST_F(ManagerExceptionsTest, WhatTheOwnerIsToldWithMayThrowToo) {
  options.lease_namespace = "ns";
  options.lease_name = "lead";
  options.lease_duration = std::chrono::milliseconds(4000);  // after which it is tried again
  options.renew_deadline = std::chrono::milliseconds(3000);  // the second lead stays
  options.retry_period = std::chrono::milliseconds(100);
  std::atomic<int> leads{0};
  options.on_synced = [] { throw std::runtime_error("not now"); };
  options.on_lead = [&]() -> base::Status {
    if (++leads == 1) throw std::runtime_error("not yet");
    return base::OkStatus();
  };
  Make();
  api.Put(kWidgets, Widget("a"));
  manager->NewController("widget", kWidgets, reconciler);
  Run();
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 1; }));
  EXPECT_EQ(leads, 2) << "the lead was given up and taken again";
}

}  // namespace
}  // namespace sluice::runtime
