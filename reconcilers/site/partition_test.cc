// How many nodes a Rollout's number gives the new template, and which.
#include "reconcilers/site/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/v1alpha1/site.pb.h"
#include "controller/base/time_format.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PodState Old(const std::string& node, bool ready = true) {
  return {"agent-" + node, "uid-" + node, node, false, ready, false, ""};
}
PodState New(const std::string& node, bool ready = true, const std::string& failure = "") {
  return {"agent-" + node, "uid-" + node, node, true, ready, false, failure};
}
PodState Ending(const std::string& node) {
  return {"agent-" + node, "uid-" + node, node, false, false, true, ""};
}
std::vector<std::string> Replaced(const NodeMoves& moves) {
  std::vector<std::string> nodes;
  for (const PodState& pod : moves.replace) nodes.push_back(pod.node);
  return nodes;
}

TEST(Partition, TheCanaryIsOneReadyNodeTheFirstByName) {
  EXPECT_THAT(Replaced(PlanMoves(3, 1, 2, {Old("c"), Old("a", false), Old("b")})),
              ElementsAre("b"));
}

TEST(Partition, AtRestOnTheTargetNothingIsReplaced) {
  EXPECT_THAT(Replaced(PlanMoves(3, 1, 3, {New("a"), Old("b"), Old("c")})), IsEmpty());
  EXPECT_THAT(Replaced(PlanMoves(3, 0, 3, {Old("a"), Old("b"), Old("c")})), IsEmpty());
}

TEST(Partition, ANodeWhosePodIsEndingOrMissingCountsAsGiven) {
  EXPECT_THAT(Replaced(PlanMoves(3, 1, 3, {Ending("a"), Old("b"), Old("c")})), IsEmpty());
  EXPECT_THAT(Replaced(PlanMoves(3, 1, 3, {Old("b"), Old("c")})), IsEmpty());
  EXPECT_THAT(Replaced(PlanMoves(3, 2, 3, {Old("b"), Old("c")})), ElementsAre("b"));
}

TEST(Partition, NoMoreThanMaxUnavailableNodesAreWithoutAReadyAgent) {
  EXPECT_THAT(Replaced(PlanMoves(4, 4, 2, {Old("a"), Old("b"), Old("c"), Old("d")})),
              ElementsAre("a", "b"));
  EXPECT_THAT(Replaced(PlanMoves(4, 4, 2, {New("a", false), Old("b"), Old("c"), Old("d")})),
              ElementsAre("b"));
  EXPECT_THAT(Replaced(PlanMoves(4, 4, 2, {New("a", false), New("b", false), Old("c"), Old("d")})),
              IsEmpty());
}

TEST(Partition, AnOldAgentThatIsDownAnywayCostsNothing) {
  EXPECT_THAT(Replaced(PlanMoves(2, 2, 1, {New("a"), Old("b", false)})), ElementsAre("b"));
}

TEST(Partition, CountsTellWhatIsUpdatedReadyAndFailing) {
  const NodeMoves moves = PlanMoves(
      4, 3, 1, {New("a"), New("b", false), New("c", false, "CrashLoopBackOff"), Old("d")});
  EXPECT_EQ(moves.updated, 3);
  EXPECT_EQ(moves.updated_ready, 1);
  EXPECT_EQ(moves.failed, 1);
  EXPECT_EQ(moves.failure, "node c: CrashLoopBackOff");
}

// Property: whatever the pods are, invariants 1 and 2 hold.
TEST(Partition, NeverBeyondTheTargetNorBelowTheReadyOnes) {
  for (unsigned mix = 0; mix < 6 * 6 * 6 * 6; ++mix) {
    for (int target = 0; target <= 4; ++target) {
      for (int most = 1; most <= 3; ++most) {
        std::vector<PodState> pods;
        int given = 0, ready = 0;
        unsigned rest = mix;
        for (const char* node : {"a", "b", "c", "d"}) {
          const unsigned kind = rest % 6;
          rest /= 6;
          if (kind == 0) pods.push_back(Old(node));
          if (kind == 1) pods.push_back(Old(node, false));
          if (kind == 2) pods.push_back(New(node));
          if (kind == 3) pods.push_back(New(node, false));
          if (kind == 4) pods.push_back(Ending(node));
          if (kind >= 2) ++given;
          if (kind == 0 || kind == 2) ++ready;
        }
        const NodeMoves moves = PlanMoves(4, target, most, pods);
        const int replaced = static_cast<int>(moves.replace.size());
        ASSERT_LE(replaced, std::max(0, target - given)) << mix << " " << target << " " << most;
        int down = 0;
        for (const PodState& pod : moves.replace) down += pod.ready ? 1 : 0;
        ASSERT_LE(down, std::max(0, most - (4 - ready))) << mix << " " << target << " " << most;
      }
    }
  }
}

TEST(Partition, MaxUnavailableIsANumberOrAShareRoundedUp) {
  EXPECT_EQ(MaxUnavailable("3", 100), 3);
  EXPECT_EQ(MaxUnavailable("10%", 11), 2);
  EXPECT_EQ(MaxUnavailable("1%", 3), 1);
  EXPECT_EQ(MaxUnavailable("", 3), 1);
}

TEST(Partition, APodTellsItsRevisionReadinessAndFailure) {
  const json pod = json::parse(R"({"metadata": {"name": "x", "uid": "u",
      "labels": {"controller-revision-hash": "abc"}}, "spec": {"nodeName": "n"},
      "status": {"conditions": [{"type": "Ready", "status": "False"}],
      "containerStatuses": [{"restartCount": 1,
      "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}})");
  const PodState out = PodFrom(pod, "abc", {});
  EXPECT_TRUE(out.current);
  EXPECT_FALSE(out.ready);
  EXPECT_EQ(out.failure, "ImagePullBackOff");
  EXPECT_FALSE(PodFrom(pod, "abd", {}).current);
  EXPECT_FALSE(PodFrom(pod, "", {}).current);
}

TEST(Partition, AnAgentIsReadyOnceItHasBeenSoForTwoSeconds) {
  json pod = json::parse(R"({"metadata": {"name": "x"}, "status": {"conditions": [
      {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T01:28:02Z"}]}})");
  const auto ready_at = [&](const char* now) {
    return PodFrom(pod, "abc", *base::ParseRfc3339(now)).ready;
  };
  EXPECT_FALSE(ready_at("2026-11-23T01:28:02Z"));
  EXPECT_FALSE(ready_at("2026-11-23T01:28:03Z"));
  EXPECT_TRUE(ready_at("2026-11-23T01:28:04Z"));
  pod["status"]["conditions"][0]["lastTransitionTime"] = nullptr;
  EXPECT_TRUE(ready_at("2026-11-23T01:28:02Z")) << "since when, nobody said";
  pod["metadata"]["deletionTimestamp"] = "2026-11-23T01:29:00Z";
  EXPECT_FALSE(ready_at("2026-11-23T01:28:04Z"));
}

TEST(Partition, TheNewestRevisionIsTheOneOfThisDaemonSetWithTheHighestNumber) {
  const auto revision = [](const std::string& owner, int number, const std::string& hash) {
    return json{{"metadata",
                 {{"ownerReferences", json::array({{{"uid", owner}}})},
                  {"labels", {{"controller-revision-hash", hash}}}}},
                {"revision", number}};
  };
  EXPECT_EQ(NewestRevision(
                {revision("me", 3, "c"), revision("me", 2, "b"), revision("other", 9, "z")}, "me"),
            "c");
  EXPECT_EQ(NewestRevision({}, "me"), "");
}

v1alpha1::Site UnderRollout() {
  v1alpha1::Site site;
  site.mutable_spec()->mutable_release()->mutable_rollout_ref()->set_name("weekly");
  return site;
}
meta::ObjectPtr RolloutOf(const std::string& uid) {
  return *meta::Object::FromJson(json{{"apiVersion", "sluice.dev/v1alpha1"},
                                      {"kind", "Rollout"},
                                      {"metadata", {{"name", "weekly"}}},
                                      {"status",
                                       {{"sites", json::array({{{"name", "phoenix"},
                                                                {"uid", uid},
                                                                {"targetNodes", 2},
                                                                {"maxUnavailable", "10%"}}})}}}});
}

TEST(Partition, TheTargetIsThatOfTheRolloutTheSiteNames) {
  const Partition partition = PartitionOf(UnderRollout(), "u1", RolloutOf("u1"));
  EXPECT_TRUE(partition.active);
  EXPECT_EQ(partition.target, 2);
  EXPECT_EQ(partition.max_unavailable, "10%");
  EXPECT_EQ(partition.problem, "");
  EXPECT_FALSE(PartitionOf(v1alpha1::Site(), "u1", nullptr).active);
}

TEST(Partition, ARolloutThatIsMissingOrSpeaksOfAnotherSiteGivesNothing) {
  const Partition missing = PartitionOf(UnderRollout(), "u1", nullptr);
  EXPECT_TRUE(missing.active);
  EXPECT_EQ(missing.target, 0);
  EXPECT_THAT(missing.problem, HasSubstr("Rollout weekly, named by spec.release.rolloutRef"));
  const Partition other = PartitionOf(UnderRollout(), "u1", RolloutOf("u2"));
  EXPECT_EQ(other.target, 0);
  EXPECT_THAT(other.problem, HasSubstr("does not speak of this Site"));
}

}  // namespace
}  // namespace sluice::site
