// The bounds of this folder.
#pragma once

#include <cstddef>

namespace sluice::types {

// As Condition.message in api/v1alpha1/common.proto; bytes here, characters there.
inline constexpr std::size_t kMaxConditionMessageBytes = 2048;

}  // namespace sluice::types
