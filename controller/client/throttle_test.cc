// What the server's "come later" does to calls: to the one that was told, and to others.
#include "controller/client/throttle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "controller/client/limits.h"
#include "controller/client/testing_support.h"
#include "controller/testing/wait.h"

namespace sluice::client {
namespace {

using namespace std::chrono_literals;
using base::Code;
using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::RecordedRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr base::MonoTime kStart{1000s};

TEST(ThrottleKind, IsVerbAndResource) {
  const std::pair<const char*, const char*> cases[] = {
      {"GET /api/v1/pods", "/api/v1/namespaces/n/pods/p?x=1"},
      {"LIST /api/v1/pods", "/api/v1/pods?limit=500"},
      {"LIST /api/v1/pods", "/api/v1/namespaces/n/pods?limit=500"},
      {"LIST /api/v1/namespaces", "/api/v1/namespaces"},
      {"WATCH /api/v1/pods", "/api/v1/pods?watch=1&allowWatchBookmarks=true"},
      {"WATCH /api/v1/pods", "/api/v1/pods?a=b&watch=1"},
      {"GET /api/v1/namespaces", "/api/v1/namespaces/n"},
      {"GET /apis/sluice.dev/v1alpha1/sites", "/apis/sluice.dev/v1alpha1/sites/x/status"},
      {"GET /apis/a/v1/b", "/apis/a/v1/namespaces/n/b/c/status"},
      {"GET /apis/a", "/apis/a"},
      {"GET /version", "/version"},
      {"GET /", "/"},
  };
  for (const auto& [kind, target] : cases) EXPECT_EQ(Throttle::KindOf("GET", target), kind);
  EXPECT_EQ(Throttle::KindOf("GET", "/" + std::string(kMaxThrottleKindBytes, 'a')), "");
}

// How long from kStart requests of `kind` are held.
base::Duration HeldFor(const Throttle& throttle, const std::string& kind) {
  const Throttle::Hold* hold = throttle.HoldOf(kind);
  return hold == nullptr || hold->until < kStart ? 0s : hold->until - kStart;
}

void Refuse(Throttle& throttle, const std::string& kind, std::string_view level, int code,
            std::chrono::seconds by, bool by_handler = false) {
  const std::string name = throttle.Heard(kind, level);
  throttle.Refused(kind, {kStart + by, code, name}, by_handler, kStart);
}

TEST(Throttle, HoldsTheKindsOfOnePriorityLevelAlone) {
  Throttle throttle;
  throttle.Heard("GET /a", "low");
  throttle.Heard("GET /b", "low");
  throttle.Heard("GET /c", "high");
  Refuse(throttle, "GET /a", "low", 429, 5s);
  EXPECT_EQ(HeldFor(throttle, "GET /a"), 5s);
  EXPECT_EQ(HeldFor(throttle, "GET /b"), 5s);
  EXPECT_EQ(HeldFor(throttle, "GET /c"), 0s);
  EXPECT_EQ(HeldFor(throttle, "GET /new"), 0s);
  Refuse(throttle, "GET /b", "low", 429, 2s);
  EXPECT_EQ(HeldFor(throttle, "GET /a"), 5s) << "a shorter wait takes nothing back";
  throttle.Heard("GET /b", "high");  // somebody changed the flow schemas
  EXPECT_EQ(HeldFor(throttle, "GET /b"), 0s);
}

TEST(Throttle, HoldsEveryoneWhereTheServerTellsNoLevelOrIsNotThere) {
  for (const auto& [level, code] : {std::pair{"", 429}, {"", 503}, {"low", 503}}) {
    Throttle throttle;
    throttle.Heard("GET /b", "high");
    Refuse(throttle, "GET /a", level, code, 5s);
    EXPECT_EQ(HeldFor(throttle, "GET /b"), 5s) << level << code;
    EXPECT_EQ(HeldFor(throttle, "GET /new"), 5s) << level << code;
  }
}

TEST(Throttle, HoldsOneKindWhereItsHandlerRefused) {
  Throttle throttle;
  throttle.Heard("GET /b", "low");
  Refuse(throttle, "GET /a", "low", 429, 5s, true);
  Refuse(throttle, "GET /c", "", 503, 4s, true);
  EXPECT_EQ(HeldFor(throttle, "GET /a"), 5s);
  EXPECT_EQ(HeldFor(throttle, "GET /c"), 4s);
  EXPECT_EQ(HeldFor(throttle, "GET /b"), 0s);
}

TEST(Throttle, NeverHoldsALease) {
  Throttle throttle;
  const std::string lease =
      Throttle::KindOf("PUT", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l");
  throttle.Heard(lease, "low");
  Refuse(throttle, "GET /a", "low", 429, 5s);
  Refuse(throttle, "GET /a", "", 503, 5s);
  EXPECT_EQ(throttle.HoldOf(lease), nullptr);
}

TEST(Throttle, IsBoundedInTimeLevelsAndKinds) {
  Throttle throttle;
  Refuse(throttle, "GET /a", "", 503, std::chrono::seconds(86400));
  EXPECT_EQ(HeldFor(throttle, "GET /b"), kMaxHold);
  std::set<std::string> names;
  for (std::size_t i = 0; i < 2 * kMaxThrottleKinds; ++i) {
    const std::string kind = "GET /" + std::to_string(i);
    names.insert(throttle.Heard(kind, "level-" + std::to_string(i)));
    Refuse(throttle, kind, "level-" + std::to_string(i), 429, 1s);
  }
  EXPECT_EQ(names.size(), kMaxPriorityLevels + 1);
  EXPECT_TRUE(names.contains("other"));
  EXPECT_EQ(throttle.Heard("GET /0", "a level\"} 1"), "other");
  EXPECT_EQ(throttle.Heard("GET /0", std::string(kMaxPriorityLevelBytes + 1, 'a')), "other");
  EXPECT_EQ(throttle.Heard("GET /0", ""), "none");
}

// Refuses pods, in level "low", as long as it is told to; sites are in level "high".
class LevelledServer {
 public:
  std::atomic<bool> refuses{true};
  Imposter imposter{[this](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      const bool pods = request->target.find("/pods") != std::string::npos;
      const std::string level =
          std::string("X-Kubernetes-PF-PriorityLevel-UID: ") + (pods ? "low" : "high") + "\r\n";
      c.Send(pods && refuses ? Answer(429, "Too many requests", level + "Retry-After: 5\r\n")
                             : Answer(200, kSiteAnswer, level));
    }
  }};
  std::size_t asked(const std::string& what) const {
    std::size_t count = 0;
    for (const RecordedRequest& request : imposter.requests()) {
      count += request.target.find(what) != std::string::npos ? 1 : 0;
    }
    return count;
  }
};

TEST(ClientThrottle, WhatOneCallIsToldAllOfItsLevelHeedAndNoOther) {
  LevelledServer server;
  base::FakeClock clock;
  const auto client = ClientFor(server.imposter, clock);
  std::mutex mutex;
  std::map<std::string, std::pair<int, base::Duration>> told;
  client->Observe({nullptr, [&](const ThrottleRecord& record) {
                     const std::lock_guard lock(mutex);
                     auto& sum =
                         told[std::to_string(record.code) + std::string(record.priority_level)];
                     sum.first += record.refusals;
                     sum.second += record.waited;
                   }});
  EXPECT_EQ(told["429none"], std::pair(0, base::Duration(0))) << "there from the start";
  auto first = std::async([&] { return client->Get(kPods, {"n", "p"}).ok(); });
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 1; }));
  std::vector<std::future<bool>> others;
  for (int i = 0; i < 7; ++i) {
    others.push_back(std::async([&] { return client->Get(kPods, {"n", "p"}).ok(); }));
  }
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 8; }));
  EXPECT_EQ(server.asked("/pods"), 1u);
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok()) << "another level";
  EXPECT_TRUE(client->Raw("GET", "/version", "").ok()) << "of no level known";
  clock.Advance(4999ms);
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 8; }));
  EXPECT_EQ(server.asked("/pods"), 1u);
  server.refuses = false;
  clock.Advance(1ms);
  EXPECT_TRUE(first.get());
  for (std::size_t i = 1; i <= 7; ++i) {
    ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 8 - static_cast<int>(i); }));
    EXPECT_EQ(server.asked("/pods"), 1 + i) << "not all at once";
    clock.Advance(kReleaseSpacing);
    EXPECT_TRUE(testing_kit::WaitUntil([&] { return server.asked("/pods") == 2 + i; }));
  }
  for (auto& other : others) EXPECT_TRUE(other.get());
  EXPECT_EQ(told["429low"],
            std::pair(1, base::Duration(8 * 5s + (1 + 7) * 7 / 2 * kReleaseSpacing)));
}

// Eight that were under way already when the first was refused.
TEST(ClientThrottle, EightRefusedAtOnceDoNotComeBackBeforeTheTime) {
  LevelledServer server;
  base::FakeClock clock;
  const auto client = ClientFor(server.imposter, clock);
  std::vector<std::future<bool>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::async([&] { return client->Get(kPods, {"n", "p"}).ok(); }));
  }
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 8; }));
  const std::size_t before = server.asked("/pods");
  EXPECT_LE(before, 8u);
  auto another = std::async([&] { return client->Get(kPods, {"n", "q"}).ok(); });
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 9; }));
  clock.Advance(4999ms);
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 9; }));
  EXPECT_EQ(server.asked("/pods"), before);
  server.refuses = false;
  clock.Advance(1ms + 8 * kReleaseSpacing);
  for (auto& call : calls) EXPECT_TRUE(call.get());
  EXPECT_TRUE(another.get());
}

TEST(ClientThrottle, ACallThatWouldBeHeldBeyondItsDeadlineIsNotSent) {
  LevelledServer server;
  base::FakeClock clock;
  Config config;
  config.server = server.imposter.url();
  config.request_timeout = 3s;
  const auto client = NewClient(config, clock).value();
  base::Duration waited{0};
  client->Observe({nullptr, [&](const ThrottleRecord& record) { waited += record.waited; }});
  EXPECT_EQ(client->Get(kPods, {"n", "p"}).status().retry_after(), 5s);
  EXPECT_EQ(waited, 5s) << "left to the caller";
  clock.Advance(1s);
  const base::Status status = client->Get(kPods, {"n", "p"}).status();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_EQ(status.reason(), "TooManyRequests");
  EXPECT_EQ(status.retry_after(), 4s);
  EXPECT_THAT(status.message(), HasSubstr("not sent"));
  EXPECT_EQ(server.asked("/pods"), 1u);
}

TEST(ClientThrottle, AWaitIsToldOnceThoughTheTokenIsRefusedAfterIt) {
  ScratchFolder folder;
  folder.Write("token", "old");
  Imposter server([&](ImposterConnection& c) {
    for (int n = 0; c.ReadRequest(); ++n) {
      if (n == 1) folder.Write("token", "new");
      c.Send(n == 0   ? Answer(429, "", "Retry-After: 5\r\n")
             : n == 1 ? Answer(401, "")
                      : Answer(200, kSiteAnswer));
    }
  });
  base::FakeClock clock;
  Config config;
  config.server = server.url();
  config.token_file = folder.File("token");
  const auto client = NewClient(config, clock).value();
  std::vector<std::tuple<std::string, int, base::Duration>> told;
  client->Observe({nullptr, [&](const ThrottleRecord& record) {
                     if (record.refusals == 0 && record.waited == 0s) return;
                     told.emplace_back(record.priority_level, record.refusals, record.waited);
                   }});
  auto answer = std::async([&] { return client->Get(kSites, {"", "x"}); });
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 1; }));
  clock.Advance(5s);
  EXPECT_TRUE(answer.get().ok());
  EXPECT_THAT(told, ElementsAre(std::tuple("none", 1, base::Duration(0)),
                                std::tuple("none", 0, base::Duration(5s))));
}

TEST(ClientThrottle, WaitsAsLongAsTheServerAsksAndTriesAgain) {
  Imposter server([](ImposterConnection& c) {
    int n = 0;
    while (c.ReadRequest()) {
      c.Send(++n < 3 ? Answer(429, "", "Retry-After: 5\r\n") : Answer(200, kSiteAnswer));
    }
  });
  base::FakeClock clock;
  const auto client = ClientFor(server, clock);
  std::vector<int> codes;
  std::atomic<int> seen{0};
  client->Observe({[&](const RequestRecord& record) {
                     codes.push_back(record.code);
                     ++seen;
                   },
                   nullptr});
  auto answer = std::async([&] { return client->Get(kSites, {"", "x"}); });
  for (int i = 0; i < 2; ++i) {
    while (clock.waiters() == 0) std::this_thread::yield();
    clock.Advance(5s);
    while (seen < i + 2) std::this_thread::yield();
  }
  ASSERT_TRUE(answer.get().ok());
  EXPECT_THAT(codes, ElementsAre(429, 429, 200));
}

TEST(ClientThrottle, AWaitBeyondTheDeadlineIsTheCallersToMake) {
  Imposter server([](ImposterConnection& c) {
    while (c.ReadRequest()) c.Send(Answer(429, "", "Retry-After: 40\r\n"));
  });
  const auto answer = ClientFor(server)->Get(kSites, {"", "x"});
  EXPECT_EQ(answer.status().code(), Code::kResourceExhausted);
  EXPECT_EQ(answer.status().retry_after(), 40s);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(ClientThrottle, StopEndsAThrottledWait) {
  Imposter server([](ImposterConnection& c) {
    while (c.ReadRequest()) c.Send(Answer(429, "", "Retry-After: 20\r\n"));
  });
  base::FakeClock clock;
  const auto client = ClientFor(server, clock);
  auto answer = std::async([&] { return client->Get(kSites, {"", "x"}); });
  while (clock.waiters() == 0) std::this_thread::yield();
  client->Stop();
  EXPECT_EQ(answer.get().status().code(), Code::kCancelled);
}

TEST(ClientThrottle, AStopTokenEndsAWaitForWhatAnotherCallWasTold) {
  LevelledServer server;
  base::FakeClock clock;
  const auto client = ClientFor(server.imposter, clock);
  auto first = std::async([&] { return client->Get(kPods, {"n", "p"}).ok(); });
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 1; }));
  std::stop_source stop;
  auto watch = std::async([&, token = stop.get_token()] {
    return client->Watch(
        kPods, {}, [](std::string_view) { return true; }, token);
  });
  // Of no level known yet, it is refused itself; another then waits.
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 2; }));
  auto another = std::async([&, token = stop.get_token()] {
    return client->Watch(
        kPods, {}, [](std::string_view) { return true; }, token);
  });
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock.waiters() == 3; }));
  EXPECT_EQ(server.asked("/pods"), 2u);
  stop.request_stop();
  EXPECT_EQ(watch.get().code(), Code::kCancelled);
  EXPECT_EQ(another.get().code(), Code::kCancelled);
  client->Stop();
  EXPECT_FALSE(first.get());
}

TEST(ClientThrottle, ARefusalWithoutRetryAfterIsNotRepeated) {
  Imposter server([](ImposterConnection& c) {
    while (c.ReadRequest()) c.Send(Answer(503, ""));
  });
  EXPECT_EQ(ClientFor(server)->Get(kSites, {"", "x"}).status().code(), Code::kUnavailable);
  EXPECT_EQ(server.requests().size(), 1u);
}

}  // namespace
}  // namespace sluice::client
