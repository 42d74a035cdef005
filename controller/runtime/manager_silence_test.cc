// An API server, or what lies before it, that says nothing any more: watches are begun anew, and a
// stop that finds a call under way is an orderly one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/cache/informer.h"
#include "controller/client/config.h"
#include "controller/http/testing/imposter.h"
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

// Lists one Widget, tells nothing of what becomes of it, and keeps who writes waiting for ever.
class SilentServer {
 public:
  explicit SilentServer(json widget)
      : list_({{"kind", "WidgetList"},
               {"apiVersion", "example.com/v1"},
               {"metadata", {{"resourceVersion", "7"}}},
               {"items", {std::move(widget)}}}),
        imposter_([this](ImposterConnection& c) { Serve(c); }) {}
  client::Config config() const {
    client::Config config;
    config.server = imposter_.url();
    return config;
  }
  std::vector<std::string> watches() const {
    std::vector<std::string> out;
    for (const auto& request : imposter_.requests()) {
      if (request.target.find("watch=1") != std::string::npos) out.push_back(request.target);
    }
    return out;
  }
  int writes() const { return writes_; }

 private:
  void Serve(ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      if (request->method != "GET") {
        ++writes_;
        return c.WaitForClose();
      }
      if (request->target.find("sendInitialEvents") != std::string::npos) {
        c.Send(Answer(400, R"({"kind":"Status","code":400,"reason":"BadRequest"})"));
      } else if (request->target.find("watch=1") != std::string::npos) {
        c.Send(http::testing::kChunkedHead);
        return c.WaitForClose();
      } else {
        c.Send(Answer(200, list_.dump()));
      }
    }
  }

  const json list_;
  std::atomic<int> writes_{0};
  Imposter imposter_;
};

class ManagerSilenceTest : public ManagerTest {
 protected:
  ~ManagerSilenceTest() override { Stop(); }
  static json Listed() {
    json widget = Widget("a");
    widget["metadata"]["resourceVersion"] = "7";
    widget["metadata"]["uid"] = "u";
    return widget;
  }
  // A manager whose reconciler writes, and has been asked.
  void RunIntoSilence() {
    manager = Manager::New(options, server_.config(), clock).value();
    reconciler = std::make_shared<Counting>();
    reconciler->before = [this](const auto&, auto) {
      answer_ = manager->fenced_client().Create(kParts, Listed()).status();
    };
    manager->NewController("widget", kWidgets, reconciler);
    Run();
    ASSERT_TRUE(WaitUntil([&] { return server_.writes() == 1; }));
  }

  SilentServer server_{Listed()};
  base::Status answer_;
};

TEST_F(ManagerSilenceTest, AWatchOnWhichNothingComesIsResumedFromItsVersionAndIsNoFailure) {
  client::Config config = server_.config();
  config.watch_silence = milliseconds(1100);
  const auto client = client::NewClient(config, clock).value();
  cache::InformerOptions wanted;
  wanted.resource = kWidgets;
  wanted.watch_list = false;
  const auto informer = cache::Informer::New(*client, clock, wanted).value();
  informer->Start();
  ASSERT_TRUE(WaitUntil([&] { return server_.watches().size() >= 2; }));
  for (const std::string& watch : server_.watches()) {
    EXPECT_THAT(watch, ::testing::HasSubstr("resourceVersion=7"));
    EXPECT_THAT(watch, ::testing::HasSubstr("allowWatchBookmarks=true"));
  }
  EXPECT_EQ(informer->Stats().failures, 0U);
  EXPECT_EQ(informer->Stats().lists, 1U);
  informer->Stop();
}

TEST_F(ManagerSilenceTest, AWriteThatIsNeverAnsweredHoldsNoOrderlyStopUp) {
  options.call_grace = milliseconds(200);
  std::atomic<int> grace_over{0};
  options.on_grace_over = [&] { ++grace_over; };
  RunIntoSilence();
  stop.request_stop();
  runner.join();
  EXPECT_THAT(result, testing_kit::IsOk());
  EXPECT_EQ(ended, 0);
  EXPECT_EQ(grace_over, 1);
  EXPECT_EQ(answer_.code(), base::Code::kCancelled);
}

TEST_F(ManagerSilenceTest, AnEventThatIsNeverTakenHoldsNoOrderlyStopUp) {
  options.call_grace = milliseconds(200);
  manager = Manager::New(options, server_.config(), clock).value();
  Run();
  for (const char* name : {"a", "b", "c"}) {
    manager->recorder().Record({"v1", "Widget", "ns", name, name}, recorder::Type::kNormal, "Seen",
                               "It was seen.");
  }
  ASSERT_TRUE(WaitUntil([&] { return server_.writes() == 1; }));
  stop.request_stop();
  runner.join();
  EXPECT_THAT(result, testing_kit::IsOk());
  EXPECT_EQ(ended, 0);
  EXPECT_EQ(server_.writes(), 1) << "the others are not begun";
}

TEST_F(ManagerSilenceTest, TakingTheLeadFromASilentServerHoldsNoOrderlyStopUp) {
  options.call_grace = milliseconds(200);
  options.on_lead = [this] { return manager->fenced_client().Create(kParts, Listed()).status(); };
  manager = Manager::New(options, server_.config(), clock).value();
  Run();
  ASSERT_TRUE(WaitUntil([&] { return server_.writes() == 1; }));
  stop.request_stop();
  runner.join();
  EXPECT_THAT(result, testing_kit::IsOk());
  EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace sluice::runtime
