// The lease behind an API server that swallows requests: one costs nothing, all of them the lead in
// time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/client/config.h"
#include "controller/http/testing/imposter.h"
#include "controller/leader/elector.h"
#include "controller/runtime/manager_for_test.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using nlohmann::json;
using std::chrono::milliseconds;
using testing_kit::WaitUntil;

// Keeps one Lease; `swallows` says of the n-th PUT (from 1) whether it is never answered.
class LeaseServer {
 public:
  explicit LeaseServer(std::function<bool(int)> swallows)
      : swallows_(std::move(swallows)), imposter_([this](ImposterConnection& c) { Serve(c); }) {}
  std::string url() const { return imposter_.url(); }
  int puts() const { return puts_; }

 private:
  void Serve(ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      if (request->method == "PUT" && swallows_(++puts_)) return c.WaitForClose();
      c.Send(Reply(*request));
    }
  }
  std::string Reply(const http::testing::RecordedRequest& request) {
    const std::lock_guard lock(mutex_);
    if (request.method == "GET") {
      if (!lease_.is_null()) return Answer(200, lease_.dump());
      return Answer(404, R"({"kind":"Status","code":404,"reason":"NotFound"})");
    }
    lease_ = json::parse(request.body);
    lease_["metadata"]["resourceVersion"] = std::to_string(++version_);
    return Answer(200, lease_.dump());
  }

  const std::function<bool(int)> swallows_;
  std::atomic<int> puts_{0};
  std::mutex mutex_;
  json lease_;       // guarded by mutex_
  int version_ = 0;  // guarded by mutex_
  Imposter imposter_;
};

class ManagerLeaseTest : public ManagerTest {
 protected:
  // As the shipped controller, on a fifth of its times. The server's client::Config.
  client::Config Terms(std::function<bool(int)> swallows) {
    server_ = std::make_unique<LeaseServer>(std::move(swallows));
    options.lease_namespace = "ns";
    options.lease_name = "lead";
    options.lease_duration = milliseconds(6000);
    options.renew_deadline = milliseconds(4000);
    options.retry_period = milliseconds(400);
    client::Config config;
    config.server = server_->url();
    return config;
  }
  void Lead(std::function<bool(int)> swallows) {
    const client::Config config = Terms(std::move(swallows));
    lease_client_ =
        NewLeaseClient(config, clock, options.renew_deadline, options.retry_period).value();
    options.lease_client = lease_client_.get();
    Make();
    reconciler->before = [this](const auto&, auto) { Hang(); };
    manager->NewController("widget", kWidgets, reconciler);
    Run();
    ASSERT_TRUE(WaitUntil([&] { return manager->leading(); }));
  }
  ~ManagerLeaseTest() override {
    Release();
    Stop();
  }
  void Release() {
    release_ = true;
    release_.notify_all();
  }
  void Hang() {
    inside_ = true;
    release_.wait(false);
  }

  std::atomic<bool> inside_{false}, release_{false};
  std::unique_ptr<LeaseServer> server_;
  std::unique_ptr<client::Client> lease_client_;
};

TEST_F(ManagerLeaseTest, OneRenewalThatIsNeverAnsweredCostsNothing) {
  Lead([](int put) { return put == 2; });
  ASSERT_TRUE(WaitUntil([&] { return server_->puts() >= 5 || !manager->leading(); }));
  EXPECT_TRUE(manager->leading());
  EXPECT_EQ(ended, 0);
  // Its requests are counted like all others.
  EXPECT_THAT(manager->metrics().Expose(),
              ::testing::HasSubstr("rest_client_requests_total{code=\"<error>\""));
}

TEST_F(ManagerLeaseTest, AManagerThatMakesItsClientsHasOneForTheLease) {
  const client::Config config = Terms([](int put) { return put == 2; });
  manager = Manager::New(options, config, clock).value();
  Run();
  ASSERT_TRUE(WaitUntil([&] { return manager->leading(); }));
  ASSERT_TRUE(WaitUntil([&] { return server_->puts() >= 5 || !manager->leading(); }));
  EXPECT_TRUE(manager->leading());
}

TEST(ManagerOptions, ALeasesTimesAreTheElectorsUnlessTheyAreGiven) {
  const leader::Options elector;
  const Options manager;
  EXPECT_EQ(manager.lease_duration, elector.lease_duration);
  EXPECT_EQ(manager.renew_deadline, elector.renew_deadline);
  EXPECT_EQ(manager.retry_period, elector.retry_period);
}

TEST_F(ManagerLeaseTest, AConfigurationThatMakesNoClientMakesNoManager) {
  client::Config config;
  config.server = "ftp://nowhere";
  EXPECT_THAT(Manager::New(options, config, clock).status(),
              testing_kit::HasCode(base::Code::kInvalidArgument));
}

TEST_F(ManagerLeaseTest, WithoutAnyAnswerTheRunEndsInTimeAndWhatHangsIsEndedByForce) {
  std::atomic<bool> silent{false};
  base::MonoTime ended_at{};  // read once `ended` is seen
  options.end_process = [&](std::string_view) {
    ended_at = clock.Mono();
    ++ended;
  };
  api.Put(kWidgets, Widget("a"));
  Lead([&](int) { return silent.load(); });
  ASSERT_TRUE(WaitUntil([&] { return inside_.load(); }));
  silent = true;
  const auto began = clock.Mono();
  ASSERT_TRUE(WaitUntil([&] { return ended == 1; }));
  EXPECT_LT(ended_at - began, options.lease_duration) << "before another could lead";
  EXPECT_FALSE(manager->leading());
  Release();
  runner.join();
  EXPECT_THAT(result, testing_kit::HasCode(base::Code::kAborted));
}

}  // namespace
}  // namespace sluice::runtime
