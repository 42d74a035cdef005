#include "controller/cmd/kubectl_sluice/json_form.h"

#include <nlohmann/json.hpp>

namespace sluice::kubectl {
namespace {

using Json = nlohmann::ordered_json;

void Put(Json& out, const char* key, const std::string& value) {
  if (!value.empty()) out[key] = value;
}

Json GateJson(const GateLine& gate) {
  Json out;
  Put(out, "name", gate.name);
  Put(out, "verdict", gate.verdict);
  Put(out, "cause", gate.cause);
  if (!gate.causes.empty()) out["causes"] = gate.causes;
  Put(out, "message", gate.message);
  Put(out, "value", gate.value);
  Put(out, "threshold", gate.threshold);
  Put(out, "since", gate.since);
  Put(out, "validUntil", gate.valid_until);
  Put(out, "evaluatedAt", gate.evaluated_at);
  Put(out, "evidenceHash", gate.evidence_hash);
  Put(out, "unblockedBy", gate.unblocked_by);
  for (const Evidence& evidence : gate.evidence) {
    Json each;
    Put(each, "query", evidence.query);
    Put(each, "window", evidence.window);
    Put(each, "value", evidence.value);
    Put(each, "sampleTime", evidence.sample_time);
    Put(each, "error", evidence.error);
    out["evidence"].push_back(std::move(each));
  }
  return out;
}

}  // namespace

std::string RenderJson(const Chain& chain) {
  Json out;
  Put(out, "site", chain.site);
  Put(out, "stale", chain.stale);
  Put(out, "stage", chain.stage);
  Put(out, "stageReachedAt", chain.stage_reached_at);
  Put(out, "wants", chain.wants);
  Put(out, "next", chain.next);
  Put(out, "promotion", chain.promotion);
  Put(out, "requestedBy", chain.requested_by);
  Put(out, "askedAt", chain.asked_at);
  Put(out, "outcome", chain.outcome);
  out["gates"] = Json::array();
  for (const GateLine& gate : chain.gates) out["gates"].push_back(GateJson(gate));
  out["blockedBy"] = Json::array();
  for (const Blocker& blocker : chain.blockers) {
    Json each;
    Put(each, "gate", blocker.gate);
    Put(each, "cause", blocker.cause);
    Put(each, "message", blocker.message);
    Put(each, "since", blocker.since);
    Put(each, "unblockedBy", blocker.unblocked_by);
    out["blockedBy"].push_back(std::move(each));
  }
  for (const LaterStage& stage : chain.then) {
    Json each = {{"stage", stage.stage}, {"gates", stage.gates}};
    each["holds"] = Json::array();
    for (const GateLine& gate : stage.holds) each["holds"].push_back(GateJson(gate));
    each["unknown"] = stage.unknown;
    out["then"].push_back(std::move(each));
  }
  Put(out, "nextLook", chain.next_look);
  Put(out, "note", chain.note);
  return out.dump(2) + "\n";
}

}  // namespace sluice::kubectl
