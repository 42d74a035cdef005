#include "reconcilers/gates/stage_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "reconcilers/gates/json_form.h"

namespace sluice::gates {
namespace {

using nlohmann::json;

template <typename T, typename Name>
std::vector<T> Named(const std::vector<T>& all, const std::string& name, Name name_of) {
  std::vector<T> out;
  std::copy_if(all.begin(), all.end(), std::back_inserter(out),
               [&](const T& each) { return name_of(each) == name; });
  return out;
}

std::vector<GateResult> Results(const std::vector<GateResult>& all, const std::string& gate) {
  return Named(all, gate, [](const GateResult& r) { return r.gate; });
}

template <typename T>
json ListOf(const std::vector<T>& all) {
  json out = json::array();
  for (const T& each : all) out.push_back(ToJson(each));
  return out;
}

std::string Text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

StageRecord RecordOf(const std::string& gate, const std::vector<Gate>& gates,
                     const std::vector<Evidence>& evidence, const std::vector<GateResult>& previous,
                     const Context& context, base::WallTime now, const StageResult& result) {
  return {.gate = gate,
          .gates = Named(gates, gate, [](const Gate& g) { return g.name; }),
          .evidence = Named(evidence, gate, [](const Evidence& e) { return e.gate; }),
          .previous = Results(previous, gate),
          .context = context,
          .now = now,
          .results = Results(result.gates, gate)};
}

std::vector<GateResult> Replay(const StageRecord& r) {
  return Results(Evaluate(r.gates, r.evidence, r.previous, r.context, r.now).gates, r.gate);
}

std::string Disagreement(const StageRecord& record) {
  const std::string recorded = Text(ListOf(record.results));
  const std::string replayed = Text(ListOf(Replay(record)));
  if (recorded == replayed) return {};
  return fmt::format("recorded {}, replayed {}", recorded, replayed);
}

std::string StageRecordToJson(const StageRecord& r) {
  return Text({{"gate", r.gate},
               {"gates", ListOf(r.gates)},
               {"evidence", ListOf(r.evidence)},
               {"previous", ListOf(r.previous)},
               {"context", ToJson(r.context)},
               {"now", TimeText(r.now)},
               {"results", ListOf(r.results)}});
}

base::StatusOr<StageRecord> StageRecordFromJson(std::string_view text) {
  try {
    const json j = json::parse(text);
    StageRecord r;
    r.gate = j.at("gate").get<std::string>();
    for (const json& each : j.at("gates")) r.gates.push_back(GateFromJson(each));
    for (const json& each : j.at("evidence")) r.evidence.push_back(EvidenceFromJson(each));
    for (const json& each : j.at("previous")) r.previous.push_back(ResultFromJson(each));
    for (const json& each : j.at("results")) r.results.push_back(ResultFromJson(each));
    r.context = ContextFromJson(j.at("context"));
    const auto now = base::ParseRfc3339(j.at("now").get<std::string>());
    if (!now.ok()) return now.status().Annotate("now");
    // Sums with durations cannot overflow.
    const auto year = *now - base::WallTime();
    if (year.count() < 0 || year > std::chrono::hours(24 * 366 * 230)) {
      return base::InvalidArgument("now: out of range");
    }
    r.now = *now;
    return r;
  } catch (const std::exception& e) {
    return base::InvalidArgument(std::string("not a stage record: ") + e.what());
  }
}

}  // namespace sluice::gates
