// The chain for programs. Pure. Keys: site, stage, stageReachedAt, wants, next, promotion,
// requestedBy, askedAt, outcome, gates[{name, verdict, cause, causes, message, value, threshold,
// since, validUntil, evaluatedAt, evidenceHash, unblockedBy, evidence[{query, window, value,
// sampleTime, error}]}], blockedBy[{gate, cause, message, since, unblockedBy}], then[{stage, gates,
// holds, unknown}], nextLook, note. What is empty is left out.
#pragma once

#include <string>

#include "controller/cmd/kubectl_sluice/chain.h"

namespace sluice::kubectl {

std::string RenderJson(const Chain& chain);  // indented, ends with a newline

}  // namespace sluice::kubectl
