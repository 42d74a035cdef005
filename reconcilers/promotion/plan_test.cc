#include "reconcilers/promotion/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/promotion/limits.h"

namespace sluice::promotion {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const PlanView kPlan{"crawl-walk-run", "hash-1", {"Crawl", "Walk", "Run"}};

SiteView Site(std::string reached, std::string wanted, std::int64_t generation = 7) {
  return {.name = "phoenix",
          .uid = "u1",
          .generation = generation,
          .wanted = std::move(wanted),
          .reached = std::move(reached),
          .reached_at = std::nullopt,
          .requested_by = "ana@example.com"};
}

PromotionView Attempt(std::string name, std::string from, std::string to, std::string outcome = "",
                      std::int64_t generation = 7) {
  return {.name = std::move(name),
          .site_uid = "u1",
          .generation = generation,
          .from = std::move(from),
          .to = std::move(to),
          .plan_hash = "hash-1",
          .outcome = std::move(outcome),
          .created = "2026-11-22T00:00:00Z"};
}

TEST(PlanStep, EnteringTheFirstStageIsAPromotion) {
  const Step step = PlanStep(Site("", "Crawl", 1), kPlan, {});
  EXPECT_EQ(step.kind, StepKind::kCreate);
  EXPECT_EQ(step.promotion, "phoenix-1-crawl");
  EXPECT_EQ(step.to, "Crawl");
}

TEST(PlanStep, ClimbsOneStageAtATime) {
  EXPECT_EQ(PlanStep(Site("", "Run"), kPlan, {}).to, "Crawl");
  EXPECT_EQ(PlanStep(Site("Crawl", "Run"), kPlan, {}).to, "Walk");
  EXPECT_EQ(PlanStep(Site("Walk", "Run"), kPlan, {}).promotion, "phoenix-7-run");
  EXPECT_EQ(PlanStep(Site("Run", "Run"), kPlan, {}).kind, StepKind::kNothing);
}

TEST(PlanStep, LooksAtTheOpenPromotionInsteadOfMakingAnother) {
  const Step step =
      PlanStep(Site("Crawl", "Run"), kPlan, {Attempt("phoenix-7-walk", "Crawl", "Walk")});
  EXPECT_EQ(step.kind, StepKind::kEvaluate);
  EXPECT_EQ(step.promotion, "phoenix-7-walk");
  EXPECT_THAT(step.supersede, IsEmpty());
}

TEST(PlanStep, SupersedesWhenTheSpecOrThePlanChanges) {
  const auto open = Attempt("phoenix-7-walk", "Crawl", "Walk");
  Step step = PlanStep(Site("Crawl", "Run", 8), kPlan, {open});
  EXPECT_EQ(step.kind, StepKind::kCreate);
  EXPECT_EQ(step.promotion, "phoenix-8-walk");
  EXPECT_THAT(step.supersede, ElementsAre("phoenix-7-walk"));
  PlanView changed = kPlan;
  changed.hash = "hash-2";
  step = PlanStep(Site("Crawl", "Run"), changed, {open});
  EXPECT_EQ(step.promotion, "phoenix-7-walk-2") << "the first name is taken by the record";
  EXPECT_THAT(step.supersede, ElementsAre("phoenix-7-walk"));
  // The stage is no longer wanted.
  step = PlanStep(Site("Crawl", "Crawl", 8), kPlan, {open});
  EXPECT_EQ(step.kind, StepKind::kNothing);
  EXPECT_THAT(step.supersede, ElementsAre("phoenix-7-walk"));
}

TEST(PlanStep, ACrashAfterTheCreationMakesNoSecondOne) {
  // The same inputs give the same name; the API server refuses the second creation.
  EXPECT_EQ(PlanStep(Site("Crawl", "Run"), kPlan, {}).promotion,
            PlanStep(Site("Crawl", "Run"), kPlan, {}).promotion);
}

TEST(PlanStep, RecordsTheOutcomeWhenTheStageWasSetBeforeACrash) {
  const auto open = Attempt("phoenix-7-walk", "Crawl", "Walk");
  Step step = PlanStep(Site("Walk", "Run"), kPlan, {open});
  EXPECT_EQ(step.kind, StepKind::kFinish);
  EXPECT_EQ(step.promotion, "phoenix-7-walk");
  // Also when the spec has changed since, or the plan is gone.
  EXPECT_EQ(PlanStep(Site("Walk", "Walk", 9), kPlan, {open}).kind, StepKind::kFinish);
  EXPECT_EQ(PlanStep(Site("Walk", "Walk"), base::NotFound("gone"), {open}).kind, StepKind::kFinish);
}

TEST(PlanStep, AnAbortedAttemptWaitsForAChange) {
  const auto aborted = Attempt("phoenix-7-walk", "Crawl", "Walk", "Aborted");
  EXPECT_EQ(PlanStep(Site("Crawl", "Run"), kPlan, {aborted}).reason, "Aborted");
  EXPECT_EQ(PlanStep(Site("Crawl", "Run", 8), kPlan, {aborted}).promotion, "phoenix-8-walk");
  PlanView changed = kPlan;
  changed.hash = "hash-2";
  EXPECT_EQ(PlanStep(Site("Crawl", "Run"), changed, {aborted}).promotion, "phoenix-7-walk-2");
}

TEST(PlanStep, StepsDownStraightToTheWantedStage) {
  const Step step = PlanStep(Site("Run", "Crawl", 9), kPlan,
                             {Attempt("phoenix-8-run", "Walk", "Run", "Promoted")});
  EXPECT_EQ(step.kind, StepKind::kStepDown);
  EXPECT_EQ(step.to, "Crawl");
}

TEST(PlanStep, ClimbsAgainAfterAStepDownUnderTheNewGeneration) {
  const Step step = PlanStep(Site("Crawl", "Walk", 10), kPlan,
                             {Attempt("phoenix-7-walk", "Crawl", "Walk", "Promoted")});
  EXPECT_EQ(step.promotion, "phoenix-10-walk");
}

TEST(PlanStep, SaysWhyNothingCanBeDone) {
  Step step = PlanStep(Site("Crawl", "Fly"), kPlan, {});
  EXPECT_EQ(step.reason, "StageUnknown");
  EXPECT_THAT(step.message, HasSubstr("Fly"));
  step = PlanStep(Site("Float", "Run"), kPlan, {});
  EXPECT_EQ(step.reason, "StageGone");
  step = PlanStep(Site("", "Crawl"), base::NotFound("no class"), {});
  EXPECT_EQ(step.reason, "PlanMissing");
}

TEST(PlanStep, APlanThatIsMissingDoesNotEndWhatIsOpen) {
  const Step step = PlanStep(Site("Crawl", "Run"), base::NotFound("no class"),
                             {Attempt("phoenix-7-walk", "Crawl", "Walk")});
  EXPECT_THAT(step.supersede, IsEmpty());
}

TEST(PlanStep, PromotionsOfAnEarlierSiteOfThatNameDoNotCount) {
  auto old = Attempt("phoenix-7-walk", "Crawl", "Walk");
  old.site_uid = "u0";
  const Step step = PlanStep(Site("Crawl", "Run"), kPlan, {old});
  EXPECT_EQ(step.promotion, "phoenix-7-walk");
  EXPECT_THAT(step.supersede, IsEmpty());
}

TEST(PlanStep, ASiteThatIsBeingDeletedDoesNotClimb) {
  SiteView site = Site("Crawl", "Run");
  site.deleting = true;
  EXPECT_EQ(PlanStep(site, kPlan, {}).kind, StepKind::kNothing);
}

TEST(PlanStep, KeepsABoundedHistory) {
  std::vector<PromotionView> history;
  for (int i = 0; i < static_cast<int>(kMaxFinishedPerSite) + 3; ++i) {
    auto p = Attempt("p" + std::to_string(i), "Crawl", "Walk", "Superseded", i);
    p.created =
        "2026-11-22T00:" + std::to_string(10 + i % 50) + ":0" + std::to_string(i / 50) + "Z";
    history.push_back(p);
  }
  EXPECT_THAT(PlanStep(Site("Walk", "Walk"), kPlan, history).forget, SizeIs(3));
}

TEST(PlanStep, NeverHasTwoOpenOfTheSameStep) {
  const Step step = PlanStep(
      Site("Crawl", "Run"), kPlan,
      {Attempt("phoenix-7-walk", "Crawl", "Walk"), Attempt("phoenix-7-walk-2", "Crawl", "Walk")});
  EXPECT_EQ(step.promotion, "phoenix-7-walk");
  EXPECT_THAT(step.supersede, ElementsAre("phoenix-7-walk-2"));
}

}  // namespace
}  // namespace sluice::promotion
