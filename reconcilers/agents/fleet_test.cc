#include "reconcilers/agents/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <mutex>

#include "reconcilers/agents/enrolment.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Fleet, SummarisesOnlyWhoIsConnected) {
  FleetView fleet;
  const auto set = [&](const std::string& node, bool connected, const std::string& applied,
                       const std::string& nacked, AgentHealth health) {
    fleet.Update({"phoenix", node}, [&](NodeState& state) {
      state.connected = connected;
      state.applied_version = applied;
      state.nacked_version = nacked;
      state.nack_reason = nacked.empty() ? "" : "port taken";
      state.health = health;
      if (health == AgentHealth::kDegraded) state.problems = {"no disk", "restart " + node};
      return true;
    });
  };
  set("n1", true, "v2", "", AgentHealth::kServing);
  set("n2", true, "v1", "v2", AgentHealth::kServing);
  set("n3", true, "v1", "v0", AgentHealth::kDegraded);
  set("n4", true, "v1", "v0", AgentHealth::kDegraded);
  set("n2a", false, "v2", "", AgentHealth::kDegraded);
  const auto summary = fleet.Summarise("phoenix", "v2", {});
  EXPECT_EQ(summary.connected, 4);
  EXPECT_EQ(summary.in_step, 1);
  EXPECT_EQ(summary.nacked, 1);
  EXPECT_EQ(summary.example_nack, "node n2: port taken");
  EXPECT_EQ(summary.degraded, 2);
  EXPECT_EQ(summary.example_problem, "node n3: no disk; restart n3");
  EXPECT_EQ(fleet.Summarise("tucson", "v2", {}).connected, 0);
}

TEST(Fleet, TheWorstCertificateOfWhoIsConnectedCounts) {
  FleetView fleet;
  const auto set = [&](const std::string& node, bool connected, CertificateState certificates) {
    fleet.Update({"phoenix", node}, [&](NodeState& state) {
      state.connected = connected;
      state.certificates = certificates;
      state.certificate_problem = "of " + node;
      return true;
    });
  };
  set("n1", true, CertificateState::kShown);
  EXPECT_EQ(fleet.Summarise("phoenix", "v", {}).certificates, CertificateState::kShown);
  set("n2", true, CertificateState::kEnded);
  set("n3", true, CertificateState::kUnusable);
  set("n4", false, CertificateState::kMissing);
  set("n5", true, CertificateState::kUnknown);
  const auto summary = fleet.Summarise("phoenix", "v", {});
  EXPECT_EQ(summary.tls_shown, 1);
  EXPECT_EQ(summary.certificates, CertificateState::kUnusable);
  EXPECT_EQ(summary.example_certificate, "node n3: of n3");
}

TEST(Fleet, CountsAgentsThatSawMoreThanOurRecordKnows) {
  FleetView fleet;
  fleet.Update({"phoenix", "n1"}, [](NodeState& state) {
    state.connected = true;
    state.seen_order = {"uid", 7, 50};
    return false;
  });
  EXPECT_EQ(fleet.Summarise("phoenix", "v", {"uid", 7, 50}).ahead, 0);
  EXPECT_EQ(fleet.Summarise("phoenix", "v", {"uid", 7, 49}).ahead, 1);
  EXPECT_EQ(fleet.Summarise("phoenix", "v", {"uid-r1", 1, 1}).ahead, 0);
}

TEST(Fleet, TellsListenersOnlyOfChanges) {
  FleetView fleet;
  std::vector<std::string> heard;
  fleet.OnChange([&](const std::string& site) { heard.push_back(site); });
  fleet.Update({"phoenix", "n1"}, [](NodeState&) { return true; });
  fleet.Update({"phoenix", "n1"}, [](NodeState&) { return false; });
  EXPECT_THAT(heard, ElementsAre("phoenix"));
}

TEST(Fleet, ForgetsWhoLeftFirstAndNeverWhoIsConnected) {
  FleetView fleet;
  for (std::size_t i = 0; i < kMaxNodes; ++i) {
    fleet.Update({"s", "n" + std::to_string(i)}, [&](NodeState& state) {
      state.connected = i != 7 && i != 9;
      state.since = base::WallTime(std::chrono::seconds(i == 7 ? 100 : 50));
      return false;
    });
  }
  fleet.Update({"s", "new"}, [](NodeState&) { return false; });
  EXPECT_TRUE(fleet.Node({"s", "new"}));
  EXPECT_TRUE(fleet.Node({"s", "n7"}));
  EXPECT_FALSE(fleet.Node({"s", "n9"}));
  fleet.Forget({"s", "n1"});
  EXPECT_TRUE(fleet.Node({"s", "n1"})) << "connected";
  fleet.Forget({"s", "n7"});
  EXPECT_FALSE(fleet.Node({"s", "n7"}));
}

TEST(Enrolment, AdmitsAPodForItsOwnNodeOnly) {
  EXPECT_TRUE(Admit({"sa", "pod", "n1"}, {"phoenix", "n1"}).ok());
  EXPECT_THAT(Admit({"sa", "pod", "n1"}, {"phoenix", "n2"}).message(),
              HasSubstr("runs on node n1, not on n2"));
  EXPECT_THAT(Admit({"sa", "", ""}, {"phoenix", "n2"}).message(), HasSubstr("not bound to a pod"));
}

TEST(ReviewPool, AnswersEveryJobOnceEvenWhenFullOrStopping) {
  std::mutex gate;
  std::atomic<int> ran{0}, full{0}, stopped{0};
  gate.lock();
  ReviewPool pool({.threads = 1, .most_threads = 1, .waiting = 2});
  const auto job = [&](const base::Status& status) {
    if (status.ok()) {
      const std::lock_guard lock(gate);
      ++ran;
    } else {
      ++(status.code() == base::Code::kResourceExhausted ? full : stopped);
    }
  };
  constexpr int kJobs = 20;
  for (int i = 0; i < kJobs; ++i) pool.Submit("", 1, job);
  EXPECT_GE(full, kJobs - 1 - static_cast<int>(kWaitingOfALane));
  gate.unlock();
  pool.Stop();
  pool.Submit("", 1, job);
  EXPECT_EQ(ran + full + stopped, kJobs + 1);
  EXPECT_GE(stopped, 1);
}

TEST(ReviewPool, FiftySilentClustersHoldUpNoOther) {
  constexpr int kSilent = 50, kAtOnce = 2;
  std::atomic<int> inside{0}, answered{0};
  std::latch release(1), served(1);
  ReviewPool pool({.threads = 2, .most_threads = kSilent * kAtOnce + 1, .waiting = 4});
  for (int i = 0; i < kSilent; ++i) {
    for (int j = 0; j <= kAtOnce; ++j) {
      pool.Submit("silent-" + std::to_string(i), kAtOnce, [&](const base::Status& status) {
        ++answered;
        if (!status.ok()) return;
        ++inside;
        inside.notify_all();
        release.wait();
      });
    }
  }
  for (int now = inside; now < kSilent * kAtOnce; now = inside) inside.wait(now);
  pool.Submit("good", kAtOnce, [&](const base::Status& status) {
    EXPECT_TRUE(status.ok()) << "there is room for whoever has few waiting";
    served.count_down();
  });
  served.wait();
  EXPECT_EQ(inside, kSilent * kAtOnce) << "and a silent one has no more threads than its own";
  release.count_down();
  pool.Stop();
  EXPECT_EQ(answered, kSilent * (kAtOnce + 1));
}

}  // namespace
}  // namespace sluice::agents
