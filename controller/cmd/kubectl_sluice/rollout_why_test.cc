#include "controller/cmd/kubectl_sluice/rollout_why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/cmd/kubectl_sluice/agenda.h"
#include "controller/testing/status_matchers.h"

namespace sluice::kubectl {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const base::WallTime kToday = base::ParseRfc3339("2026-12-01T10:00:00Z").value();

// Held by an incident at the site of the wave before.
json Weekly() {
  return json::parse(R"({"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
      "metadata": {"name": "weekly", "uid": "u1", "generation": 2},
      "spec": {"releaseRef": {"name": "agent-2"}, "requestedBy": "ana", "action": "Run",
               "waves": [{"name": "canary"}, {"name": "west"}]},
      "status": {"observedGeneration": 2, "direction": "Forward", "wave": "west",
        "planHash": "9f2c", "action": "Run",
        "waves": [{"name": "canary", "state": "Done"}],
        "sites": [{"name": "phoenix", "wave": "canary", "state": "Done", "targetNodes": 3,
                   "nodes": 3, "updatedNodes": 3, "readyNodes": 2, "failedNodes": 1,
                   "completedAt": "2026-12-01T09:00:00Z"}],
        "gates": [{"name": "phoenix/quiet", "verdict": "Hold", "cause": "IncidentOpen"},
                  {"name": "phoenix/room", "verdict": "Pass", "cause": "Met", "message": "3 ready"}],
        "blockedBy": [{"gate": "phoenix/quiet", "cause": "IncidentOpen", "message": "inc-7 is open",
                       "since": "2026-12-01T08:00:00Z", "unblockedBy": "eve"}]}})");
}

meta::ObjectPtr ObjectOf(const json& value) { return *meta::Object::FromJson(value); }
std::string TextOf(const json& value) { return WhyRollout(*ObjectOf(value), {}, kToday)->text; }

TEST(WhyRollout, SaysWhatHoldsItSinceWhenWhoEndsThatAndHowFarEachSiteIs) {
  const std::string text = TextOf(Weekly());
  EXPECT_THAT(text, HasSubstr("weekly  brings agent-2, action Run, is at wave west"));
  EXPECT_THAT(text, HasSubstr("  HOLD  phoenix/quiet  IncidentOpen  inc-7 is open  unblocked by "
                              "eve; since 2 h"));
  EXPECT_THAT(text, HasSubstr("  pass  phoenix/room  Met  3 ready"));
  EXPECT_THAT(text, HasSubstr("3 of 3 nodes may have it, 3 do, 2 ready, 1 FAIL"));
  EXPECT_THAT(text, HasSubstr("  wave  west  has not started"));
}

TEST(WhyRollout, SaysWhichActionWasNotTakenAndThatItEnded) {
  json rollout = Weekly();
  rollout["status"]["outcome"] = "Aborted";
  rollout["status"]["completedAt"] = "2026-12-01T09:30:00Z";
  rollout["status"]["blockedBy"] = json::array();
  rollout["status"]["conditions"] = {{{"type", "ActionTaken"},
                                      {"status", "False"},
                                      {"reason", "Ended"},
                                      {"message", "spec.action Run is not taken: it ended"}}};
  const std::string text = TextOf(rollout);
  EXPECT_THAT(text, HasSubstr("ended: Aborted (30 m"));
  EXPECT_THAT(text, HasSubstr("  note  action  Ended  spec.action Run is not taken: it ended"));
  EXPECT_THAT(RolloutDecision(*ObjectOf(rollout), "ana", std::chrono::hours(1), kToday),
              testing_kit::HasError(base::Code::kFailedPrecondition, HasSubstr("Aborted")));
}

TEST(WhyRollout, AnOldStatusIsNotPassedOffAsTodaysAnswer) {
  json rollout = Weekly();
  EXPECT_FALSE(json::parse(WhyRollout(*ObjectOf(rollout), {}, kToday)->json).contains("stale"));
  rollout["metadata"]["generation"] = 3;
  const std::string said =
      "the controller has not looked at generation 3 yet (it saw 2); is it running?";
  EXPECT_THAT(TextOf(rollout), HasSubstr("\n  " + said + "\n  HOLD"));
  EXPECT_EQ(json::parse(WhyRollout(*ObjectOf(rollout), {}, kToday)->json)["stale"], said);
  rollout.erase("status");
  EXPECT_THAT(TextOf(rollout), HasSubstr("is at no wave yet (requested by ana)\n  the controller "
                                         "has not looked at generation 3 yet (it saw none)"));
}

TEST(CanRollOn, IsYesOnlyWhileItIsOpenSeenAndHeldByNothing) {
  json rollout = Weekly();
  const Advance held = *CanRollOn(*ObjectOf(rollout));
  EXPECT_FALSE(held.yes);
  EXPECT_THAT(held.text, HasSubstr("no: weekly takes no step: wave west is held"));
  EXPECT_THAT(held.text, HasSubstr("phoenix/quiet  IncidentOpen  inc-7 is open  unblocked by eve"));
  EXPECT_EQ(json::parse(held.json)["holds"][0]["gate"], "phoenix/quiet");
  rollout["status"]["blockedBy"] = json::array();
  EXPECT_TRUE(CanRollOn(*ObjectOf(rollout))->yes);
  rollout["metadata"]["generation"] = 3;
  EXPECT_THAT(CanRollOn(*ObjectOf(rollout))->text,
              HasSubstr("no: weekly takes no step: the controller has not looked at generation 3"));
  rollout["metadata"]["generation"] = 2;
  rollout["status"]["outcome"] = "Completed";
  EXPECT_FALSE(CanRollOn(*ObjectOf(rollout))->yes);
}

TEST(Agenda, HasRolloutsWhereItHasPromotions) {
  AgendaObjects objects;
  json waiting = Weekly();
  waiting["status"]["blockedBy"].push_back({{"gate", "phoenix/go"},
                                            {"cause", "AwaitingApproval"},
                                            {"message", "council has not answered"},
                                            {"unblockedBy", "bo"}});
  json ended = Weekly();
  ended["metadata"]["name"] = "last-week";
  ended["status"]["outcome"] = "Completed";
  objects.rollouts = {ObjectOf(waiting), ObjectOf(ended)};
  const std::string text = RenderAgenda(
      BuildAgenda(objects, ReadCalendar(DefaultCalendar()).value(), std::nullopt, kToday), kToday);
  EXPECT_THAT(text, HasSubstr("rollout/weekly  to agent-2, at wave west: held by phoenix/quiet "
                              "(IncidentOpen), phoenix/go (AwaitingApproval)  (ana)"));
  EXPECT_THAT(text, HasSubstr("rollout/weekly  gate phoenix/go: AwaitingApproval: council has not "
                              "answered  (bo)"));
  EXPECT_THAT(text, Not(HasSubstr("last-week")));
}

}  // namespace
}  // namespace sluice::kubectl
