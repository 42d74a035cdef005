#include "api/types/conditions.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "api/markers/markers.pb.h"
#include "api/types/kinds.h"
#include "api/types/limits.h"
#include "api/v1alpha1/approval.pb.h"
#include "api/v1alpha1/decision.pb.h"
#include "api/v1alpha1/exemption.pb.h"
#include "api/v1alpha1/freeze_window.pb.h"
#include "api/v1alpha1/incident.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/readiness_review.pb.h"
#include "api/v1alpha1/release.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "api/v1alpha1/tenant.pb.h"

namespace sluice::types {
namespace {

constexpr base::WallTime kNow{std::chrono::seconds(1'700'000'000)};
constexpr base::WallTime kLater = kNow + std::chrono::minutes(5);

TEST(Conditions, MoveTheirTimeOnlyWithTheStatus) {
  v1alpha1::SiteStatus status;
  auto* list = status.mutable_conditions();
  EXPECT_TRUE(SetCondition(list, {kReady, kFalse, "AgentsMissing", "1 of 2", 1}, kNow));
  EXPECT_EQ(list->Get(0).last_transition_time(), "2023-11-14T22:13:20Z");

  EXPECT_TRUE(SetCondition(list, {kReady, kFalse, "AgentsMissing", "0 of 2", 2}, kLater));
  EXPECT_EQ(list->Get(0).last_transition_time(), "2023-11-14T22:13:20Z");
  EXPECT_EQ(list->Get(0).message(), "0 of 2");
  EXPECT_EQ(list->Get(0).observed_generation(), 2);

  EXPECT_TRUE(SetCondition(list, {kReady, kTrue, "AllReady", "", 2}, kLater));
  EXPECT_EQ(list->Get(0).last_transition_time(), "2023-11-14T22:18:20Z");
  EXPECT_EQ(list->size(), 1);
}

TEST(Conditions, SayWhenNothingChanged) {
  v1alpha1::SiteStatus status;
  auto* list = status.mutable_conditions();
  EXPECT_TRUE(SetCondition(list, {kReady, kTrue, "AllReady", "2 of 2", 1}, kNow));
  const std::string before = status.SerializeAsString();
  EXPECT_FALSE(SetCondition(list, {kReady, kTrue, "AllReady", "2 of 2", 1}, kLater));
  EXPECT_EQ(status.SerializeAsString(), before);
}

TEST(Conditions, AreFoundAndRemovedByType) {
  v1alpha1::SiteStatus status;
  auto* list = status.mutable_conditions();
  SetCondition(list, {kReady, kTrue, "AllReady", "", 1}, kNow);
  SetCondition(list, {"Configured", kUnknown, "Waiting", "", 1}, kNow);
  EXPECT_TRUE(IsConditionTrue(*list, kReady));
  EXPECT_FALSE(IsConditionTrue(*list, "Configured"));
  EXPECT_FALSE(IsConditionTrue(*list, "Absent"));
  EXPECT_EQ(FindCondition(*list, "Absent"), nullptr);
  EXPECT_TRUE(RemoveCondition(list, kReady));
  EXPECT_FALSE(RemoveCondition(list, kReady));
  EXPECT_EQ(list->size(), 1);
}

TEST(Conditions, CutALongMessageAtTheEdgeOfACharacter) {
  v1alpha1::SiteStatus status;
  const std::string message = std::string(kMaxConditionMessageBytes - 1, 'x') + "\u00e9";
  SetCondition(status.mutable_conditions(), {kReady, kFalse, "Long", message, 1}, kNow);
  EXPECT_EQ(status.conditions(0).message(), std::string(kMaxConditionMessageBytes - 1, 'x'));
  const auto* field = v1alpha1::Condition::descriptor()->FindFieldByName("message");
  EXPECT_EQ(field->options().GetExtension(markers::field).max_length(),
            static_cast<std::int64_t>(kMaxConditionMessageBytes));
}

TEST(Kinds, AreNamedAsTheMarkersSay) {
  const google::protobuf::Descriptor* descriptors[] = {
      v1alpha1::SiteClass::descriptor(),       v1alpha1::Site::descriptor(),
      v1alpha1::Tenant::descriptor(),          v1alpha1::ServiceLevelObjective::descriptor(),
      v1alpha1::StagePlan::descriptor(),       v1alpha1::Promotion::descriptor(),
      v1alpha1::ReadinessReview::descriptor(), v1alpha1::Decision::descriptor(),
      v1alpha1::Approval::descriptor(),        v1alpha1::Exemption::descriptor(),
      v1alpha1::FreezeWindow::descriptor(),    v1alpha1::Incident::descriptor(),
      v1alpha1::Release::descriptor(),         v1alpha1::Rollout::descriptor()};
  ASSERT_EQ(kKinds.size(), std::size(descriptors));
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    const markers::Kind& marker = descriptors[i]->options().GetExtension(markers::kind);
    EXPECT_EQ(kKinds[i].kind, descriptors[i]->name());
    EXPECT_EQ(kKinds[i].plural, marker.plural());
    EXPECT_EQ(kKinds[i].singular, marker.singular());
    EXPECT_EQ(kKinds[i].scope == Scope::kNamespaced, marker.scope() == markers::NAMESPACED);
    EXPECT_TRUE(std::filesystem::exists("deploy/crds/sluice.dev_" + marker.plural() + ".yaml"));
  }
  const std::filesystem::directory_iterator crds("deploy/crds");
  EXPECT_EQ(std::distance(begin(crds), end(crds)), static_cast<std::ptrdiff_t>(kKinds.size()));
}

}  // namespace
}  // namespace sluice::types
