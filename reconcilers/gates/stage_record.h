// One gate's part of a look at a stage: everything `Evaluate` was given about it, and what it
// answered. What the audit log keeps of a verdict; evaluating it again must give the same results.
//
// Unlike Record (one call of EvaluateGate) it also tells of what holds the whole step ("freeze",
// "audit"), of gates without evidence and of two gates of one name. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "reconcilers/gates/evaluate.h"

namespace sluice::gates {

struct StageRecord {
  std::string gate;
  std::vector<Gate> gates;  // of that name, as the plan has them
  std::vector<Evidence> evidence;
  std::vector<GateResult> previous;
  Context context;
  base::WallTime now;               // whole microseconds
  std::vector<GateResult> results;  // of that name; none: it no longer holds
};

// The part named `gate` of the arguments and the result of one call of Evaluate.
StageRecord RecordOf(const std::string& gate, const std::vector<Gate>& gates,
                     const std::vector<Evidence>& evidence, const std::vector<GateResult>& previous,
                     const Context& context, base::WallTime now, const StageResult& result);

std::vector<GateResult> Replay(const StageRecord& record);
// What differs between the recorded and the replayed results, for people; empty when nothing does.
std::string Disagreement(const StageRecord& record);

// One line of JSON with sorted keys.
std::string StageRecordToJson(const StageRecord& record);
// Errors: InvalidArgument for anything that StageRecordToJson would not have written.
base::StatusOr<StageRecord> StageRecordFromJson(std::string_view text);

}  // namespace sluice::gates
