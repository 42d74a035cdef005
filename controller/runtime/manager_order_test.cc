// In which order a Manager's controllers are asked: what changes goes before everything that is
// looked at once more, at the start or after a relist.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "controller/runtime/limits.h"
#include "controller/runtime/manager_for_test.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using testing_kit::WaitUntil;

constexpr int kLooked = 100;  // objects there are
constexpr int kChanges = 40;  // and those that are made meanwhile

// A controller of one worker, which can be held while keys gather.
class ManagerOrderTest : public ManagerTest {
 protected:
  ~ManagerOrderTest() override {
    LetGo();
    Stop();
  }
  ControllerBuilder& MakeController() {
    Make();
    reconciler->before = [this](const reconcile::Request& request, std::stop_token) {
      {
        const std::lock_guard lock(mutex_);
        order_.push_back(request.key.name);
      }
      if (!hold_next_.exchange(false)) return;
      held_ = true;
      let_go_.wait(false);
    };
    return manager->NewController("widget", kWidgets, reconciler).Workers(1);
  }
  void PutAll(const meta::Resource& resource, int size) {
    for (int i = 0; i < kLooked; ++i) {
      nlohmann::json object = Widget("w" + std::to_string(i), size);
      object["kind"] = resource.kind;
      api.Put(resource, object);
    }
  }
  // The worker is busy with a key of no object.
  void Hold() {
    hold_next_ = true;
    manager->TriggerOf("widget")({"ns", "none"});
    ASSERT_TRUE(WaitUntil([&] { return held_.load(); }));
  }
  void LetGo() {
    let_go_ = true;
    let_go_.notify_all();
  }
  // The kind's watch is lost, and none begins anew until ChangeAllUnseen.
  void LoseWatch(const meta::Resource& resource) {
    away_ = true;
    api.FailBefore([this, kind = resource.GroupResource()](
                       const testing_kit::Call& call) -> std::optional<base::Status> {
      if (call.verb != "watch" || call.resource != kind || !away_) return {};
      ++refused_;
      return base::Unavailable("away");
    });
    api.ForgetHistory();
    ASSERT_TRUE(WaitUntil([&] { return refused_ > 0; }));
  }
  // A new reading of the state shows all of them.
  void ChangeAllUnseen(const meta::Resource& resource) {
    PutAll(resource, 2);
    away_ = false;
    ASSERT_TRUE(WaitUntil([&] { return Waiting() == kLooked; }));
  }
  double Waiting() {
    double keys = 0;
    for (const char* priority : {"0", "-100"}) {
      keys += manager->metrics()
                  .GetGauge("workqueue_depth", "Current depth of workqueue",
                            {{"controller", "widget"}, {"name", "widget"}, {"priority", priority}})
                  .value();
    }
    return keys;
  }
  std::size_t Looks() {
    const std::lock_guard lock(mutex_);
    return order_.size();
  }
  // With `waiting` keys in the queue: changes come, and are all handed out before the rest, but for
  // the share of that.
  void ExpectChangesFirst(int waiting) {
    for (int i = 0; i < kChanges; ++i) api.Put(kWidgets, Widget("change-" + std::to_string(i)));
    ASSERT_TRUE(WaitUntil([&] { return Waiting() == waiting + kChanges; }));
    const std::size_t before = Looks();
    LetGo();
    ASSERT_TRUE(WaitUntil([&] { return Looks() >= before + waiting + kChanges; }));
    const std::lock_guard lock(mutex_);
    const auto last = std::find_if(order_.rbegin(), order_.rend(), [](const std::string& name) {
      return name.starts_with("change-");
    });
    const auto share = workqueue::kLowPriorityShare;
    EXPECT_LE(std::distance(last, order_.rend()), before + kChanges + kChanges / (share - 1));
  }

  std::atomic<bool> hold_next_{false}, held_{false}, let_go_{false}, away_{false};
  std::atomic<int> refused_{0};
  std::mutex mutex_;
  std::vector<std::string> order_;  // guarded by mutex_
};

TEST_F(ManagerOrderTest, AChangeDoesNotWaitBehindTheStoreThatAStartLooksAt) {
  const int count = 3 * static_cast<int>(kBacklogSlice);
  for (int i = 0; i < count; ++i) api.Put(kWidgets, Widget("w" + std::to_string(i)));
  hold_next_ = true;
  MakeController();
  Run();
  ASSERT_TRUE(WaitUntil([&] { return held_.load(); }));
  ExpectChangesFirst(static_cast<int>(kBacklogSlice) - 1);
  EXPECT_TRUE(WaitUntil([&] { return Looks() == static_cast<std::size_t>(count + kChanges); }));
}

TEST_F(ManagerOrderTest, AChangeDoesNotWaitBehindWhatARelistShows) {
  PutAll(kWidgets, 1);
  MakeController();
  Run();
  ASSERT_TRUE(WaitUntil([&] { return Looks() == kLooked; }));
  LoseWatch(kWidgets);
  Hold();
  ChangeAllUnseen(kWidgets);
  ExpectChangesFirst(kLooked);
}

TEST_F(ManagerOrderTest, AChangeDoesNotWaitBehindWhatARelistOfAnotherKindConcerns) {
  PutAll(kWidgets, 1);
  PutAll(kParts, 1);
  MakeController().Watches(
      kParts, [](const cache::Event& event) { return std::vector{event.after->key()}; });
  Run();
  ASSERT_TRUE(WaitUntil([&] { return Looks() == kLooked; }));
  LoseWatch(kParts);
  api.Put(kWidgets, Widget("new"));  // their own watch, which begins anew as well, is back with it
  ASSERT_TRUE(WaitUntil([&] { return Looks() == kLooked + 1; }));
  Hold();
  ChangeAllUnseen(kParts);
  ExpectChangesFirst(kLooked);
}

TEST_F(ManagerOrderTest, AChangeDoesNotWaitBehindAllThatAMapperMayHaveMeant) {
  PutAll(kWidgets, 1);
  MakeController().Watches(
      kParts, [](const cache::Event&) -> std::vector<meta::Key> { throw std::runtime_error("x"); });
  Run();
  ASSERT_TRUE(WaitUntil([&] { return Looks() == kLooked; }));
  Hold();
  nlohmann::json part = Widget("p");
  part["kind"] = kParts.kind;
  api.Put(kParts, part);
  ASSERT_TRUE(WaitUntil([&] { return Waiting() == kLooked; }));
  ExpectChangesFirst(kLooked);
}

}  // namespace
}  // namespace sluice::runtime
