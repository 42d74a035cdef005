#include "reconcilers/audit/use_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "reconcilers/gates/stage_record.h"

namespace sluice::audit {
namespace {

using nlohmann::json;
using std::chrono::minutes;

const base::WallTime kNow{std::chrono::seconds(1'800'000'000)};

gates::StageRecord Answered(gates::Gate gate, gates::Evidence evidence,
                            const gates::Context& context) {
  evidence.gate = gate.name;
  evidence.observed_at = kNow;
  const gates::StageResult result = gates::Evaluate({gate}, {evidence}, {}, context, kNow);
  return gates::RecordOf(gate.name, {gate}, {evidence}, {}, context, kNow, result);
}

gates::Gate Gate(gates::GateKind kind) {
  gates::Gate gate;
  gate.name = "gate";
  gate.kind = kind;
  return gate;
}

TEST(UseEntries, AVerdictThatRestsOnNobodyHasNone) {
  gates::Gate gate = Gate(gates::GateKind::kCapacity);
  gate.min_ready_agents = 1;
  gates::Evidence evidence;
  evidence.capacity = gates::CapacityFacts{0};
  EXPECT_THAT(UseEntries("Site/phoenix", "controller", "Promotion/p",
                         Answered(gate, evidence, gates::Context{})),
              ::testing::IsEmpty());
}

TEST(UseEntries, AnExemptionThatLetAGatePassIsNamedWithWhatItHides) {
  gates::Gate gate = Gate(gates::GateKind::kExternal);
  gate.waivable = true;
  gates::Evidence evidence;
  evidence.external = gates::ExternalFacts{"http://x/", "fail", "no", ""};
  gates::Context context;
  context.exemptions = {{"deal", {"gate"}, {}, kNow + minutes(2), {}}};
  const auto entries = UseEntries("Site/phoenix", "controller", "Promotion/phoenix-1-walk",
                                  Answered(gate, evidence, context));
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].type, kExemptionUsed);
  EXPECT_EQ(entries[0].subject, "Site/phoenix");
  EXPECT_EQ(json::parse(entries[0].data),
            json::parse(R"({"object": "Promotion/phoenix-1-walk", "gate": "gate",
                            "exemption": "deal", "hides": "GateFailed",
                            "until": "2027-01-15T08:02:00Z"})"));
}

TEST(UseEntries, VotesAreToldWithTheReasonWhereTheyDoNotCount) {
  gates::Gate gate = Gate(gates::GateKind::kApproval);
  gate.roles = {{"Decide", {"bo", "ana"}, {}, 1}};
  const gates::Subject step{"u1", 7, "9f2c", "Walk"};
  gates::Evidence evidence;
  evidence.ballot = gates::Ballot{step, {"ana"}, {}, {}};
  evidence.ballot->decisions = {{"walk", "d1", step, "ana", {}, "Ordinary", kNow + minutes(9)}};
  for (const char* user : {"ana", "bo"}) {
    evidence.ballot->votes.push_back({.approval = std::string("v-") + user,
                                      .decision_uid = "d1",
                                      .subject_uid = "u1",
                                      .generation = 7,
                                      .plan_hash = "9f2c",
                                      .user = user,
                                      .groups = {},
                                      .role = "Decide",
                                      .agrees = true,
                                      .cast_at = kNow - minutes(1),
                                      .expires_at = kNow + minutes(9)});
  }
  const auto entries = UseEntries("Site/phoenix", "controller", "Promotion/p",
                                  Answered(gate, evidence, gates::Context{}));
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].type, kVotesCounted);
  const json votes = json::parse(entries[0].data)["votes"];
  ASSERT_EQ(votes.size(), 2U);
  for (const json& vote : votes) {
    EXPECT_EQ(vote["verdict"], "Agree");
    EXPECT_EQ(vote.contains("notCounted"), vote["user"] == "ana") << "who asked has no voice";
  }
}

}  // namespace
}  // namespace sluice::audit
