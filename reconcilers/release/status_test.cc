#include "reconcilers/release/status.h"

#include <gtest/gtest.h>

#include "api/types/conditions.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/release.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "controller/base/time_format.h"

namespace sluice::release {
namespace {

const base::WallTime kNow{std::chrono::seconds(1'800'000'000)};

v1alpha1::Release Make(int supported_in_seconds, int ends_in_seconds) {
  v1alpha1::Release out;
  const auto at = [](int seconds) {
    return base::FormatRfc3339(kNow + std::chrono::seconds(seconds));
  };
  out.mutable_spec()->set_version("1.4.0");
  out.mutable_spec()->set_supported_until(at(supported_in_seconds));
  out.mutable_spec()->set_end_of_life(at(ends_in_seconds));
  return out;
}

NamedRollout Moved(const std::string& release, const std::string& site, const std::string& state) {
  auto out = std::make_shared<v1alpha1::Rollout>();
  out->mutable_spec()->mutable_release_ref()->set_name(release);
  v1alpha1::RolloutSite& entry = *out->mutable_status()->add_sites();
  entry.set_name(site);
  entry.set_state(state);
  entry.set_target_nodes(3);
  entry.set_completed_at("2026-11-01T10:00:00Z");
  return {"weekly", out};
}

std::string Status(const Answer& answer, std::string_view type) {
  const auto* condition = types::FindCondition(answer.status->conditions(), type);
  return condition == nullptr ? "" : condition->status() + " " + condition->reason();
}

TEST(ReleaseStatus, ItsLifeGoesFromSupportOverToleratedToItsEnd) {
  const Answer young = BuildStatus("r", Make(10, 20), 1, {}, kNow);
  EXPECT_EQ(Status(young, "Supported"), "True InSupport");
  EXPECT_EQ(Status(young, "EndOfLife"), "False Alive");
  EXPECT_EQ(Status(young, "Ready"), "True Usable");
  EXPECT_EQ(young.changes_at, kNow + std::chrono::seconds(10));

  const Answer tolerated = BuildStatus("r", Make(0, 10), 1, {}, kNow);
  EXPECT_EQ(Status(tolerated, "Supported"), "False SupportEnded") << "the boundary is past";
  EXPECT_EQ(Status(tolerated, "Ready"), "True Usable");
  EXPECT_EQ(tolerated.changes_at, kNow + std::chrono::seconds(10));

  const Answer over = BuildStatus("r", Make(-10, 0), 1, {}, kNow);
  EXPECT_EQ(Status(over, "EndOfLife"), "True Ended");
  EXPECT_EQ(Status(over, "Ready"), "False EndOfLife");
  EXPECT_EQ(over.changes_at, std::nullopt);
}

TEST(ReleaseStatus, ASiteIsVerifiedOnceARolloutOfThisReleaseIsDoneThereAndStaysSo) {
  v1alpha1::Release release = Make(10, 20);
  EXPECT_EQ(BuildStatus("r", release, 1, {Moved("r", "phoenix", "Moving")}, kNow)
                .status->verified_in_size(),
            0);
  EXPECT_EQ(BuildStatus("r", release, 1, {Moved("other", "phoenix", "Done")}, kNow)
                .status->verified_in_size(),
            0);
  const Answer done = BuildStatus("r", release, 1, {Moved("r", "phoenix", "Done")}, kNow);
  ASSERT_EQ(done.status->verified_in_size(), 1);
  EXPECT_EQ(done.status->verified_in(0).site(), "phoenix");
  EXPECT_EQ(done.status->verified_in(0).rollout(), "weekly");
  *release.mutable_status() = *done.status;
  EXPECT_EQ(BuildStatus("r", release, 1, {}, kNow).status->verified_in_size(), 1)
      << "its Rollout is gone";
}

}  // namespace
}  // namespace sluice::release
