// What a Manager's controllers are asked, and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/runtime/limits.h"
#include "controller/runtime/manager_for_test.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using nlohmann::json;
using testing_kit::WaitUntil;

TEST_F(ManagerTest, AKeyIsStaleFromOurOwnWriteUntilTheCacheShowsIt) {
  Make();
  cache::Store& store = manager->StoreOf(kWidgets);
  cache::Store& narrowed = manager->StoreOf(kWidgets, {.ns = "", .label_selector = "a=b"});
  ASSERT_THAT(manager->fenced_client().Create(kWidgets, Widget("a")), testing_kit::IsOk());
  json labelled = Widget("l");
  labelled["metadata"]["labels"]["a"] = "b";
  ASSERT_THAT(manager->fenced_client().Create(kWidgets, labelled), testing_kit::IsOk());
  EXPECT_TRUE(store.IsStale({"ns", "a"}));
  EXPECT_TRUE(store.IsStale({"ns", "l"}));
  EXPECT_FALSE(narrowed.IsStale({"ns", "a"})) << "it will never show it";
  EXPECT_TRUE(narrowed.IsStale({"ns", "l"})) << "it will show it";
  Run();
  for (const cache::Store* each : {&store, &narrowed}) {
    EXPECT_TRUE(WaitUntil([&] {
      return each->synced() && !each->IsStale({"ns", "a"}) && !each->IsStale({"ns", "l"});
    }));
  }
}

TEST_F(ManagerTest, AKeyIsStaleUntilItsCacheShowsThatItWentByOurOwnWrite) {
  Make();
  json object = Widget("a");
  object["metadata"]["labels"]["a"] = "b";
  api.Put(kWidgets, object);
  object["metadata"]["name"] = "f";
  object["metadata"]["finalizers"] = {"x/y"};
  api.Put(kWidgets, object);
  cache::Store& narrowed = manager->StoreOf(kWidgets, {.ns = "", .label_selector = "a=b"});
  Run();
  ASSERT_TRUE(WaitUntil([&] { return narrowed.size() == 2; }));
  ASSERT_THAT(api.Delete(kWidgets, {"ns", "f"}), testing_kit::IsOk());  // waits for its finalizer
  ASSERT_TRUE(WaitUntil([&] { return narrowed.Get({"ns", "f"})->deleting(); }));
  const auto version = [&](const char* name) {
    return api.Look(kWidgets, {"ns", name})["metadata"]["resourceVersion"];
  };
  // The watch may be faster than the question; slower, it has to be waited for.
  for (const char* name : {"a", "f"}) {
    json changed = api.Look(kWidgets, {"ns", name});
    changed["metadata"].erase(name[0] == 'a' ? "labels" : "finalizers");
    changed["metadata"]["resourceVersion"] = version(name);
    ASSERT_THAT(manager->fenced_client().Update(kWidgets, changed), testing_kit::IsOk());
    EXPECT_TRUE(narrowed.IsStale({"ns", name}) || narrowed.Get({"ns", name}) == nullptr) << name;
    EXPECT_TRUE(WaitUntil([&] { return narrowed.Get({"ns", name}) == nullptr; })) << name;
    EXPECT_FALSE(narrowed.IsStale({"ns", name})) << name;
  }
}

TEST_F(ManagerTest, AnUnnarrowedStoreOfSecretsIsRefusedByRunUnlessItIsAskedFor) {
  const meta::Resource secrets{"", "v1", "Secret", "secrets", true};
  Make();
  manager->StoreOf(secrets, {.label_selector = "a!=b"});
  EXPECT_THAT(manager->Run(stop.get_token()), testing_kit::HasCode(base::Code::kInvalidArgument));
  EXPECT_THAT(manager->Run(stop.get_token()).message(), ::testing::HasSubstr("secrets"));
  Make();
  cache::Store& all = manager->StoreOf(secrets, {.all_secrets_or_pods = true});
  Run();
  EXPECT_TRUE(WaitUntil([&] { return all.synced(); }));
}

TEST_F(ManagerTest, EveryStoreOfAPrunedKindKeepsWhatIsAskedAndOtherKindsStayWhole) {
  Make();
  api.Put(kWidgets, Widget("a"));
  json part = Widget("a");
  part["kind"] = "Part";
  api.Put(kParts, part);
  manager->Prune(kWidgets, [](const meta::ObjectPtr& object) {
    json kept = object->ToJson();
    kept.erase("spec");
    return meta::Object::FromJson(kept).value();
  });
  const cache::Store& parts = manager->StoreOf(kParts);
  std::vector<cache::Store*> stores = {&manager->StoreOf(kWidgets),
                                       &manager->StoreOf(kWidgets, {.ns = "ns"})};
  Run();
  ASSERT_TRUE(WaitUntil([&] { return parts.Get({"ns", "a"}) != nullptr; }));
  EXPECT_NE(parts.Get({"ns", "a"})->spec_json(), "");
  stores.push_back(
      &manager->StoreOf(kWidgets, {.field_selector = "metadata.name=a"}));  // a late one
  for (const cache::Store* store : stores) {
    ASSERT_TRUE(WaitUntil([&] { return store->Get({"ns", "a"}) != nullptr; }));
    EXPECT_EQ(store->Get({"ns", "a"})->spec_json(), "");
  }
}

TEST_F(ManagerTest, AKindIsPrunedBeforeItsFirstStoreAndOnce) {
  Make();
  const auto whole = [](meta::ObjectPtr object) { return object; };
  manager->Prune(kParts, whole);
  EXPECT_DEATH(manager->Prune(kParts, whole), "");
  manager->StoreOf(kWidgets);
  EXPECT_DEATH(manager->Prune(kWidgets, whole), "");
}

TEST_F(ManagerTest, EveryObjectIsLookedAtOnceAtTheStartAndAgainWhenItsSpecChanges) {
  Make();
  api.Put(kWidgets, Widget("a"));
  api.Put(kWidgets, Widget("b"));
  manager->NewController("widget", kWidgets, reconciler).Workers(2);
  Run();
  ASSERT_TRUE(
      WaitUntil([&] { return reconciler->Calls("a") == 1 && reconciler->Calls("b") == 1; }));
  api.Put(kWidgets, Widget("a", 2));
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 2; }));
  api.PutStatus(kWidgets, {"ns", "b"}, {{"seen", true}});
  api.Put(kWidgets, Widget("c"));
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("c") == 1; }));
  EXPECT_EQ(reconciler->Calls("b"), 1) << "a status write alone is no reason";
  manager->LookAtAll("widget");
  ASSERT_TRUE(WaitUntil([&] {
    return reconciler->Calls("a") == 3 && reconciler->Calls("b") == 2 &&
           reconciler->Calls("c") == 2;
  }));
  EXPECT_EQ(api.writes(), 0);
  Stop();
  EXPECT_THAT(result, testing_kit::IsOk());
}

TEST_F(ManagerTest, ARightThatIsMissingIsAnEventOfTheObjectThatNeedsIt) {
  Make();
  api.Put(kWidgets, Widget("a"));
  struct Refused final : reconcile::Reconciler {
    reconcile::Result Reconcile(const reconcile::Request&, std::stop_token) override {
      return reconcile::Result::Retry(base::PermissionDenied("cannot patch resource parts"));
    }
  };
  manager->NewController("widget", kWidgets, std::make_shared<Refused>());
  Run();
  const meta::Resource events{"events.k8s.io", "v1", "Event", "events", true};
  ASSERT_TRUE(WaitUntil([&] { return !api.LookAll(events).empty(); }));
  const json event = api.LookAll(events).front();
  EXPECT_EQ(event["regarding"]["name"], "a");
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["reason"], "Forbidden");
  EXPECT_EQ(event["reportingController"], options.name);
  EXPECT_EQ(event["note"], "cannot patch resource parts");
}

TEST_F(ManagerTest, AStoreLargerThanASliceIsLookedAtWholeAndAgainWhenAsked) {
  const std::size_t count = 3 * kBacklogSlice + 7;
  for (std::size_t i = 0; i < count; ++i) api.Put(kWidgets, Widget("w" + std::to_string(i)));
  Make();
  std::atomic<std::size_t> calls{0};
  reconciler->before = [&](const reconcile::Request&, std::stop_token) { ++calls; };
  manager->NewController("widget", kWidgets, reconciler).Workers(3);
  Run();
  ASSERT_TRUE(WaitUntil([&] { return calls == count; }));
  manager->LookAtAll("widget");
  ASSERT_TRUE(WaitUntil([&] { return calls == 2 * count; }));
  Stop();
  EXPECT_EQ(reconciler->calls.size(), count);
  for (const auto& [name, times] : reconciler->calls) EXPECT_EQ(times, 2) << name;
}

TEST_F(ManagerTest, TellsOnceThatEveryCacheIsSyncedBeforeItReconciles) {
  api.Put(kWidgets, Widget("a"));
  std::atomic<int> told{0};
  std::atomic<bool> whole{false};
  options.on_synced = [&] {
    ++told;
    whole = manager->StoreOf(kWidgets).size() == 1 && manager->StoreOf(kParts).synced() &&
            reconciler->Calls("a") == 0;
  };
  Make();
  manager->NewController("widget", kWidgets, reconciler).Owns(kParts);
  Run();
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 1; }));
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(whole);
}

TEST_F(ManagerTest, AnOwnedObjectsChangeReachesItsOwner) {
  Make();
  api.Put(kWidgets, Widget("a"));
  manager->NewController("widget", kWidgets, reconciler).Owns(kParts);
  Run();
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 1; }));
  json part = {{"apiVersion", "example.com/v1"},
               {"kind", "Part"},
               {"metadata",
                {{"namespace", "ns"},
                 {"name", "p"},
                 {"ownerReferences",
                  {{{"apiVersion", "example.com/v1"},
                    {"kind", "Widget"},
                    {"name", "a"},
                    {"uid", "uid-1"},
                    {"controller", true}}}}}}};
  api.Put(kParts, part);
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 2; }));
  ASSERT_THAT(api.Delete(kParts, {"ns", "p"}), testing_kit::IsOk());
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 3; }));
}

TEST_F(ManagerTest, ATriggerPutsAKeyIntoTheQueue) {
  Make();
  manager->NewController("widget", kWidgets, reconciler);
  const Trigger trigger = manager->TriggerOf("widget");
  trigger({"ns", "x"});  // dropped: not active yet, and everything is looked at then
  Run();
  ASSERT_TRUE(WaitUntil([&] {
    trigger({"ns", "x"});
    return reconciler->Calls("x") > 0;
  }));
}

TEST_F(ManagerTest, ATriggerThatGathersPutsAKeyIntoTheQueueOnceAnInterval) {
  Make();
  manager->NewController("widget", kWidgets, reconciler);
  const Trigger gathering = manager->GatheringTriggerOf("widget", std::chrono::hours(1));
  const Trigger trigger = manager->TriggerOf("widget");
  gathering({"ns", "x"});  // dropped, and no look to count from
  Run();
  ASSERT_TRUE(WaitUntil([&] {
    gathering({"ns", "x"});
    return reconciler->Calls("x") > 0;
  }));
  for (int i = 0; i < 100; ++i) gathering({"ns", "x"});
  trigger({"ns", "y"});
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("y") == 1; }));
  EXPECT_EQ(reconciler->Calls("x"), 1) << "it would have come before y";
  trigger({"ns", "x"});
  EXPECT_TRUE(WaitUntil([&] { return reconciler->Calls("x") == 2; })) << "others do not wait";
}

}  // namespace
}  // namespace sluice::runtime
