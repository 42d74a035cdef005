// A record: everything that went into one verdict and the verdict, as JSON. What the audit log
// keeps and what `audit replay` and the golden transcripts read: evaluating a record again must
// give the recorded result. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "reconcilers/gates/evaluate.h"

namespace sluice::gates {

struct Record {
  Gate gate;
  Evidence evidence;
  std::optional<GateResult> previous;
  Context context;
  base::WallTime now;
  GateResult result;
};

GateResult Replay(const Record& record);

// Indented JSON with sorted keys; times in RFC 3339 with microseconds.
std::string RecordToJson(const Record& record);
// Errors: InvalidArgument for anything that RecordToJson would not have written.
base::StatusOr<Record> RecordFromJson(std::string_view text);

}  // namespace sluice::gates
