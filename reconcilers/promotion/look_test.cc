// One look at a Promotion, as the status it writes. Golden files in testdata;
// SLUICE_UPDATE_GOLDEN=1 rewrites them.
#include "reconcilers/promotion/look.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/file.h"
#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/promotion/site_status.h"

namespace sluice::promotion {
namespace {

using namespace gates::cases;  // NOLINT: the builders are this file's vocabulary
using gates::Cause;
using gates::Evidence;

constexpr char kPromotion[] = R"json({"spec": {
  "siteRef": {"name": "phoenix", "uid": "u1"}, "generation": 7, "from": "Crawl", "to": "Walk",
  "requestedBy": "ana@example.com",
  "plan": {"name": "crawl-walk-run", "hash": "9f2c0011", "stages": [
    {"name": "Walk", "tenancy": "CustomerTenant", "maxTenants": 20, "entryGates": [
      {"name": "soak", "soak": {"seconds": 1209600}, "validForSeconds": 300},
      {"name": "availability", "validForSeconds": 300,
       "slo": {"template": "read-availability", "minBudgetRemaining": "0.5"}},
      {"name": "burn", "validForSeconds": 300,
       "burnRate": {"template": "read-availability", "below": "1"}}]}]}}})json";

v1alpha1::Promotion Promotion() {
  v1alpha1::Promotion out;
  EXPECT_TRUE(types::FromJson(nlohmann::json::parse(kPromotion), &out).ok());
  return out;
}

std::vector<Evidence> Good(base::Duration soaked) {
  return {Soaked(soaked), Fresh(SloGate(), {"0.00018"}), Fresh(BurnGate(), {"0.0003", "0.0002"})};
}

Look At(const v1alpha1::Promotion& promotion, const std::vector<Evidence>& evidence,
        base::WallTime now = kNow, const std::vector<gates::GateResult>& inherited = {}) {
  return LookAt(promotion, 1, GatesOf(promotion, now), evidence, inherited, {}, seconds(30), now);
}

void ExpectGolden(const std::string& name, const nlohmann::json& json) {
  const std::string path = "reconcilers/promotion/testdata/" + name + ".json";
  const std::string text = json.dump(1) + "\n";
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(base::WriteFileAtomic(path, text).ok());
  }
  const auto golden = base::ReadFile(path);
  ASSERT_TRUE(golden.ok()) << path;
  EXPECT_EQ(text, *golden);
}

TEST(LookAt, WritesEachGateWithItsEvidenceAndWhatBlocks) {
  const Look look = At(Promotion(), Good(std::chrono::hours(99)));
  EXPECT_FALSE(look.result.passed);
  EXPECT_TRUE(look.write);
  ExpectGolden("soaking", types::ToJson(*look.status));
}

TEST(LookAt, WritesAFailureWithItsNumbers) {
  auto evidence = Good(std::chrono::hours(99));
  evidence[1] = Fresh(SloGate(), {"0.0021"});
  evidence[2] = Fresh(BurnGate(), {"0.02", "0.03"});
  ExpectGolden("budget-exhausted", types::ToJson(*At(Promotion(), evidence).status));
}

TEST(LookAt, PassesWhenEveryGatePasses) {
  const Look look = At(Promotion(), Good(std::chrono::hours(24 * 14)));
  EXPECT_TRUE(look.result.passed);
  EXPECT_TRUE(look.write) << "the evidence is recorded before the stage moves";
  EXPECT_EQ(look.status->conditions(0).reason(), "Promoting");
  ExpectGolden("promoted",
               types::ToJson(*Ended(*look.status, 1, "Promoted", "reached Walk", kNow)));
}

TEST(LookAt, WritesNothingWhileOnlyNumbersMove) {
  auto promotion = Promotion();
  *promotion.mutable_status() = *At(promotion, Good(std::chrono::hours(99))).status;
  auto evidence = Good(std::chrono::hours(100));
  evidence[1] = Fresh(SloGate(), {"0.0002"});
  for (Evidence& e : evidence) e = Later(e, seconds(60));
  EXPECT_FALSE(At(promotion, evidence, kNow + seconds(60)).write);
  // At half of a Pass's validity it is earned again.
  for (Evidence& e : evidence) e = Later(e, seconds(90));
  EXPECT_TRUE(At(promotion, evidence, kNow + seconds(150)).write);
  // A changed answer is written at once.
  evidence[1] = Later(Fresh(SloGate(), {"0.0021"}), seconds(60));
  EXPECT_TRUE(At(promotion, evidence, kNow + seconds(60)).write);
}

TEST(LookAt, LatchesAcrossARestartFromWhatTheStatusSays) {
  auto promotion = Promotion();
  auto evidence = Good(std::chrono::hours(24 * 14));
  evidence[2] = Fresh(BurnGate(), {"0.02", "0.03"});
  *promotion.mutable_status() = *At(promotion, evidence).status;
  // The same samples, and blindness, change nothing.
  EXPECT_FALSE(At(promotion, Good(std::chrono::hours(24 * 14))).result.passed);
  auto blind = Good(std::chrono::hours(24 * 14));
  for (auto& w : blind[2].windows) w.value = Broken("connection refused");
  const Look still = At(promotion, blind);
  EXPECT_EQ(still.result.gates[2].verdict, gates::Verdict::kFail);
  // Newer samples do.
  auto newer = Good(std::chrono::hours(24 * 14));
  newer[2] = Later(newer[2], seconds(30));
  EXPECT_TRUE(At(promotion, newer, kNow + seconds(30)).result.passed);
}

TEST(LookAt, AnAttemptInheritsWhatHeldTheOneBefore) {
  auto evidence = Good(std::chrono::hours(24 * 14));
  evidence[2] = Fresh(BurnGate(), {"0.02", "0.03"});
  const Look before = At(Promotion(), evidence);
  const auto inherited = ResultsOf(*before.status);
  EXPECT_FALSE(At(Promotion(), Good(std::chrono::hours(24 * 14)), kNow, inherited).result.passed);
}

TEST(LookAt, AStageWithoutGatesAndAGateThatCannotBeReadHold) {
  auto promotion = Promotion();
  promotion.mutable_spec()->mutable_plan()->mutable_stages(0)->clear_entry_gates();
  Look look = At(promotion, {});
  EXPECT_FALSE(look.result.passed);
  EXPECT_EQ(look.result.gates.at(0).cause(), Cause::kMisconfigured);
  promotion = Promotion();
  promotion.mutable_spec()
      ->mutable_plan()
      ->mutable_stages(0)
      ->mutable_entry_gates(2)
      ->mutable_burn_rate()
      ->set_below("one");
  look = At(promotion, Good(std::chrono::hours(24 * 14)));
  EXPECT_EQ(look.result.gates.at(2).cause(), Cause::kMisconfigured);
  EXPECT_THAT(look.result.gates.at(2).message(), ::testing::HasSubstr("burnRate.below"));
}

TEST(LookAt, LooksAgainWhenItMayHaveChanged) {
  // Only time holds it: no sooner than half the validity of the passes.
  EXPECT_EQ(At(Promotion(), Good(std::chrono::hours(99))).again, seconds(150));
  // The end of the soak is met.
  EXPECT_EQ(At(Promotion(), Good(std::chrono::hours(24 * 14) - seconds(40))).again, seconds(40));
  auto evidence = Good(std::chrono::hours(99));
  evidence[1] = Fresh(SloGate(), {"0.0021"});
  EXPECT_EQ(At(Promotion(), evidence).again, seconds(15));
  // A provider that fails is asked after doubling waits.
  for (auto& w : evidence[1].windows) w.value = Broken("connection refused");
  auto promotion = Promotion();
  Look look = At(promotion, evidence);
  EXPECT_EQ(look.again, seconds(1));
  *promotion.mutable_status() = *look.status;
  for (Evidence& e : evidence) e = Later(e, seconds(8));
  EXPECT_EQ(At(promotion, evidence, kNow + seconds(8)).again, seconds(8));
}

TEST(SitePart, TellsTheStageThePromotionAndWhatBlocks) {
  const SiteView site{.name = "phoenix",
                      .uid = "u1",
                      .generation = 7,
                      .wanted = "Run",
                      .reached = "Crawl",
                      .reached_at = kNow - std::chrono::hours(99),
                      .requested_by = "ana@example.com"};
  Step step;
  step.kind = StepKind::kEvaluate;
  step.promotion = "phoenix-7-walk";
  step.to = "Walk";
  const Look look = At(Promotion(), Good(std::chrono::hours(99)));
  ExpectGolden("site-soaking", SitePart(site, step, {}, look.status.get(), kNow));
  ExpectGolden("site-promoted",
               SitePartAt(site, "Walk", "Promoted", "reached Walk by phoenix-7-walk", {}, kNow));
  step = {};
  step.kind = StepKind::kStuck;
  step.reason = "StageUnknown";
  step.message = "spec.stage: plan x has no stage Fly";
  ExpectGolden("site-stuck", SitePart(site, step, {}, nullptr, kNow));
}

}  // namespace
}  // namespace sluice::promotion
