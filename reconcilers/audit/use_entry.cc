#include "reconcilers/audit/use_entry.h"

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "reconcilers/audit/limits.h"
#include "reconcilers/gates/stage_record.h"
#include "reconcilers/gates/tally.h"

namespace sluice::audit {
namespace {

using Json = nlohmann::ordered_json;

// Whose vote says what, and why it does not count where it does not; as the gate counted them.
Json Votes(const gates::StageRecord& record) {
  Json out = Json::array();
  if (record.gates.size() != 1 || record.evidence.size() != 1) return out;
  const gates::Gate& gate = record.gates.front();
  const gates::Evidence& evidence = record.evidence.front();
  if (gate.kind != gates::GateKind::kApproval || !evidence.ballot) return out;
  const gates::Tally tally =
      gates::Count(*evidence.ballot, gate.roles, gate.service_accounts, record.now);
  for (const gates::CountedVote& vote : tally.votes) {
    if (out.size() == kMaxVotesOfEntry) break;
    Json item = {{"approval", vote.approval},
                 {"user", vote.user},
                 {"role", vote.role},
                 {"verdict", vote.agrees ? "Agree" : "Disagree"}};
    if (!vote.why_not.empty()) item["notCounted"] = vote.why_not;
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace

std::vector<Entry> UseEntries(const std::string& subject, const std::string& actor,
                              const std::string& object, const gates::StageRecord& record) {
  std::vector<Entry> out;
  const auto add = [&](const char* type, const Json& data) {
    out.push_back(
        {type, subject, actor, data.dump(-1, ' ', false, Json::error_handler_t::replace)});
  };
  if (!record.results.empty() && !record.results.front().exempted_by.empty()) {
    const gates::GateResult& result = record.results.front();
    Json data = {{"object", object}, {"gate", record.gate}, {"exemption", result.exempted_by}};
    if (result.raw_cause) data["hides"] = gates::CauseName(*result.raw_cause);
    data["until"] = base::FormatRfc3339(result.valid_until);
    add(kExemptionUsed, data);
  }
  if (Json votes = Votes(record); !votes.empty()) {
    add(kVotesCounted, {{"object", object}, {"gate", record.gate}, {"votes", std::move(votes)}});
  }
  return out;
}

}  // namespace sluice::audit
