// A Manager with a lease: what runs when, and what the loss of the lead ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/runtime/manager_for_test.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using std::chrono::milliseconds;
using testing_kit::WaitUntil;

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
  options.lease_duration = milliseconds(4000);  // after which it is tried again
  options.renew_deadline = milliseconds(3000);  // the second lead stays, however slow we are
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
  // The lease is as long as ever: what it leaves for stopping the work is not what is tried here.
  options.renew_deadline = milliseconds(2000);
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

}  // namespace
}  // namespace sluice::runtime
