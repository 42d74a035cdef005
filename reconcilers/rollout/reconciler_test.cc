// The rollout controller over an API in memory and a real audit log: what is written in which
// order, what survives a process, what holds it, and that it rests. What it decides is
// plan_test.cc's.
#include "reconcilers/rollout/reconciler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/cache/memory_store.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/audit/watched_audit_for_test.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"

namespace sluice::rollout {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kOldImage = "agent@sha256:" + std::string(64, 'a');
const std::string kNewImage = "agent@sha256:" + std::string(64, 'b');
constexpr const char* kStatusWrite = "apply-status rollouts.sluice.dev";
constexpr const char* kSiteWrite = "apply sites.sluice.dev";

class NoEvents final : public recorder::Recorder {
 public:
  void Record(const recorder::Reference&, recorder::Type, std::string_view, std::string_view,
              std::string_view) override {}
};

class RolloutReconcilerTest : public ::testing::Test {
 protected:
  RolloutReconcilerTest() {
    for (const auto& [name, version, image] :
         {std::tuple{"agent-1", "1.0.0", kOldImage}, std::tuple{"agent-2", "2.0.0", kNewImage}}) {
      api_.Put(common::kReleases, {{"metadata", {{"name", name}}},
                                   {"spec", {{"version", version}, {"image", image}}}});
    }
    api_.Put(common::kSites, {{"metadata", {{"name", "phoenix"}}},
                              {"spec", {{"stage", "Run"}, {"release", {{"image", kOldImage}}}}}});
    Obey();
    api_.FailBefore([this](const testing_kit::Call& call) -> std::optional<base::Status> {
      if (!call.IsWrite()) return std::nullopt;
      const std::string what = call.verb + " " + call.resource;
      audit_.timeline.push_back(what);
      if (what != refused_) return std::nullopt;
      return base::Unavailable("the connection is gone");
    });
  }

  void Ask(json gates = json::array()) {
    json wave = {{"name", "all"}, {"sites", {{"names", {"phoenix"}}}}, {"soakSeconds", 0}};
    if (!gates.empty()) wave["gates"] = std::move(gates);
    api_.Put(common::kRollouts, {{"metadata", {{"name", "weekly"}}},
                                 {"spec",
                                  {{"releaseRef", {{"name", "agent-2"}}},
                                   {"requestedBy", "ana"},
                                   {"waves", json::array({wave})}}}});
  }
  void Freeze(const json& allowed) {
    json spec = {{"reason", "Golden run."},
                 {"once",
                  {{"from", base::FormatRfc3339(clock_.Wall() - std::chrono::hours(1))},
                   {"to", base::FormatRfc3339(clock_.Wall() + std::chrono::hours(1))}}}};
    if (!allowed.empty()) spec["allowReleases"] = allowed;
    api_.Put(common::kFreezeWindows, {{"metadata", {{"name", "golden"}}}, {"spec", spec}});
  }
  // The site's controller: as many of three nodes have its image as the Rollout allows, all ready.
  void Obey() {
    const json site = Site();
    const json image = site["spec"]["release"]["image"];
    int target = 3;
    if (site["spec"]["release"].contains("rolloutRef")) target = Entry().value("targetNodes", 0);
    api_.PutStatus(common::kSites, {"", "phoenix"},
                   {{"observedGeneration", site["metadata"]["generation"]},
                    {"agents",
                     {{"wanted", 3},
                      {"ready", 3},
                      {"image", image},
                      {"updated", target},
                      {"updatedReady", target}}}});
  }
  void Fill() {
    for (cache::MemoryStore* store :
         {&rollouts_, &sites_, &releases_, &classes_, &plans_, &objectives_, &reviews_, &decisions_,
          &approvals_, &exemptions_, &freezes_, &incidents_}) {
      const auto list = api_.List(store->resource(), {});
      ASSERT_TRUE(list.ok()) << list.status().ToString();
      store->BeginState();
      for (const meta::ObjectPtr& object : list->items) store->Put(object);
      store->EndState(list->resource_version);
    }
  }
  reconcile::Result Once() {
    Fill();
    return reconciler_->Reconcile({{"", "weekly"}}, {});
  }
  void Settle(int rounds = 20) {
    for (int i = 0; i < rounds; ++i) {
      Once();
      Obey();
    }
  }
  // A new process: everything in memory is lost.
  void Restart() {
    registry_ = std::make_unique<base::metrics::Registry>();
    reconciler_ = Make();
  }
  std::unique_ptr<RolloutReconciler> Make() {
    const Stores stores{
        rollouts_,
        sites_,
        releases_,
        classes_,
        plans_,
        objectives_,
        {&reviews_, &decisions_, &approvals_, &exemptions_, &freezes_, &incidents_}};
    return std::make_unique<RolloutReconciler>(stores, api_, secrets_, audit_, events_, *registry_,
                                               clock_, DefaultImage{"agent:1", "IfNotPresent"});
  }

  json Site() { return api_.Look(common::kSites, {"", "phoenix"}); }
  json Status() {
    return api_.Look(common::kRollouts, {"", "weekly"}).value("status", json::object());
  }
  json Entry() { return Status().value(json::json_pointer("/sites/0"), json::object()); }
  std::string Held() {
    const json first = Status().value(json::json_pointer("/blockedBy/0"), json::object());
    return first.value("gate", "") + " " + first.value("cause", "");
  }
  long Count(const std::string& what) const {
    return std::count(audit_.timeline.begin(), audit_.timeline.end(), what);
  }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  cache::MemoryStore rollouts_{common::kRollouts, clock_}, sites_{common::kSites, clock_},
      releases_{common::kReleases, clock_}, classes_{common::kSiteClasses, clock_},
      plans_{common::kStagePlans, clock_}, objectives_{common::kObjectives, clock_},
      reviews_{common::kReadinessReviews, clock_}, decisions_{common::kDecisions, clock_},
      approvals_{common::kApprovals, clock_}, exemptions_{common::kExemptions, clock_},
      freezes_{common::kFreezeWindows, clock_}, incidents_{common::kIncidents, clock_},
      secret_store_{common::kSecrets, clock_};
  common::SecretReader secrets_{api_, secret_store_, "sluice-system", clock_};
  NoEvents events_;
  audit::fakes::WatchedAudit audit_{clock_};
  std::string refused_;  // a write that fails, as in the timeline
  std::unique_ptr<base::metrics::Registry> registry_ = std::make_unique<base::metrics::Registry>();
  std::unique_ptr<RolloutReconciler> reconciler_ = Make();
};

TEST_F(RolloutReconcilerTest, EveryStepIsInTheAuditLogThenInTheStatusThenAtTheSite) {
  Ask();
  Once();
  const auto at = [&](const std::string& what) {
    return std::find(audit_.timeline.begin(), audit_.timeline.end(), what) -
           audit_.timeline.begin();
  };
  ASSERT_EQ(Count("audit RolloutWaveStarted"), 1);
  EXPECT_LT(at("audit RolloutWaveStarted"), at("audit RolloutStep"));
  EXPECT_LT(at("audit RolloutStep"), at(kStatusWrite));
  EXPECT_LT(at(kStatusWrite), at(kSiteWrite));
  EXPECT_EQ(Entry()["targetNodes"], 1);
  EXPECT_EQ(Site()["spec"]["release"]["image"], kNewImage);
  EXPECT_EQ(Site()["spec"]["release"]["rolloutRef"]["name"], "weekly");
  Settle();
  EXPECT_EQ(Status()["outcome"], "Completed");
  EXPECT_EQ(Count("audit RolloutStep"), 3) << "1, 2 and 3 of 3 nodes";
  EXPECT_EQ(Count("audit RolloutEnded"), 1);
  EXPECT_EQ(Status()["auditHead"], audit_.HeadHash());
  EXPECT_THAT(audit_.text, HasSubstr(R"("type":"RolloutStep","subject":"Rollout/weekly",)"
                                     R"("actor":"ana")"));
  audit_.ReplayedVerdicts();
}

TEST_F(RolloutReconcilerTest, WhatDiedBeforeTheSiteWasWrittenIsWrittenByTheNextProcess) {
  Ask();
  refused_ = kSiteWrite;
  EXPECT_EQ(Once().kind(), reconcile::Result::Kind::kRetry);
  EXPECT_EQ(Entry()["targetNodes"], 1);
  EXPECT_EQ(Site()["spec"]["release"]["image"], kOldImage);
  refused_.clear();
  Restart();
  Once();
  EXPECT_EQ(Site()["spec"]["release"]["image"], kNewImage);
  EXPECT_EQ(Count("audit RolloutStep"), 1) << "no step was planned anew";
}

TEST_F(RolloutReconcilerTest, AStatusThatCouldNotBeWrittenMovesNothing) {
  Ask();
  refused_ = kStatusWrite;
  EXPECT_EQ(Once().kind(), reconcile::Result::Kind::kRetry);
  EXPECT_EQ(Site()["spec"]["release"]["image"], kOldImage);
  refused_.clear();
  Restart();
  Settle();
  EXPECT_EQ(Status()["outcome"], "Completed");
}

TEST_F(RolloutReconcilerTest, WhoeverWroteInBetweenIsNotOverwritten) {
  Ask();
  Fill();
  json paused = api_.Look(common::kRollouts, {"", "weekly"});
  paused["spec"]["action"] = "Pause";
  api_.Put(common::kRollouts, paused);
  const reconcile::Result result = reconciler_->Reconcile({{"", "weekly"}}, {});
  EXPECT_EQ(result.kind(), reconcile::Result::Kind::kLater);
  EXPECT_EQ(Status().value("sites", json::array()).size(), 0u);
  Settle();
  EXPECT_EQ(Held(), "action Paused");
  EXPECT_EQ(Site()["spec"]["release"]["image"], kOldImage);
}

TEST_F(RolloutReconcilerTest, WithoutAnAuditLogNothingMovesWhetherItWasKnownOrNot) {
  Ask();
  for (const bool surprise : {false, true}) {
    audit_.down = true;
    audit_.surprise = surprise;
    Settle(4);
    EXPECT_EQ(Held(), "audit AuditUnavailable");
    EXPECT_EQ(Site()["spec"]["release"]["image"], kOldImage);
    EXPECT_THAT(registry_->Expose(),
                HasSubstr("sluice_blocked{kind=\"Rollout\",cause=\"AuditUnavailable\"} 1"));
  }
  audit_.down = false;
  Settle();
  EXPECT_EQ(Status()["outcome"], "Completed");
  EXPECT_THAT(registry_->Expose(),
              HasSubstr("sluice_blocked{kind=\"Rollout\",cause=\"AuditUnavailable\"} 0"));
}

TEST_F(RolloutReconcilerTest, AFreezeHoldsItUntilItNamesTheRelease) {
  Ask();
  Freeze({"agent-3"});
  Settle();
  EXPECT_EQ(Held(), "phoenix/freeze Frozen");
  EXPECT_THAT(Status()["blockedBy"][0]["message"].get<std::string>(), HasSubstr("Golden run."));
  EXPECT_EQ(Site()["spec"]["release"]["image"], kOldImage);
  Freeze({"agent-3", "agent-2"});
  Settle();
  EXPECT_EQ(Status()["outcome"], "Completed");
  EXPECT_GT(audit_.ReplayedVerdicts(), 0u);
}

TEST_F(RolloutReconcilerTest, AGateHoldsTheWaveAndItsAnswersAreRecordedAndReplayed) {
  Ask(json::array({{{"name", "quiet"}, {"incident", {{"atOrAbove", "Severity2"}}}}}));
  json incident = {{"metadata", {{"name", "inc-7"}}},
                   {"spec",
                    {{"sites", {"phoenix"}},
                     {"severity", "Severity1"},
                     {"state", "Open"},
                     {"summary", "Reads fail."},
                     {"owner", "eve"}}}};
  api_.Put(common::kIncidents, incident);
  Settle();
  EXPECT_EQ(Held(), "phoenix/quiet IncidentOpen");
  EXPECT_EQ(Site()["spec"]["release"]["image"], kOldImage);
  EXPECT_EQ(audit_.ReplayedVerdicts(), 1u);
  EXPECT_THAT(registry_->Expose(),
              HasSubstr(R"(sluice_gate_verdict{kind="Rollout",name="weekly",gate="phoenix/quiet",)"
                        R"(verdict="Hold",cause="IncidentOpen"} 1)"));
  incident["spec"]["state"] = "Closed";
  api_.Put(common::kIncidents, incident);
  Settle();
  EXPECT_EQ(Status()["outcome"], "Completed");
  EXPECT_EQ(audit_.ReplayedVerdicts(), 2u);
  EXPECT_THAT(registry_->Expose(), ::testing::Not(HasSubstr("phoenix/quiet")));
}

TEST_F(RolloutReconcilerTest, HeldItWritesNothingHoweverOftenItLooks) {
  Ask(json::array(
      {{{"name", "soak"}, {"soak", {{"seconds", 864000}}}, {"validForSeconds", 3600}}}));
  json status = Site()["status"];
  status["stage"] = "Run";
  status["stageReachedAt"] = base::FormatRfc3339(clock_.Wall());
  api_.PutStatus(common::kSites, {"", "phoenix"}, status);
  for (int i = 0; i < 4; ++i) Once();
  ASSERT_EQ(Held(), "phoenix/soak Soaking");
  api_.ForgetCalls();
  for (int i = 0; i < 30; ++i) {
    clock_.Advance(seconds(60));  // the message tells how much of it is over
    Once();
  }
  EXPECT_EQ(api_.writes(), 0);
  EXPECT_EQ(Held(), "phoenix/soak Soaking");
}

TEST_F(RolloutReconcilerTest, OneThatIsDeletedLeavesNoSeriesBehind) {
  Ask();
  audit_.down = true;
  Once();
  EXPECT_THAT(registry_->Expose(), HasSubstr("sluice_rollout_stopped{name=\"weekly\"} 0"));
  ASSERT_TRUE(api_.Delete(common::kRollouts, {"", "weekly"}).ok());
  Once();
  EXPECT_THAT(registry_->Expose(), ::testing::Not(HasSubstr("weekly")));
  EXPECT_THAT(registry_->Expose(),
              HasSubstr("sluice_blocked{kind=\"Rollout\",cause=\"AuditUnavailable\"} 0"));
}

}  // namespace
}  // namespace sluice::rollout
