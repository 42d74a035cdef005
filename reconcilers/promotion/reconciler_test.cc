// The climb, what a crash at any write leaves, and that nothing is written at rest.
#include "reconcilers/promotion/reconciler.h"

#include "reconcilers/promotion/climb_for_test.h"

namespace sluice::promotion {
namespace {

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

}  // namespace
}  // namespace sluice::promotion
