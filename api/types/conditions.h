// Conditions as the Kubernetes API conventions want them: a list with one entry per type, whose
// lastTransitionTime moves only when the status does. Pure; the caller gives the time.
#pragma once

#include <cstdint>
#include <string_view>

#include "controller/base/clock.h"

namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}  // namespace google::protobuf

namespace sluice::v1alpha1 {
class Condition;
}  // namespace sluice::v1alpha1

namespace sluice::types {

using ConditionList = google::protobuf::RepeatedPtrField<v1alpha1::Condition>;

struct ConditionValue {
  std::string_view type;
  std::string_view status;  // kTrue, kFalse or kUnknown (kinds.h)
  std::string_view reason;  // one CamelCase word, not empty
  std::string_view message;
  std::int64_t observed_generation = 0;
};

// Sets or adds the condition of that type. Returns true when anything changed, so that a caller can
// spare the write. A message longer than the schema allows is cut at a character's edge.
bool SetCondition(ConditionList* conditions, const ConditionValue& value, base::WallTime now);

// The condition of that type, or null.
const v1alpha1::Condition* FindCondition(const ConditionList& conditions, std::string_view type);

// True when the condition is there and its status is True.
bool IsConditionTrue(const ConditionList& conditions, std::string_view type);

// Removes the condition of that type. Returns true when there was one.
bool RemoveCondition(ConditionList* conditions, std::string_view type);

}  // namespace sluice::types
