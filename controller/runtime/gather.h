// Gathers what many say of one key (the agents of a site, thousands of them): what is said first,
// after quiet, leads to a look at once; what follows within `interval` of a look leads to one more,
// when the interval is over.
//
// Invariants:
//  1. Every word leads to a look that begins after it.
//  2. Of two looks that words led to the later is due no sooner than `interval` after the earlier.
//
// It decides only how long a word waits: whoever asks puts the key into the queue with that wait,
// each time, so that no word depends on another's. What else is asked of the queue (a changed
// object) neither waits nor counts here; a look it leads to covers the words that wait, too
// (workqueue.h, invariant 3).
//
// Thread rule: any thread.
#pragma once

#include <map>
#include <mutex>

#include "controller/base/clock.h"
#include "controller/meta/resource.h"

namespace sluice::runtime {

class Gather {
 public:
  Gather(base::Duration interval, base::Clock& clock) : interval_(interval), clock_(clock) {}

  // How long the look that a word of now asks for has to wait. Beyond kMaxGathered keys that were
  // looked at within the interval: the whole of it.
  base::Duration WaitFor(const meta::Key& key);

 private:
  const base::Duration interval_;
  base::Clock& clock_;
  std::mutex mutex_;
  std::map<meta::Key, base::MonoTime> looks_;  // guarded by mutex_; the newest one granted to each
};

}  // namespace sluice::runtime
