// What the threads of connections, reconcilers and watches do to what they share, all at once.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "api/agent/v1/agent.pb.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/agents/testing.h"

namespace sluice::agents {
namespace {

constexpr int kRounds = 300;

void InParallel(const std::vector<std::function<void(int round)>>& jobs) {
  std::vector<std::thread> threads;
  for (const auto& job : jobs) {
    threads.emplace_back([&job] {
      for (int round = 0; round < kRounds; ++round) job(round);
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(Threads, StreamsWriteTheFleetWhileReconcilersReadIt) {
  FleetView fleet;
  std::atomic<int> heard{0};
  fleet.OnChange([&](const std::string&) { ++heard; });
  const auto writer = [&](const std::string& node) {
    return [&fleet, node](int round) {
      fleet.Update({"phoenix", node}, [&](NodeState& state) {
        state.connected = true;
        state.applied_version = "v" + std::to_string(round);
        return true;
      });
    };
  };
  InParallel({writer("n1"), writer("n1"), writer("n2"),
              [&](int) {
                fleet.Summarise("phoenix", "v1", {"uid", 1, 1});
              },
              [&](int) {
                for (const auto& node : fleet.Nodes("phoenix")) {
                  EXPECT_FALSE(node.applied_version.empty());
                }
                fleet.Forget({"phoenix", "n3"});
              }});
  EXPECT_EQ(heard, 3 * kRounds);
  EXPECT_EQ(fleet.Nodes("phoenix").size(), 2u);
}

TEST(Threads, OffersAreReadWhileTheyArePublishedObservedAndListenedTo) {
  testing::MemoryEpochStore store;
  ConfigPublisher leader(store, "key");
  ConfigPublisher follower(store, "key");
  ASSERT_TRUE(leader.TakeOver("uid", "a").ok());
  agent::v1::Credentials none;
  const auto publish = [&](ConfigPublisher& publisher, int round) {
    agent::v1::AgentConfig config;
    config.set_s3_region("r" + std::to_string(round));
    EXPECT_TRUE(publisher.Publish("phoenix", {&config, &none, {}}).ok());
  };
  Order last;
  InParallel(
      {[&](int round) { publish(leader, round); }, [&](int round) { publish(follower, round); },
       [&](int) { follower.Observe(store.record()); },
       [&](int) {
         // However it interleaves, a follower's offers never go back.
         const auto offer = follower.OfferFor("phoenix", "n1");
         if (!offer) return;
         EXPECT_GE(offer->order, last);
         last = offer->order;
       },
       [&](int) {
         follower.SetListener([&](const std::string& site) { follower.OfferFor(site, "n"); });
         follower.SetListener(nullptr);
       }});
  follower.Observe(store.record());
  EXPECT_EQ(follower.OfferedVersion("phoenix"), leader.OfferedVersion("phoenix"));
  EXPECT_EQ(store.record().revision, kRounds);
}

TEST(Threads, TheFirstTakeOverOfAllIsNoStrangersWheneverTheWatchShowsIt) {
  for (int round = 0; round < 3 * kRounds; ++round) {
    testing::MemoryEpochStore store;
    ConfigPublisher leader(store, "key");
    std::atomic<int> fenced{0};
    std::atomic<bool> over{false};
    leader.OnFenced([&] { ++fenced; });
    std::thread watch([&] {
      while (store.writes() == 0) continue;
      const EpochRecord written = store.record();
      while (!over) leader.Observe(written);
    });
    EXPECT_TRUE(leader.TakeOver("uid", "a").ok());
    over = true;
    watch.join();
    ASSERT_EQ(fenced, 0) << "round " << round;
    ASSERT_TRUE(leader.leading());
  }
}

}  // namespace
}  // namespace sluice::agents
