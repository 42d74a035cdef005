// For tests of this folder and of what it meets: an epoch object in memory and contents to publish.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "reconcilers/agents/epoch.h"

namespace sluice::agents::testing {

class MemoryEpochStore final : public EpochStore {
 public:
  base::StatusOr<std::optional<Versioned>> Read() override {
    const std::lock_guard lock(mutex_);
    if (!fault_.ok()) return fault_;
    return object_;
  }
  base::StatusOr<Versioned> Write(const EpochRecord& record, const std::string& expected) override {
    const std::lock_guard lock(mutex_);
    if (!fault_.ok()) return fault_;
    if (expected != (object_ ? object_->resource_version : "")) {
      return base::Aborted("object changed").WithReason("Conflict");
    }
    object_ = Versioned{record, std::to_string(++writes_)};
    if (std::exchange(lose_answer_, false)) return base::Unavailable("the answer was lost");
    return *object_;
  }
  EpochRecord record() const {
    const std::lock_guard lock(mutex_);
    return object_ ? object_->record : EpochRecord{};
  }
  int writes() const {
    const std::lock_guard lock(mutex_);
    return writes_;
  }
  void Fail(base::Status fault) {
    const std::lock_guard lock(mutex_);
    fault_ = std::move(fault);
  }
  // The next write takes effect, and its writer is told of a failure.
  void LoseNextAnswer() {
    const std::lock_guard lock(mutex_);
    lose_answer_ = true;
  }

  // By hand.
  void Delete() {
    const std::lock_guard lock(mutex_);
    object_.reset();
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Versioned> object_;
  base::Status fault_;
  int writes_ = 0;
  bool lose_answer_ = false;
};

}  // namespace sluice::agents::testing
