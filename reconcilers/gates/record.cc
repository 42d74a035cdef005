#include "reconcilers/gates/record.h"

#include <exception>
#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "reconcilers/gates/json_form.h"

namespace sluice::gates {

using nlohmann::json;

GateResult Replay(const Record& r) {
  return EvaluateGate(r.gate, r.evidence, r.previous, r.context, r.now);
}

std::string RecordToJson(const Record& r) {
  json out = {{"gate", ToJson(r.gate)},
              {"evidence", ToJson(r.evidence)},
              {"context", ToJson(r.context)},
              {"now", TimeText(r.now)},
              {"result", ToJson(r.result)}};
  if (r.previous) out["previous"] = ToJson(*r.previous);
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

base::StatusOr<Record> RecordFromJson(std::string_view text) {
  try {
    const json j = json::parse(text);
    Record r;
    r.gate = GateFromJson(j.at("gate"));
    r.evidence = EvidenceFromJson(j.at("evidence"));
    r.context = ContextFromJson(j.at("context"));
    r.result = ResultFromJson(j.at("result"));
    if (j.contains("previous")) r.previous = ResultFromJson(j["previous"]);
    auto now = base::ParseRfc3339(j.at("now").get<std::string>());
    if (!now.ok()) return now.status().Annotate("now");
    r.now = *now;
    return r;
  } catch (const std::exception& e) {
    return base::InvalidArgument(std::string("not a gate record: ") + e.what());
  }
}

}  // namespace sluice::gates
