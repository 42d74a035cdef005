// Internal to this folder: how long to wait before the next try. "Full jitter": uniform from zero
// to a bound that doubles, so that a fleet that lost its controller at one instant does not come
// back at one. Source: M. Brooker, "Exponential Backoff and Jitter", 2015. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace sluice::control {

class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds most, std::uint64_t seed)
      : first_(first), most_(most), bound_(first), random_(seed) {}

  std::chrono::milliseconds Next() {
    std::uniform_int_distribution<std::int64_t> wait(0, bound_.count());
    bound_ = std::min(most_, bound_ * 2);
    return std::chrono::milliseconds(wait(random_));
  }
  void Reset() { bound_ = first_; }

 private:
  const std::chrono::milliseconds first_;
  const std::chrono::milliseconds most_;
  std::chrono::milliseconds bound_;
  std::mt19937_64 random_;
};

}  // namespace sluice::control
