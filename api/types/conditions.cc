#include "api/types/conditions.h"

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "api/types/kinds.h"
#include "api/types/limits.h"
#include "api/types/text.h"
#include "api/v1alpha1/common.pb.h"
#include "controller/base/check.h"
#include "controller/base/time_format.h"

namespace sluice::types {
bool SetCondition(ConditionList* conditions, const ConditionValue& value, base::WallTime now) {
  SLUICE_CHECK(!value.type.empty() && !value.reason.empty());
  SLUICE_CHECK(value.status == kTrue || value.status == kFalse || value.status == kUnknown);
  const std::string_view message = Cut(value.message, kMaxConditionMessageBytes);
  v1alpha1::Condition* condition = nullptr;
  for (v1alpha1::Condition& each : *conditions) {
    if (each.type() == value.type) condition = &each;
  }
  if (condition == nullptr) {
    condition = conditions->Add();
    condition->set_type(std::string(value.type));
  }
  const bool moved = condition->status() != value.status;
  const bool same = !moved && condition->reason() == value.reason &&
                    condition->message() == message &&
                    condition->observed_generation() == value.observed_generation;
  if (same) return false;
  if (moved) condition->set_last_transition_time(base::FormatRfc3339(now));
  condition->set_status(std::string(value.status));
  condition->set_reason(std::string(value.reason));
  condition->set_message(std::string(message));
  condition->set_observed_generation(value.observed_generation);
  return true;
}

const v1alpha1::Condition* FindCondition(const ConditionList& conditions, std::string_view type) {
  for (const v1alpha1::Condition& each : conditions) {
    if (each.type() == type) return &each;
  }
  return nullptr;
}

bool IsConditionTrue(const ConditionList& conditions, std::string_view type) {
  const v1alpha1::Condition* condition = FindCondition(conditions, type);
  return condition != nullptr && condition->status() == kTrue;
}

bool RemoveCondition(ConditionList* conditions, std::string_view type) {
  for (int i = 0; i < conditions->size(); ++i) {
    if (conditions->Get(i).type() != type) continue;
    conditions->DeleteSubrange(i, 1);
    return true;
  }
  return false;
}

}  // namespace sluice::types
