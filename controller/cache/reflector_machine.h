// What a reflector does next, as a state machine without I/O, clock or random.
//
//              +--------- kStream (WatchList) --- initial state complete ---+
//   no state --+   | refused, or ended twice without its end mark           +--> kWatch
//              +--------- kList (paged, or whole after 410) ----------------+     |
//        ^                                                                        |
//        +---- 410, "too large resource version", failed three times, due --------+
//
// Guarantees: after a failure that says nothing about our version it resumes from the last version
// seen, so that no event is missed; versions are opaque. Waits grow from kMinBackoff to kMaxBackoff
// with jitter while nothing succeeds, and are at least what the server asked for.
//
// A stream that is refused is never asked for again. One that ends properly before its mark (a
// server that shuts down, a proxy that limits how long an answer lasts) is tried once more, then
// the state is listed; the next state is streamed first again.
//
// Invariant 1: states are read anew at most at the rate of the backoff. Reading one does not end
// the backoff, only a watch does that lasted, or gave events and did not end with 410: else a
// server that answers every watch with 410 would be asked for whole lists at the smallest wait, for
// ever. Learned from client-go's reflector and kube-rs's watcher. Thread rule: one thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/cache/limits.h"

namespace sluice::cache {

class ReflectorMachine {
 public:
  enum class Action { kStream, kList, kWatch };
  struct Step {
    Action action = Action::kList;
    std::string version;                // kWatch: resume from here
    bool whole = false;                 // kList: without pages
    std::chrono::milliseconds wait{0};  // before it
  };

  explicit ReflectorMachine(bool watch_list) : watch_list_(watch_list) {}

  Step Next() const;
  // Inputs, in the order in which they happen during a step.
  void OnVersion(std::string_view version);       // of an event or a bookmark
  void OnInitialState(std::string_view version);  // list complete, or the stream's end mark
  // The step is over. `lasted` is how long it took, `random` in [0, 1).
  void OnEnded(const base::Status& status, std::chrono::milliseconds lasted, double random);
  // The state is to be read anew from scratch, at the next step.
  void Forget() { has_state_ = false; }

  bool has_state() const { return has_state_; }
  bool uses_watch_list() const { return watch_list_ && unmarked_streams_ < kMaxUnmarkedStreams; }

 private:
  void BackOff(const base::Status& status, double random);

  bool watch_list_;           // not refused
  int unmarked_streams_ = 0;  // that ended properly without their mark, since the last state
  bool has_state_ = false;    // version_ may be watched from
  bool whole_list_ = false;
  bool progress_ = false;    // an event or bookmark came after the state, during this step
  bool read_state_ = false;  // a state was completed during this step
  int failures_ = 0;         // steps since a watch that gave something
  int failed_resumes_ = 0;   // in a row, in a way that may come again each time
  std::string version_;
  std::chrono::milliseconds wait_{0};
};

}  // namespace sluice::cache
