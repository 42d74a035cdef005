#include "controller/reconcile/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "controller/base/log.h"

namespace sluice::reconcile {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class Scripted final : public Reconciler {
 public:
  Result Reconcile(const Request& request, std::stop_token stop) override {
    ++calls;
    return next(request, stop);
  }
  std::atomic<int> calls{0};
  std::function<Result(const Request&, std::stop_token)> next = [](const auto&, auto) {
    return Result::Done();
  };
};

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() {
    options.name = "widget";
    options.kind = "Widget";
    options.queue.jitter = 0;
    options.queue.base_backoff = milliseconds(100);
  }
  std::unique_ptr<Controller> Make() {
    return std::make_unique<Controller>(options, reconciler, clock, registry);
  }
  ControllerOptions options;
  std::shared_ptr<Scripted> reconciler = std::make_shared<Scripted>();
  base::FakeClock clock;
  base::metrics::Registry registry;
  const meta::Key key{"ns", "a"};
};

TEST_F(ControllerTest, DoneForgetsTheKey) {
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  clock.Advance(seconds(3600));
  EXPECT_FALSE(controller->RunOne());
  EXPECT_THAT(registry.Expose(),
              HasSubstr(R"(reconcile_total{controller="widget",result="success"} 1)"));
}

TEST_F(ControllerTest, AfterLooksAgainThenAndNotBefore) {
  reconciler->next = [](const auto&, auto) { return Result::After(seconds(30)); };
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  clock.Advance(milliseconds(29'999));
  EXPECT_FALSE(controller->RunOne());
  clock.Advance(milliseconds(1));
  EXPECT_TRUE(controller->RunOne());
  EXPECT_THAT(registry.Expose(),
              HasSubstr(R"(reconcile_total{controller="widget",result="requeue_after"} 2)"));
}

TEST_F(ControllerTest, EachReconcileThatLacksARightIsToldAndNoOtherFailure) {
  std::vector<std::string> told;
  options.on_forbidden = [&](const meta::Key& about, const base::Status& error) {
    told.push_back(about.name + ": " + std::string(error.message()));
  };
  const std::vector<Result> results = {Result::Retry(base::PermissionDenied("cannot patch")),
                                       Result::Retry(base::Unavailable("down")),
                                       Result::Terminal(base::PermissionDenied("cannot list")),
                                       Result::Done()};
  auto controller = Make();
  for (const Result& result : results) {
    reconciler->next = [&](const auto&, auto) { return result; };
    controller->queue().Add(key);
    clock.Advance(seconds(1));
    EXPECT_TRUE(controller->RunOne());
  }
  EXPECT_THAT(told, testing::ElementsAre("a: cannot patch", "a: cannot list"));
}

TEST_F(ControllerTest, AnErrorIsRetriedWithBackoffUntilItPasses) {
  reconciler->next = [](const auto&, auto) { return Result::Retry(base::Unavailable("down")); };
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  clock.Advance(milliseconds(100));
  EXPECT_TRUE(controller->RunOne());
  clock.Advance(milliseconds(100));
  EXPECT_FALSE(controller->RunOne()) << "the second wait is twice the first";
  ASSERT_EQ(controller->LastErrors().size(), 1u);
  EXPECT_EQ(controller->LastErrors()[0].key, "ns/a");
  reconciler->next = [](const auto&, auto) { return Result::Done(); };
  clock.Advance(milliseconds(100));
  EXPECT_TRUE(controller->RunOne());
  EXPECT_THAT(controller->LastErrors(), testing::IsEmpty());
  EXPECT_EQ(controller->queue().Failures(key), 0);
}

TEST_F(ControllerTest, NotNowSaysNothingOfHowTheLastLookWent) {
  auto controller = Make();
  controller->queue().Add(key);
  for (int i = 1; i <= 3; ++i) {
    reconciler->next = [](const auto&, auto) { return Result::Retry(base::Unavailable("down")); };
    ASSERT_TRUE(controller->RunOne());
    EXPECT_EQ(controller->queue().Failures(key), i);
    reconciler->next = [](const auto&, auto) { return Result::Later(milliseconds(50)); };
    clock.Advance(seconds(10));
    ASSERT_TRUE(controller->RunOne());
    EXPECT_EQ(controller->queue().Failures(key), i);
    EXPECT_EQ(controller->LastErrors().size(), 1u);
    clock.Advance(milliseconds(50));
  }
}

TEST_F(ControllerTest, EveryLineOfALookCarriesItsKeyAndAnIdOfItsOwn) {
  std::vector<std::string> lines;
  reconciler->next = [&](const auto&, auto) {
    using base::log::Format, base::log::Level;
    lines.push_back(base::log::Render(Format::kText, "T", Level::kInfo, "m", {}));
    return Result::After(seconds(1));
  };
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  clock.Advance(seconds(1));
  EXPECT_TRUE(controller->RunOne());
  ASSERT_EQ(lines.size(), 2u);
  for (const std::string& line : lines) {
    EXPECT_THAT(line,
                testing::ContainsRegex("controller=widget Widget=ns/a reconcileID=[0-9a-f]{16}$"));
  }
  EXPECT_NE(lines[0], lines[1]);
}

TEST_F(ControllerTest, AnErrorWaitsAsLongAsTheServerAsked) {
  reconciler->next = [](const auto&, auto) {
    return Result::Retry(base::ResourceExhausted("slow down").WithRetryAfter(seconds(9)));
  };
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  clock.Advance(milliseconds(8999));
  EXPECT_FALSE(controller->RunOne());
  clock.Advance(milliseconds(1));
  EXPECT_TRUE(controller->RunOne());
}

TEST_F(ControllerTest, ATerminalErrorWaitsForAChange) {
  reconciler->next = [](const auto&, auto) {
    return Result::Terminal(base::InvalidArgument("no such class"));
  };
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  clock.Advance(seconds(3600));
  EXPECT_FALSE(controller->RunOne());
  EXPECT_THAT(registry.Expose(),
              HasSubstr(R"(terminal_reconcile_errors_total{controller="widget"} 1)"));
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
}

TEST(ResultOf, WaitsForAChangeOnlyWhereTheObjectItselfIsWrong) {
  EXPECT_EQ(Result::Of(base::OkStatus()).kind(), Result::Kind::kDone);
  EXPECT_EQ(Result::Of(base::InvalidArgument("no such class")).kind(), Result::Kind::kTerminal);
  for (const auto& error : {base::Unavailable(""), base::Aborted(""), base::PermissionDenied(""),
                            base::NotFound(""), base::AlreadyExists("")}) {
    EXPECT_EQ(Result::Of(error).kind(), Result::Kind::kRetry) << error.ToString();
  }
}

TEST_F(ControllerTest, AnExceptionBecomesAnErrorAndIsRetried) {
  reconciler->next = [](const auto&, auto) -> Result { throw std::runtime_error("boom"); };
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  ASSERT_EQ(controller->LastErrors().size(), 1u);
  EXPECT_THAT(controller->LastErrors()[0].error, HasSubstr("boom"));
  EXPECT_THAT(registry.Expose(), HasSubstr(R"(reconcile_panics_total{controller="widget"} 1)"));
  clock.Advance(milliseconds(100));
  EXPECT_TRUE(controller->RunOne());
}

TEST_F(ControllerTest, AKeyWhoseCacheIsOlderThanOurWriteIsNotReconciledYet) {
  bool stale = true;
  options.is_stale = [&](const meta::Key&) { return stale; };
  auto controller = Make();
  controller->queue().Add(key);
  EXPECT_TRUE(controller->RunOne());
  EXPECT_EQ(reconciler->calls, 0);
  stale = false;
  clock.Advance(seconds(1));
  EXPECT_TRUE(controller->RunOne());
  EXPECT_EQ(reconciler->calls, 1);
}

TEST_F(ControllerTest, KeysRefusedByAFullQueueComeBackThroughARelist) {
  options.queue.max_keys = 1;
  Controller* self = nullptr;
  int relists = 0;
  options.relist = [&] {
    ++relists;
    self->queue().Add({"ns", "b"});
  };
  auto controller = Make();
  self = controller.get();
  EXPECT_TRUE(controller->queue().Add(key));
  EXPECT_FALSE(controller->queue().Add({"ns", "b"}));
  EXPECT_TRUE(controller->RunOne());
  EXPECT_TRUE(controller->RunOne());
  EXPECT_EQ(relists, 1);
  EXPECT_EQ(reconciler->calls, 2);
}

TEST_F(ControllerTest, HoweverManyServersAreSilentTheOthersAreServed) {
  constexpr int kSilent = 50;
  std::latch inside(kSilent), served(1);
  reconciler->next = [&](const Request& request, std::stop_token stop) {
    if (request.key.ns != "silent") {
      served.count_down();
      return Result::Done();
    }
    inside.count_down();
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait(lock, stop, [] { return false; });
    return Result::Retry(base::Cancelled("stopped"));
  };
  auto controller = Make();
  controller->Start(2, kSilent + 1);
  for (int i = 0; i < kSilent; ++i) {
    controller->queue().Add({"silent", std::to_string(i)});
  }
  inside.wait();
  controller->queue().Add(key);
  served.wait();  // no clock was moved and nobody let go
  controller->Stop();
  EXPECT_THAT(controller->LastErrors(), testing::IsEmpty());
}

TEST_F(ControllerTest, StopAsksTheReconcilerToReturnAndJoinsIt) {
  std::atomic<bool> entered{false};
  reconciler->next = [&](const auto&, std::stop_token stop) {
    entered = true;
    while (!stop.stop_requested()) std::this_thread::yield();
    return Result::Retry(base::Cancelled("stopped"));
  };
  auto controller = Make();
  controller->queue().Add(key);
  controller->Start();
  while (!entered) std::this_thread::yield();
  controller->Stop();
  EXPECT_THAT(controller->LastErrors(), testing::IsEmpty()) << "a stop is no error";
  EXPECT_FALSE(controller->queue().Add(key));
}

}  // namespace
}  // namespace sluice::reconcile
