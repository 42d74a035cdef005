#include "reconcilers/audit/verdict_entry.h"

#include <nlohmann/json.hpp>

#include "reconcilers/audit/limits.h"
#include "reconcilers/gates/stage_record.h"

namespace sluice::audit {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Entry VerdictEntry(const std::string& subject, const std::string& actor, const std::string& object,
                   const gates::StageRecord& record) {
  Json data = {{"object", object}, {"gate", record.gate}};
  if (!record.results.empty()) {
    const gates::GateResult& result = record.results.front();
    data["verdict"] = gates::VerdictName(result.verdict);
    data["cause"] = gates::CauseName(result.cause());
  }
  data["record"] = Json::parse(gates::StageRecordToJson(record));
  return {kVerdict, subject, actor, data.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

void Replayer::Take(const std::string& file, const Line& line) {
  if (line.entry.type != kVerdict) return;
  ++verdicts_;
  const Json data = Json::parse(line.entry.data, nullptr, false);
  std::string what;
  if (!data.is_object() || !data.contains("record")) {
    what = "the entry holds no record";
  } else if (const auto record = gates::StageRecordFromJson(data["record"].dump()); record.ok()) {
    what = gates::Disagreement(*record);
  } else {
    what = record.status().message();
  }
  if (what.empty()) return;
  ++problem_count_;
  if (problems_.size() < kMaxProblems) problems_.push_back({file, line.head.seq, std::move(what)});
}

}  // namespace sluice::audit
