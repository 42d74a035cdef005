// Internal to this folder: what every status of it is put together with. Include only from .cc
// files.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/governance/status.h"

namespace sluice::governance {

using base::WallTime;

template <typename Status>
Answer Finish(const Status& status, std::optional<WallTime> changes_at, bool counts,
              std::size_t listed) {
  return {std::make_shared<nlohmann::json>(types::ToJson(status)), changes_at, counts, listed};
}

template <typename Status>
void Condition(Status& status, std::string_view type, std::string_view value,
               std::string_view reason, const std::string& message, std::int64_t generation,
               WallTime now) {
  types::SetCondition(status.mutable_conditions(), {type, value, reason, message, generation}, now);
}

inline std::string_view Truth(bool value) { return value ? types::kTrue : types::kFalse; }

inline std::optional<WallTime> Earlier(std::optional<WallTime> a, std::optional<WallTime> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

inline std::optional<WallTime> Parsed(const std::string& text) {
  const auto time = base::ParseRfc3339(text);
  return time.ok() ? std::optional(*time) : std::nullopt;
}

}  // namespace sluice::governance
