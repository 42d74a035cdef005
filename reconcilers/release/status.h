// What a Release's status says, and when time alone changes it. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"

namespace sluice::v1alpha1 {
class Release;
class ReleaseStatus;
class Rollout;
}  // namespace sluice::v1alpha1

namespace sluice::release {

// The most sites named in status.verifiedIn.
inline constexpr int kMaxVerified = 64;

struct NamedRollout {
  std::string name;
  std::shared_ptr<const v1alpha1::Rollout> message;
};

struct Answer {
  std::shared_ptr<v1alpha1::ReleaseStatus> status;
  std::optional<base::WallTime> changes_at;
  bool past_end_of_life = false;
  std::optional<base::WallTime> end_of_life;
};

// `rollouts`: all there are, in any order. What was verified stays when its Rollout goes. A time at
// a boundary is past it.
Answer BuildStatus(const std::string& name, const v1alpha1::Release& release,
                   std::int64_t generation, const std::vector<NamedRollout>& rollouts,
                   base::WallTime now);

}  // namespace sluice::release
