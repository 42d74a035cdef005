// The whole reconciler over an API in memory and a scripted Prometheus: the climb, what a crash at
// any write leaves, and that nothing is written at rest.
#include "reconcilers/promotion/reconciler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/cache/memory_store.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/audit/fakes_for_test.h"
#include "reconcilers/audit/log.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/audit/verify.h"
#include "reconcilers/common/resources.h"

namespace sluice::promotion {
namespace {

using nlohmann::json;
using std::chrono::seconds;

// Answers a query about time stamps with the query's own time, and every other with `value`.
class ScriptedPrometheus {
 public:
  ScriptedPrometheus() : imposter_([this](http::testing::ImposterConnection& c) { Serve(c); }) {}
  std::string url() { return imposter_.url(); }
  std::atomic<bool> down{false};
  std::atomic<const char*> value{"0"};

 private:
  void Serve(http::testing::ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      if (down) {
        c.Send(http::testing::Answer(503, "down"));
        continue;
      }
      const auto at = request->body.find("&time=");
      const std::string now = request->body.substr(at + 6, 10);
      const bool freshness = request->body.find("timestamp") != std::string::npos;
      c.Send(http::testing::Answer(
          200, fmt::format(R"({{"status":"success","data":{{"resultType":"vector","result":[)"
                           R"({{"metric":{{}},"value":[{},"{}"]}}]}}}})",
                           now, freshness ? now : std::string(value.load()))));
    }
  }
  http::testing::Imposter imposter_;
};

class NoEvents final : public recorder::Recorder {
 public:
  void Record(const recorder::Reference& about, recorder::Type, std::string_view reason,
              std::string_view, std::string_view) override {
    reasons.push_back(about.name + " " + std::string(reason));
  }
  std::vector<std::string> reasons;
};

// The real log, shipped to a string; it can be away, and tells what was appended before what.
class WatchedAudit final : public audit::Appender {
 public:
  explicit WatchedAudit(base::Clock& clock)
      : log_({.directory = {},
              .identity = "test",
              .ship =
                  [this](std::string_view lines) {
                    text += lines;
                    return base::OkStatus();
                  },
              .sign = {}},
             disk_, checkpoints_, clock) {
    EXPECT_TRUE(log_.Open(1).ok());
  }
  base::Status Append(const std::vector<audit::Entry>& entries, audit::Anchor anchor) override {
    if (down) return base::Unavailable("no space left");
    for (const audit::Entry& entry : entries) timeline.push_back("audit " + entry.type);
    const base::Status status = log_.Append(entries, anchor);
    if (!entries.empty() && appended) appended();
    return status;
  }
  base::Status Ready() override {
    return down && !surprise ? base::Unavailable("no space left") : log_.Ready();
  }
  std::string HeadHash() const override { return log_.HeadHash(); }

  // The log is whole, and every verdict in it is what the evaluator says again.
  std::uint64_t ReplayedVerdicts() {
    audit::Replayer replayer;
    audit::Verifier verifier({}, [&](const audit::Line& line) { replayer.Take("log", line); });
    verifier.BeginFile("log");
    verifier.Add(text);
    EXPECT_TRUE(verifier.Finish().ok());
    for (const audit::Problem& p : replayer.problems()) ADD_FAILURE() << p.line << ": " << p.what;
    return replayer.verdicts();
  }

  std::string text;
  bool down = false;
  bool surprise = false;  // Ready says yes all the same
  std::vector<std::string> timeline;
  std::function<void()> appended;

 private:
  audit::fakes::MemoryDisk disk_;
  audit::fakes::MemoryCheckpoints checkpoints_;
  audit::Log log_;
};

class PromotionReconcilerTest : public ::testing::Test {
 protected:
  PromotionReconcilerTest() {
    promotions_.AddIndex(kPromotionsBySite, [](const meta::Object& p) {
      return std::vector<std::string>{p.ToJson()["spec"]["siteRef"].value("name", "")};
    });
    api_.Put(common::kStagePlans, json::parse(R"({"metadata": {"name": "plan"}, "spec": {"stages": [
        {"name": "Crawl", "tenancy": "SingleTenant", "maxTenants": 1, "entryGates": [
          {"name": "nodes", "validForSeconds": 300, "metric": {"query": "bad{site=\"$site\"}",
           "op": "lte", "threshold": "0", "freshnessSelector": "bad{site=\"$site\"}"}}]},
        {"name": "Walk", "tenancy": "CustomerTenant", "entryGates": [
          {"name": "soak", "validForSeconds": 300, "soak": {"seconds": 30}},
          {"name": "nodes", "validForSeconds": 300, "metric": {"query": "bad{site=\"$site\"}",
           "op": "lte", "threshold": "0", "freshnessSelector": "bad{site=\"$site\"}"}}]}]}})"));
    api_.Put(common::kSiteClasses,
             {{"metadata", {{"name", "class"}}}, {"spec", {{"stagePlanRef", {{"name", "plan"}}}}}});
    PutSite("Walk");
  }

  void PutSite(const std::string& stage) {
    api_.Put(common::kSites,
             {{"metadata", {{"name", "phoenix"}}},
              {"spec",
               {{"classRef", {{"name", "class"}}},
                {"stage", stage},
                {"requestedBy", "ana@example.com"},
                {"prometheus", {{"url", prometheus_.url()}, {"scrapeIntervalSeconds", 10}}}}}});
  }

  void Fill(cache::MemoryStore& store) {
    const auto list = api_.List(store.resource(), {});
    ASSERT_TRUE(list.ok());
    store.BeginState();
    for (const meta::ObjectPtr& object : list->items) store.Put(object);
    store.EndState(list->resource_version);
  }

  reconcile::Result Once() {
    for (auto* store : {&sites_, &classes_, &plans_, &promotions_, &objectives_}) Fill(*store);
    return reconciler_->Reconcile({{"", "phoenix"}}, {});
  }
  void Settle(int rounds = 12) {
    for (int i = 0; i < rounds; ++i) Once();
  }
  // A new process: everything in memory is lost.
  void Restart() {
    registry_ = std::make_unique<base::metrics::Registry>();
    reconciler_ = std::make_unique<PromotionReconciler>(
        Stores{sites_, classes_, plans_, promotions_, objectives_}, api_, secrets_, audit_, events_,
        *registry_, clock_);
  }

  json Site() { return api_.Look(common::kSites, {"", "phoenix"}); }
  std::string Stage() { return Site().value(json::json_pointer("/status/stage"), ""); }
  json Promotion(const std::string& name) { return api_.Look(common::kPromotions, {"", name}); }
  std::string Outcome(const std::string& name) {
    return Promotion(name).value(json::json_pointer("/status/outcome"), "");
  }

  base::FakeClock clock_;
  ScriptedPrometheus prometheus_;
  testing_kit::FakeApi api_{clock_};
  cache::MemoryStore sites_{common::kSites, clock_}, classes_{common::kSiteClasses, clock_},
      plans_{common::kStagePlans, clock_}, promotions_{common::kPromotions, clock_},
      objectives_{common::kObjectives, clock_}, secret_store_{common::kSecrets, clock_};
  common::SecretReader secrets_{api_, secret_store_, "sluice-system", clock_};
  NoEvents events_;
  WatchedAudit audit_{clock_};
  std::unique_ptr<base::metrics::Registry> registry_ = std::make_unique<base::metrics::Registry>();
  std::unique_ptr<PromotionReconciler> reconciler_ = std::make_unique<PromotionReconciler>(
      Stores{sites_, classes_, plans_, promotions_, objectives_}, api_, secrets_, audit_, events_,
      *registry_, clock_);
};

TEST_F(PromotionReconcilerTest, ClimbsOneRecordedStepAfterTheOther) {
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  EXPECT_EQ(Outcome("phoenix-1-crawl"), "Promoted");
  const json walk = Promotion("phoenix-1-walk");
  EXPECT_EQ(walk["spec"]["from"], "Crawl");
  EXPECT_EQ(walk["spec"]["plan"]["stages"].size(), 1U);
  EXPECT_EQ(walk["metadata"]["ownerReferences"][0]["name"], "phoenix");
  EXPECT_EQ(Site()["status"]["blockedBy"][0]["cause"], "Soaking");
  EXPECT_EQ(Site()["status"]["promotion"], "phoenix-1-walk");
  clock_.Advance(seconds(31));
  Settle();
  EXPECT_EQ(Stage(), "Walk");
  EXPECT_EQ(Outcome("phoenix-1-walk"), "Promoted");
  EXPECT_EQ(Promotion("phoenix-1-walk")["status"]["gates"][0]["verdict"], "Pass");
  EXPECT_FALSE(Site()["status"].contains("promotion"));
  EXPECT_THAT(events_.reasons, ::testing::Contains("phoenix StageReached"));
}

TEST_F(PromotionReconcilerTest, HoldsWithTheNumbersAndCountsWhatHolds) {
  prometheus_.value = "2";
  Settle();
  EXPECT_EQ(Stage(), "");
  const json gate = Promotion("phoenix-1-crawl")["status"]["gates"][0];
  EXPECT_EQ(gate["verdict"], "Fail");
  EXPECT_EQ(gate["cause"], "GateFailed");
  EXPECT_EQ(gate["value"], "2");
  EXPECT_EQ(gate["evidence"][0]["query"], "bad{site=\"phoenix\"}");
  EXPECT_THAT(registry_->Expose(),
              ::testing::HasSubstr("sluice_blocked{kind=\"Site\",cause=\"GateFailed\"} 1"));
  prometheus_.value = "0";
  clock_.Advance(seconds(1));
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  EXPECT_THAT(registry_->Expose(),
              ::testing::HasSubstr("sluice_blocked{kind=\"Site\",cause=\"GateFailed\"} 0"));
}

TEST_F(PromotionReconcilerTest, SaysUntilWhenAGateMayHoldWhateverTheCause) {
  json plan = api_.Look(common::kStagePlans, {"", "plan"});
  plan["spec"]["stages"][0]["entryGates"][0]["maxHoldSeconds"] = 3600;
  api_.Put(common::kStagePlans, plan);
  const auto deadline = [&] {
    const std::string text = registry_->Expose();
    const std::string series =
        R"(sluice_gate_hold_deadline_seconds{kind="Site",name="phoenix",gate="nodes"} )";
    const auto at = text.find(series);
    return at == std::string::npos ? 0.0 : std::stod(text.substr(at + series.size()));
  };
  const auto now = [&] {
    return std::chrono::duration<double>(clock_.Wall().time_since_epoch()).count();
  };
  prometheus_.down = true;
  Settle();
  EXPECT_EQ(Site()["status"]["blockedBy"][0]["cause"], "ProviderError");
  const double first = deadline();
  EXPECT_NEAR(first, now() + 3600, 1);
  clock_.Advance(seconds(600));
  prometheus_.down = false;
  prometheus_.value = "2";  // it holds for another reason now, and still holds
  Settle();
  EXPECT_EQ(Site()["status"]["blockedBy"][0]["cause"], "GateFailed");
  EXPECT_EQ(deadline(), first);
  prometheus_.value = "0";
  clock_.Advance(seconds(60));
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  EXPECT_EQ(deadline(), 0) << "the gate that holds now has no maxHoldSeconds";
}

TEST_F(PromotionReconcilerTest, BlindnessHoldsAndRollsNothingBack) {
  Settle();
  prometheus_.down = true;
  clock_.Advance(seconds(31));
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  EXPECT_EQ(Site()["status"]["blockedBy"][0]["cause"], "ProviderError");
  prometheus_.down = false;
  clock_.Advance(seconds(1));
  Settle();
  EXPECT_EQ(Stage(), "Walk");
}

TEST_F(PromotionReconcilerTest, WritesNothingAtRest) {
  Settle();
  clock_.Advance(seconds(31));
  Settle();
  api_.ForgetCalls();
  for (int i = 0; i < 60; ++i) {
    clock_.Advance(seconds(60));
    EXPECT_EQ(Once().kind(), reconcile::Result::Kind::kDone);
  }
  EXPECT_EQ(api_.writes(), 0);
}

// A process that dies after its k-th write, for every k: the next one ends at the same place, with
// the same names.
TEST_F(PromotionReconcilerTest, ACrashAfterAnyWriteChangesNothingInTheEnd) {
  Settle();
  clock_.Advance(seconds(31));
  Settle();
  const int writes = api_.writes();
  ASSERT_GT(writes, 5);
  for (int k = 1; k <= writes; ++k) {
    testing_kit::FakeApi fresh(clock_);
    for (const auto* resource : {&common::kStagePlans, &common::kSiteClasses}) {
      for (const json& object : api_.LookAll(*resource)) fresh.Put(*resource, object);
    }
    json site = Site();
    site.erase("status");
    site["metadata"] = {{"name", "phoenix"}};
    fresh.Put(common::kSites, site);
    int done = 0;
    bool dead = false;
    fresh.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
      if (dead && call.IsWrite()) return base::Cancelled("the process has died");
      return std::nullopt;
    });
    fresh.FailAfter([&](const testing_kit::Call& call) -> std::optional<base::Status> {
      if (call.IsWrite() && ++done == k) dead = true;
      return std::nullopt;
    });
    const auto run = [&](int rounds) {
      cache::MemoryStore sites(common::kSites, clock_), classes(common::kSiteClasses, clock_),
          plans(common::kStagePlans, clock_), promotions(common::kPromotions, clock_),
          objectives(common::kObjectives, clock_);
      promotions.AddIndex(kPromotionsBySite, [](const meta::Object& p) {
        return std::vector<std::string>{p.ToJson()["spec"]["siteRef"].value("name", "")};
      });
      base::metrics::Registry registry;
      PromotionReconciler reconciler(Stores{sites, classes, plans, promotions, objectives}, fresh,
                                     secrets_, audit_, events_, registry, clock_);
      for (int i = 0; i < rounds; ++i) {
        for (auto* store : {&sites, &classes, &plans, &promotions, &objectives}) {
          const auto list = fresh.List(store->resource(), {});
          store->BeginState();
          for (const meta::ObjectPtr& object : list->items) store->Put(object);
          store->EndState(list->resource_version);
        }
        reconciler.Reconcile({{"", "phoenix"}}, {});
        if (i == rounds / 2) clock_.Advance(seconds(31));
      }
    };
    run(20);
    fresh.FailBefore({});
    run(20);
    EXPECT_EQ(fresh.Look(common::kSites, {"", "phoenix"})["status"]["stage"], "Walk") << "k=" << k;
    const auto all = fresh.LookAll(common::kPromotions);
    ASSERT_EQ(all.size(), 2U) << "k=" << k;
    for (const json& p : all) EXPECT_EQ(p["status"]["outcome"], "Promoted") << "k=" << k;
  }
}

TEST_F(PromotionReconcilerTest, AChangedSpecSupersedesAndAStepDownIsUngated) {
  Settle();
  PutSite("Crawl");
  Settle();
  EXPECT_EQ(Outcome("phoenix-1-walk"), "Superseded");
  EXPECT_EQ(Stage(), "Crawl");
  PutSite("Walk");
  Settle();
  clock_.Advance(seconds(31));
  Settle();
  EXPECT_EQ(Stage(), "Walk");
  prometheus_.down = true;
  PutSite("Crawl");
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  EXPECT_THAT(Site()["status"]["conditions"][0]["status"], "True");
}

// A relist may show a state from before our own write (another API server that lags behind).
TEST_F(PromotionReconcilerTest, WhatAnOlderListForgetsIsNotAskedForAgainAndAgain) {
  int creations = 0;
  api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "create" && call.resource == "promotions.sluice.dev") ++creations;
    return std::nullopt;
  });
  const auto run = [&](PromotionReconciler& reconciler) {
    for (int i = 0; i < 20; ++i) {
      Fill(sites_);
      reconciler.Reconcile({{"", "phoenix"}}, {});
    }
  };
  Once();
  EXPECT_EQ(creations, 1);
  run(*reconciler_);
  EXPECT_EQ(creations, 1) << "the cache is known to lag behind";

  cache::MemoryStore older(common::kPromotions, clock_);
  older.AddIndex(kPromotionsBySite, [](const meta::Object&) { return std::vector<std::string>(); });
  base::metrics::Registry registry;
  PromotionReconciler next_life(Stores{sites_, classes_, plans_, older, objectives_}, api_,
                                secrets_, audit_, events_, registry, clock_);
  run(next_life);
  EXPECT_EQ(creations, 2) << "a new life learns it from the first refusal";
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
}

TEST_F(PromotionReconcilerTest, AStageIsNotSetWhenTheSiteChangedMeanwhile) {
  clock_.Advance(seconds(1));
  for (int i = 0; i < 3; ++i) Once();
  // The spec changes between the judgement and the write.
  bool changed = false;
  api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (!changed && call.verb == "apply-status" && call.resource == "sites.sluice.dev") {
      changed = true;
      return base::Aborted("changed").WithReason("Conflict");
    }
    return std::nullopt;
  });
  Settle();
  EXPECT_TRUE(changed);
  EXPECT_EQ(Stage(), "Crawl") << "it was judged again";
}

TEST_F(PromotionReconcilerTest, SaysWhatIsMissing) {
  api_.Put(common::kSiteClasses,
           {{"metadata", {{"name", "class"}}}, {"spec", {{"stagePlanRef", {{"name", "none"}}}}}});
  Settle();
  EXPECT_EQ(Site()["status"]["blockedBy"][0]["gate"], "StageReached");
  EXPECT_THAT(registry_->Expose(),
              ::testing::HasSubstr("sluice_blocked{kind=\"Site\",cause=\"Misconfigured\"} 1"));
  EXPECT_THAT(Site()["status"]["blockedBy"][0]["message"].get<std::string>(),
              ::testing::HasSubstr("StagePlan none"));
}

TEST_F(PromotionReconcilerTest, WhatIsDoneWasRecordedBefore) {
  api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.IsWrite()) audit_.timeline.push_back(call.verb + " " + call.resource);
    return std::nullopt;
  });
  Settle();
  clock_.Advance(seconds(31));
  Settle();
  ASSERT_EQ(Stage(), "Walk");
  // Each of these writes comes after as many entries as there were such writes.
  const auto check = [&](const std::string& write, const std::string& entry) {
    int recorded = 0, done = 0;
    for (const std::string& each : audit_.timeline) {
      recorded += each == entry;
      done += each == write;
      EXPECT_LE(done, recorded) << write;
    }
    EXPECT_GT(done, 0) << write;
  };
  check("create promotions.sluice.dev", "audit PromotionStarted");
  EXPECT_EQ(std::count(audit_.timeline.begin(), audit_.timeline.end(), "audit StageMoved"), 2);
  EXPECT_EQ(std::count(audit_.timeline.begin(), audit_.timeline.end(), "audit PromotionEnded"), 2);
  EXPECT_EQ(Promotion("phoenix-1-walk")["status"]["auditHead"], audit_.HeadHash());
  // nodes passes; soak holds and nodes passes; soak passes.
  EXPECT_EQ(audit_.ReplayedVerdicts(), 4U);
  EXPECT_THAT(audit_.text, ::testing::HasSubstr(R"("type":"StageMoved","subject":"Site/phoenix",)"
                                                R"("actor":"ana@example.com")"));
}

TEST_F(PromotionReconcilerTest, WithoutAnAuditLogNothingStartsMovesOrEnds) {
  audit_.down = true;
  Settle();
  EXPECT_TRUE(api_.LookAll(common::kPromotions).empty());
  EXPECT_EQ(Site()["status"]["blockedBy"][0]["cause"], "AuditUnavailable");
  EXPECT_THAT(registry_->Expose(),
              ::testing::HasSubstr("sluice_blocked{kind=\"Site\",cause=\"AuditUnavailable\"} 1"));
  audit_.down = false;
  Settle();
  EXPECT_EQ(Stage(), "Crawl");
  // Away while a gate is about to pass: seen by Ready, then only by the write itself.
  for (const bool surprise : {false, true}) {
    audit_.down = true;
    audit_.surprise = surprise;
    clock_.Advance(seconds(31));
    Settle();
    EXPECT_EQ(Stage(), "Crawl");
    EXPECT_EQ(Site()["status"]["blockedBy"][0]["cause"], "AuditUnavailable");
    EXPECT_EQ(Promotion("phoenix-1-walk")["status"]["blockedBy"][0]["gate"], "audit");
  }
  PutSite("Crawl");  // superseding is held too
  Settle();
  EXPECT_EQ(Outcome("phoenix-1-walk"), "");
  PutSite("Walk");
  audit_.down = false;
  clock_.Advance(seconds(31));
  Settle();
  EXPECT_EQ(Stage(), "Walk");
  EXPECT_GT(audit_.ReplayedVerdicts(), 4U);
}

TEST_F(PromotionReconcilerTest, ADeathBetweenAnEntryAndItsActionIsMadeGoodByTheNextLife) {
  for (int k = 1; k <= 7; ++k) {
    for (const json& p : api_.LookAll(common::kPromotions)) {
      ASSERT_TRUE(api_.Delete(common::kPromotions, {"", p["metadata"]["name"]}, {}).ok());
    }
    ASSERT_TRUE(api_.Delete(common::kSites, {"", "phoenix"}, {}).ok());
    PutSite("Walk");
    Restart();
    int appends = 0;
    bool dead = false;
    audit_.appended = [&] { dead = dead || ++appends == k; };
    api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
      if (dead && call.IsWrite()) return base::Cancelled("the process has died");
      return std::nullopt;
    });
    Settle();
    clock_.Advance(seconds(31));
    Settle();
    EXPECT_TRUE(dead) << k;
    api_.FailBefore({});
    audit_.appended = {};
    Restart();
    Settle();
    clock_.Advance(seconds(31));
    Settle();
    EXPECT_EQ(Stage(), "Walk") << k;
    EXPECT_GT(audit_.ReplayedVerdicts(), 0U) << k;
  }
}

}  // namespace
}  // namespace sluice::promotion
