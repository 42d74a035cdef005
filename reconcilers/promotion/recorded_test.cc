// What the reconciler does stands in the audit log before; what cannot be recorded is not done.
#include "reconcilers/promotion/climb_for_test.h"

namespace sluice::promotion {
namespace {

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
