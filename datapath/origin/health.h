// When to try an origin, and when again: circuit breaker, retry budget, backoff. Pure logic; the
// time and the random numbers are arguments.
#pragma once

#include <cstdint>
#include <mutex>

#include "controller/base/clock.h"
#include "datapath/origin/limits.h"

namespace sluice::origin {

// A dead origin costs a bounded time, once: after kCircuitFailures transport failures in a row the
// circuit opens, and requests fail at once. When its time has passed, one request may try (half
// open); its success closes the circuit, its failure opens it for twice as long.
//
// Invariants: 1. In half-open at most one probe is out. 2. A failure reported by a request that
// began before the circuit opened does not prolong it. Thread rule: any thread; one is shared by
// the clients of all loops.
class Circuit {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };
  struct Pass {
    bool allowed = false;
    std::uint64_t epoch = 0;        // give it back with the outcome
    base::Duration retry_after{0};  // when refused
  };
  Pass Ask(base::MonoTime now);
  void Succeeded(std::uint64_t epoch);
  void Failed(std::uint64_t epoch, base::MonoTime now);
  // The request ended without telling anything (it was cancelled).
  void Unknown(std::uint64_t epoch);
  State state() const;

 private:
  mutable std::mutex mutex_;
  State state_ = State::kClosed;
  bool probing_ = false;
  int failures_ = 0;
  std::uint64_t epoch_ = 0;  // raised on every change of state
  base::Duration open_for_ = kCircuitOpenMin;
  base::MonoTime open_until_{};
};

// Retries are paid from what requests earn, so that an outage is not multiplied by them.
// Thread rule: one loop.
class RetryBudget {
 public:
  void Earn();
  bool Spend();
  double tokens() const { return tokens_; }

 private:
  double tokens_ = kRetryBudgetMax;
};

// Full jitter: uniformly in [0, base * 2^attempt], bounded; at least what the server asked for.
base::Duration BackoffFor(int attempt, std::uint64_t random, base::Duration server_asked);

}  // namespace sluice::origin
