// One look at a list of gates: from the API's messages to the evaluator and back to what is worth
// recording. Promotions and Rollouts look at their gates by these. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/stage_record.h"

namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}  // namespace google::protobuf

namespace sluice::v1alpha1 {
class Gate;
}  // namespace sluice::v1alpha1

namespace sluice::gates {

using GateMessages = google::protobuf::RepeatedPtrField<v1alpha1::Gate>;

// A gate that cannot be read, and an empty list, become gates that are Misconfigured: `unreadable`
// holds their evidence.
struct ReadGates {
  std::vector<Gate> gates;
  std::vector<Evidence> unreadable;
};
ReadGates GatesFrom(const GateMessages& messages, base::WallTime now);

struct GatesLook {
  StageResult result;
  std::vector<Evidence> evidence;  // all that was judged by
  // The gates whose answer is not the one that was recorded, with all it rests on: what has to be
  // in the audit log before the answer is written anywhere.
  std::vector<StageRecord> changed;
  base::WallTime now;  // in whole microseconds, as records keep it
};
// `recorded` are the results in the object's status; `inherited` those of an attempt before, for
// gates that have none there.
GatesLook LookAtGates(const ReadGates& gates, const std::vector<Evidence>& evidence,
                      const std::vector<GateResult>& recorded,
                      const std::vector<GateResult>& inherited, const Context& context,
                      base::WallTime time);

// The names of what answers otherwise than `recorded` says. After a time without an audit log that
// is everything: what was written meanwhile is in no log.
std::vector<std::string> ChangedGates(const std::vector<GateResult>& recorded,
                                      const std::vector<GateResult>& fresh);

// Numbers move all the time; a write is worth it when the answer changed, or when the recorded one
// comes of age: a Pass at half of its validity, a Hold when it has run out.
bool WorthWriting(const std::vector<GateResult>& recorded, const std::vector<GateResult>& fresh,
                  base::WallTime now);

// From `now`.
base::Duration WhenToLookAgain(const StageResult& result, base::Duration scrape_interval,
                               base::WallTime now);

}  // namespace sluice::gates
