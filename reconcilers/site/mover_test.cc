// Which pods are deleted for a Rollout, against the API in memory.
#include "reconcilers/site/mover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kNamespace = "sluice-site-phoenix";

class MoverTest : public ::testing::Test {
 protected:
  MoverTest() {
    in_.name = "phoenix";
    in_.partition.active = true;
    in_.partition.rollout = "weekly";
    in_.partition.target = 1;
    uid_ = api_.Put(common::kDaemonSets,
                    {{"apiVersion", "apps/v1"},
                     {"kind", "DaemonSet"},
                     {"metadata", {{"name", "sluice-agent"}, {"namespace", kNamespace}}},
                     {"spec",
                      {{"template",
                        {{"spec", {{"containers", json::array({{{"image", "agent@new"}}})}}}}}}}})
               ->uid();
    Observe(1);
    PutRevision("old", 1);
    PutRevision("new", 2);
    for (const char* node : {"a", "b", "c"}) PutPod(node, "old");
  }
  void Observe(int generation) {
    api_.PutStatus(common::kDaemonSets, {kNamespace, "sluice-agent"},
                   {{"observedGeneration", generation}, {"desiredNumberScheduled", 3}});
  }
  json Labels(const std::string& hash) const {
    return {{"app.kubernetes.io/name", "sluice-agent"},
            {"sluice.dev/site", "phoenix"},
            {"controller-revision-hash", hash}};
  }
  void PutRevision(const std::string& hash, int number) {
    api_.Put(common::kControllerRevisions, {{"apiVersion", "apps/v1"},
                                            {"kind", "ControllerRevision"},
                                            {"metadata",
                                             {{"name", "sluice-agent-" + hash},
                                              {"namespace", kNamespace},
                                              {"labels", Labels(hash)},
                                              {"ownerReferences", json::array({{{"uid", uid_}}})}}},
                                            {"revision", number}});
  }
  void PutPod(const std::string& node, const std::string& hash) {
    const json status = {{"conditions", json::array({{{"type", "Ready"}, {"status", "True"}}})}};
    api_.Put(common::kPods,
             {{"apiVersion", "v1"},
              {"kind", "Pod"},
              {"metadata",
               {{"name", "agent-" + node}, {"namespace", kNamespace}, {"labels", Labels(hash)}}},
              {"spec", {{"nodeName", node}}},
              {"status", status}});
    api_.PutStatus(common::kPods, {kNamespace, "agent-" + node}, status);
  }
  std::vector<std::string> Deleted() const {
    std::vector<std::string> names;
    for (const auto& call : api_.calls()) {
      if (call.verb == "delete") names.push_back(call.key.name);
    }
    return names;
  }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  Inputs in_;
  std::string uid_;
};

TEST_F(MoverTest, AsManyPodsAreDeletedAsTheRolloutAllowsAndNoMore) {
  auto moved = MoveNodes(api_, in_, clock_.Wall());
  ASSERT_TRUE(moved.ok() && moved->has_value());
  EXPECT_EQ((*moved)->image, "agent@new");
  EXPECT_EQ((*moved)->wanted, 3);
  EXPECT_EQ((*moved)->updated, 0);
  EXPECT_THAT(Deleted(), ElementsAre("agent-a"));
  PutPod("a", "new");
  moved = MoveNodes(api_, in_, clock_.Wall());
  ASSERT_TRUE(moved.ok() && moved->has_value());
  EXPECT_EQ((*moved)->updated_ready, 1);
  EXPECT_THAT(Deleted(), ElementsAre("agent-a")) << "the target is reached";
}

TEST_F(MoverTest, NothingIsDeletedBeforeTheNewestTemplateWasTaken) {
  Observe(0);
  const auto moved = MoveNodes(api_, in_, clock_.Wall());
  ASSERT_TRUE(moved.ok());
  EXPECT_FALSE(moved->has_value());
  EXPECT_THAT(Deleted(), IsEmpty());
}

TEST_F(MoverTest, AnApiServerThatRefusesADeletionIsAnError) {
  api_.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb != "delete") return std::nullopt;
    return base::PermissionDenied("no");
  });
  EXPECT_FALSE(MoveNodes(api_, in_, clock_.Wall()).ok());
}

TEST(Mover, ALargeSiteIsLookedAtLessOften) {
  EXPECT_EQ(MoveLook(3), std::chrono::seconds(1));
  EXPECT_EQ(MoveLook(500), std::chrono::seconds(5));
  EXPECT_EQ(MoveLook(5000), std::chrono::seconds(30));
}

}  // namespace
}  // namespace sluice::site
