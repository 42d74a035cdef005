#include "datapath/origin/health.h"

#include <algorithm>

namespace sluice::origin {

Circuit::Pass Circuit::Ask(base::MonoTime now) {
  std::lock_guard lock(mutex_);
  switch (state_) {
    case State::kClosed:
      return {true, epoch_, {}};
    case State::kOpen:
      if (now < open_until_) return {false, epoch_, open_until_ - now};
      state_ = State::kHalfOpen;
      ++epoch_;
      probing_ = true;
      return {true, epoch_, {}};
    case State::kHalfOpen:
      break;
  }
  if (probing_) return {false, epoch_, kCircuitOpenMin};
  probing_ = true;
  return {true, epoch_, {}};
}

void Circuit::Succeeded(std::uint64_t epoch) {
  std::lock_guard lock(mutex_);
  if (epoch != epoch_) return;
  failures_ = 0;
  if (state_ != State::kHalfOpen) return;
  state_ = State::kClosed;
  probing_ = false;
  open_for_ = kCircuitOpenMin;
  ++epoch_;
}

void Circuit::Failed(std::uint64_t epoch, base::MonoTime now) {
  std::lock_guard lock(mutex_);
  if (epoch != epoch_ || state_ == State::kOpen) return;
  if (state_ == State::kHalfOpen) {
    open_for_ = std::min<base::Duration>(open_for_ * 2, kCircuitOpenMax);
  } else if (++failures_ < kCircuitFailures) {
    return;
  }
  state_ = State::kOpen;
  probing_ = false;
  failures_ = 0;
  open_until_ = now + open_for_;
  ++epoch_;
}

void Circuit::Unknown(std::uint64_t epoch) {
  std::lock_guard lock(mutex_);
  if (epoch == epoch_ && state_ == State::kHalfOpen) probing_ = false;
}

Circuit::State Circuit::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

void RetryBudget::Earn() { tokens_ = std::min(kRetryBudgetMax, tokens_ + kRetryBudgetPerRequest); }

bool RetryBudget::Spend() {
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

base::Duration BackoffFor(int attempt, std::uint64_t random, base::Duration server_asked) {
  const base::Duration ceiling =
      std::min<base::Duration>(kBackoffBase * (1 << std::min(attempt, 10)), kBackoffMax);
  const auto jitter = base::Duration(
      static_cast<std::int64_t>(random % static_cast<std::uint64_t>(ceiling.count() + 1)));
  return std::max(jitter, std::min<base::Duration>(server_asked, kRetryAfterMax));
}

}  // namespace sluice::origin
