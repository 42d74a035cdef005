#include "controller/http/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <semaphore>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace sluice::http {
namespace {

using namespace std::chrono_literals;
using base::Code;

// A name server that answers when the test lets it.
class ResolverTest : public ::testing::Test {
 protected:
  ~ResolverTest() override { answers_.release(100); }
  Resolver& Make(base::Duration kept = kResolvedAge) {
    const auto look_up = [this](const std::string& host,
                                std::uint16_t) -> base::StatusOr<Resolver::Addresses> {
      ++asked_;
      answers_.acquire();
      {
        const std::lock_guard lock(mutex_);
        hosts_.push_back(host);
      }
      if (fails_) return base::Unavailable("no such name").WithReason("Resolve");
      return Resolver::Addresses(1);
    };
    return *made_.emplace_back(std::make_unique<Resolver>(look_up, kept));
  }
  base::Status Ask(Resolver& resolver, const std::string& host, base::Duration time = 60s,
                   const std::stop_token& off = {}) const {
    const auto limit = std::chrono::steady_clock::now() + time;
    const CallScope scope(stop_, off, limit + 60s);
    return resolver.Resolve(host, 443, scope, limit).status();
  }
  void AwaitAsked(int count) const {
    while (asked_ < count) std::this_thread::yield();
  }
  // Asks, and gives up when the look-up is under way.
  void AskInVain(Resolver& resolver, const std::string& host) const {
    const int before = asked_;
    std::stop_source off;
    auto status =
        std::async(std::launch::async, [&] { return Ask(resolver, host, 60s, off.get_token()); });
    AwaitAsked(before + 1);
    off.request_stop();
    EXPECT_EQ(status.get().code(), Code::kCancelled);
  }
  std::vector<std::string> Hosts() {
    const std::lock_guard lock(mutex_);
    return hosts_;
  }

  const WakeFd stop_;
  std::atomic<int> asked_{0};
  std::atomic<bool> fails_{false};
  std::counting_semaphore<> answers_{0};
  std::mutex mutex_;
  std::vector<std::string> hosts_;  // guarded by mutex_
  std::vector<std::unique_ptr<Resolver>> made_;
};

TEST_F(ResolverTest, AnAnswerThatCameTooLateServesTheNextCaller) {
  Resolver& resolver = Make();
  AskInVain(resolver, "slow.test");
  answers_.release();
  EXPECT_TRUE(Ask(resolver, "slow.test").ok());
  EXPECT_TRUE(Ask(resolver, "slow.test", 0s).ok()) << "it lies there";
  EXPECT_EQ(asked_, 1);
}

TEST_F(ResolverTest, AnAnswerIsKeptBrieflyAndNotAtAllWhenItLedNowhere) {
  Resolver& brief = Make(0s);
  answers_.release(3);
  EXPECT_TRUE(Ask(brief, "a.test").ok());
  EXPECT_TRUE(Ask(brief, "a.test").ok());
  EXPECT_EQ(asked_, 2);
  Resolver& resolver = Make();
  EXPECT_TRUE(Ask(resolver, "a.test").ok());
  resolver.Forget("other.test", 443);
  EXPECT_TRUE(Ask(resolver, "a.test").ok());
  EXPECT_EQ(asked_, 3);
  resolver.Forget("a.test", 443);
  AskInVain(resolver, "a.test");
  EXPECT_EQ(asked_, 4);
}

TEST_F(ResolverTest, AnErrorIsToldToWhoWaitsAndToNobodyElse) {
  Resolver& resolver = Make();
  fails_ = true;
  answers_.release();
  EXPECT_EQ(Ask(resolver, "a.test").reason(), "Resolve");
  fails_ = false;
  answers_.release();
  EXPECT_TRUE(Ask(resolver, "a.test").ok());
}

TEST_F(ResolverTest, WhoAsksForTheSameNameWaitsForTheSameAnswer) {
  Resolver& resolver = Make();
  std::vector<std::future<base::Status>> all;
  for (int i = 0; i < 7; ++i) {
    all.push_back(std::async(std::launch::async, [&] { return Ask(resolver, "a.test"); }));
  }
  AwaitAsked(1);
  answers_.release();
  for (auto& each : all) EXPECT_TRUE(each.get().ok());
  EXPECT_EQ(asked_, 1);
}

TEST_F(ResolverTest, ANameNobodyWaitsForAnyMoreIsNotLookedUp) {
  Resolver& resolver = Make();
  AskInVain(resolver, "first.test");
  const base::Status left = Ask(resolver, "left.test", 20ms);
  EXPECT_EQ(left.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(left.reason(), "Connect");
  auto live = std::async(std::launch::async, [&] { return Ask(resolver, "live.test"); });
  answers_.release(2);
  EXPECT_TRUE(live.get().ok());
  EXPECT_THAT(Hosts(), ::testing::ElementsAre("first.test", "live.test"));
}

TEST_F(ResolverTest, AWaitThatIsCalledOffLeavesTheOthers) {
  Resolver& resolver = Make();
  auto stays = std::async(std::launch::async, [&] { return Ask(resolver, "a.test"); });
  AwaitAsked(1);
  std::stop_source off;
  off.request_stop();
  const auto limit = std::chrono::steady_clock::now() + 60s;
  const CallScope scope(stop_, off.get_token(), limit);
  EXPECT_EQ(resolver.Resolve("a.test", 443, scope, limit).status().code(), Code::kCancelled);
  answers_.release();
  EXPECT_TRUE(stays.get().ok());
}

}  // namespace
}  // namespace sluice::http
