#include "controller/runtime/manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "controller/http/client.h"
#include "controller/runtime/limits.h"
#include "controller/runtime/predicates.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing_kit::WaitUntil;

const meta::Resource kWidgets{"example.com", "v1", "Widget", "widgets", true};
const meta::Resource kParts{"example.com", "v1", "Part", "parts", true};

json Widget(const std::string& name, int size = 1) {
  return {{"apiVersion", "example.com/v1"},
          {"kind", "Widget"},
          {"metadata", {{"namespace", "ns"}, {"name", name}}},
          {"spec", {{"size", size}}}};
}

meta::ObjectPtr Parsed(const json& object) { return meta::Object::FromJson(object).value(); }

TEST(Predicates, AStatusWriteAloneDoesNotMatter) {
  json before = Widget("a");
  before["metadata"]["generation"] = 1;
  before["metadata"]["resourceVersion"] = "1";
  json after = before;
  after["metadata"]["resourceVersion"] = "2";
  after["status"] = {{"size", 1}};
  EXPECT_FALSE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
  json ticked = after;  // a clock in metadata that nobody plans from
  ticked["metadata"]["zz"] = 1;
  EXPECT_FALSE(SpecOrMetadataChanged({Parsed(before), Parsed(ticked)}));
  json labelled = after;
  labelled["metadata"]["labels"] = {{"a", "b"}};
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(labelled)}));
  json finalised = after;
  finalised["metadata"]["finalizers"] = {"x"};
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(finalised)}));
  json deleting = after;
  deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(deleting)}));
  after["metadata"]["generation"] = 2;
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
}

TEST(Predicates, AnObjectWithoutAGenerationMattersWheneverItChanged) {
  json before = Widget("a");
  before["metadata"]["resourceVersion"] = "1";
  json after = before;
  EXPECT_FALSE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
  after["metadata"]["resourceVersion"] = "2";
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
}

TEST(Predicates, OnlyTheControllingOwnerOfTheKindIsConcerned) {
  json part = Widget("p");
  part["metadata"]["ownerReferences"] = {
      {{"apiVersion", "example.com/v2"}, {"kind", "Widget"}, {"name", "a"}, {"controller", true}},
      {{"apiVersion", "example.com/v1"}, {"kind", "Widget"}, {"name", "b"}},
      {{"apiVersion", "other.com/v1"}, {"kind", "Widget"}, {"name", "c"}, {"controller", true}}};
  EXPECT_THAT(ControllingOwners(kWidgets, {nullptr, Parsed(part)}),
              testing::ElementsAre(meta::Key{"ns", "a"}));
}

// Counts what it is asked; optionally writes a status once per generation.
class Counting final : public reconcile::Reconciler {
 public:
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override {
    if (before) before(request, stop);
    const std::lock_guard lock(mutex);
    ++calls[request.key.name];
    return reconcile::Result::Done();
  }
  int Calls(const std::string& name) {
    const std::lock_guard lock(mutex);
    return calls[name];
  }
  std::function<void(const reconcile::Request&, std::stop_token)> before;
  std::mutex mutex;
  std::map<std::string, int> calls;
};

class ManagerTest : public testing::Test {
 protected:
  ManagerTest() : api(clock) {
    options.name = "test";
    options.identity = "replica-0";
    options.metrics_address = "127.0.0.1:0";
    options.health_address = "127.0.0.1:0";
    options.end_process = [this](std::string_view) { ++ended; };
  }
  ~ManagerTest() override { Stop(); }
  void Make() {
    manager = Manager::New(options, api, clock);
    reconciler = std::make_shared<Counting>();
  }
  void Run() {
    runner = std::thread([this] { result = manager->Run(stop.get_token()); });
  }
  void Stop() {
    stop.request_stop();
    if (runner.joinable()) runner.join();
    manager.reset();
  }
  std::string Page(int port, const std::string& path, int* status = nullptr) {
    http::ClientOptions client_options;
    client_options.base_url = "http://127.0.0.1:" + std::to_string(port);
    auto client = http::Client::New(client_options).value();
    http::Request request;
    request.target = path;
    auto answer = client->Do(request);
    if (!answer.ok()) return answer.status().ToString();
    if (status != nullptr) *status = answer->status;
    return answer->body;
  }

  base::RealClock clock;
  testing_kit::FakeApi api;
  Options options;
  std::atomic<int> ended{0};
  std::unique_ptr<Manager> manager;
  std::shared_ptr<Counting> reconciler;
  std::stop_source stop;
  std::thread runner;
  base::Status result;
};

TEST_F(ManagerTest, AKeyIsStaleFromOurOwnWriteUntilTheCacheShowsIt) {
  Make();
  cache::Store& store = manager->StoreOf(kWidgets);
  cache::Store& narrowed = manager->StoreOf(kWidgets, {.ns = "", .label_selector = "a=b"});
  ASSERT_THAT(manager->fenced_client().Create(kWidgets, Widget("a")), testing_kit::IsOk());
  EXPECT_TRUE(store.IsStale({"ns", "a"}));
  EXPECT_FALSE(narrowed.IsStale({"ns", "a"})) << "it may never show it";
  Run();
  EXPECT_TRUE(WaitUntil([&] { return store.synced() && !store.IsStale({"ns", "a"}); }));
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

TEST_F(ManagerTest, OnLeadRunsBeforeAnyReconcilerAndTheLeadIsGivenBack) {
  options.lease_namespace = "ns";
  options.lease_name = "lead";
  std::atomic<bool> led{false};
  options.on_lead = [&] {
    led = true;
    return base::OkStatus();
  };
  Make();
  std::atomic<bool> early{false};
  reconciler->before = [&](const auto&, auto) {
    if (!led) early = true;
  };
  auto follower = std::make_shared<Counting>();
  api.Put(kWidgets, Widget("a"));
  manager->NewController("widget", kWidgets, reconciler);
  manager->NewController("everywhere", kWidgets, follower).NeedsNoLeader();
  Run();
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 1; }));
  ASSERT_TRUE(WaitUntil([&] { return follower->Calls("a") == 1; }));
  EXPECT_TRUE(manager->leading());
  EXPECT_FALSE(early);
  Stop();
  const meta::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  EXPECT_EQ(api.Look(leases, {"ns", "lead"})["spec"]["holderIdentity"], "");
}

TEST_F(ManagerTest, AnErrorOfOnLeadGivesTheLeaseUpAndItIsTriedAgainLater) {
  options.lease_namespace = "ns";
  options.lease_name = "lead";
  options.lease_duration = milliseconds(900);
  options.renew_deadline = milliseconds(600);
  options.retry_period = milliseconds(100);
  std::atomic<int> tries{0};
  std::atomic<int> released{0};
  const meta::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  options.on_lead = [&] {
    if (tries == 1 && api.Look(leases, {"ns", "lead"})["spec"]["leaseTransitions"] == 1) ++released;
    if (++tries == 1) return base::Unavailable("the epoch object cannot be written");
    return base::OkStatus();
  };
  Make();
  manager->NewController("widget", kWidgets, reconciler);
  api.Put(kWidgets, Widget("a"));
  Run();
  ASSERT_TRUE(WaitUntil([&] { return tries == 1; }));
  ASSERT_TRUE(WaitUntil([&] { return reconciler->Calls("a") == 1; }));
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(released, 1) << "somebody else could have taken it in between";
  EXPECT_TRUE(manager->leading());
}

TEST_F(ManagerTest, AStandbyKeepsItsCachesWarmAndServesWithoutReconciling) {
  options.lease_namespace = "ns";
  options.lease_name = "lead";
  const meta::Resource leases{"coordination.k8s.io", "v1", "Lease", "leases", true};
  api.Put(leases, {{"metadata", {{"namespace", "ns"}, {"name", "lead"}}},
                   {"spec",
                    {{"holderIdentity", "other"},
                     {"leaseDurationSeconds", 3600},
                     {"renewTime", "2026-01-01T00:00:00.000000Z"}}}});
  Make();
  api.Put(kWidgets, Widget("a"));
  manager->NewController("widget", kWidgets, reconciler);
  cache::Store& store = manager->StoreOf(kWidgets);
  Run();
  ASSERT_TRUE(WaitUntil([&] { return store.synced() && store.size() == 1; }));
  api.Put(kWidgets, Widget("b"));
  ASSERT_TRUE(WaitUntil([&] { return store.size() == 2; }));
  int status = 0;
  EXPECT_EQ(Page(manager->health_port(), "/readyz", &status), "ok");
  EXPECT_EQ(status, 200);
  EXPECT_FALSE(manager->leading());
  EXPECT_EQ(reconciler->Calls("a"), 0);
  EXPECT_THAT(manager->fenced_client().Create(kWidgets, Widget("c")),
              testing_kit::HasCode(base::Code::kAborted));
}

TEST_F(ManagerTest, LosingTheLeaseEndsTheRunWithAborted) {
  options.lease_namespace = "ns";
  options.lease_name = "lead";
  options.lease_duration = milliseconds(900);
  options.renew_deadline = milliseconds(600);
  options.retry_period = milliseconds(100);
  Make();
  manager->NewController("widget", kWidgets, reconciler);
  Run();
  ASSERT_TRUE(WaitUntil([&] { return manager->leading(); }));
  api.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.resource == "leases.coordination.k8s.io") return base::Unavailable("cut off");
    return std::nullopt;
  });
  runner.join();
  EXPECT_THAT(result, testing_kit::HasCode(base::Code::kAborted));
  EXPECT_EQ(ended, 0) << "work had stopped in time";
}

TEST_F(ManagerTest, AReconcilerThatDoesNotReturnIsEndedByForce) {
  options.stop_deadline = milliseconds(50);
  Make();
  std::atomic<bool> release{false};
  std::atomic<bool> inside{false};
  reconciler->before = [&](const auto&, auto) {
    inside = true;
    while (!release) std::this_thread::yield();
  };
  api.Put(kWidgets, Widget("a"));
  manager->NewController("widget", kWidgets, reconciler);
  Run();
  ASSERT_TRUE(WaitUntil([&] { return inside.load(); }));
  stop.request_stop();
  EXPECT_TRUE(WaitUntil([&] { return ended == 1; }));
  release = true;
  Stop();  // while what the reconciler looks at still exists
}

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
