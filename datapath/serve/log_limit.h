// Lets one log line in kPeriod through and counts the rest: an outage must not fill a disk with
// lines that say the same. Thread rule: one loop.
#pragma once

#include "controller/base/clock.h"

namespace sluice::serve {

class LogLimit {
 public:
  static constexpr std::chrono::seconds kPeriod{5};
  // True: write it, with suppressed() of before; then that count begins anew.
  bool Allow(base::MonoTime now) {
    if (now < next_) {
      ++suppressed_;
      return false;
    }
    next_ = now + kPeriod;
    told_ = suppressed_;
    suppressed_ = 0;
    return true;
  }
  long suppressed() const { return told_; }

 private:
  base::MonoTime next_ = base::MonoTime::min();
  long suppressed_ = 0;
  long told_ = 0;
};

}  // namespace sluice::serve
