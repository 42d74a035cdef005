// Golden transcripts: recorded evidence gives the recorded verdict. SLUICE_UPDATE_GOLDEN=1 rewrites
// testdata/transcripts after a change that is meant.
#include "reconcilers/gates/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "controller/base/file.h"
#include "reconcilers/gates/gate_cases.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary

const char kFolder[] = "reconcilers/gates/testdata/transcripts/";

Record Make(const Gate& gate, const Evidence& evidence,
            std::optional<GateResult> previous = std::nullopt) {
  Record record{gate, evidence, std::move(previous), {}, evidence.observed_at, {}};
  record.result = Replay(record);
  return record;
}

std::map<std::string, Record> Transcripts() {
  std::map<std::string, Record> out;
  out["slo-met"] = Make(SloGate(), Fresh(SloGate(), {"0.00018"}));
  out["slo-budget-exhausted"] = Make(SloGate(), Fresh(SloGate(), {"0.0021"}));
  out["burn-failed"] = Make(BurnGate(), Fresh(BurnGate(), {"0.02", "0.03"}));
  out["burn-recovering"] = Make(BurnGate(), Later(Fresh(BurnGate(), {"0.02", "0"}), seconds(60)),
                                out["burn-failed"].result);
  Evidence blind = Later(Fresh(BurnGate(), {"0", "0"}), seconds(60));
  for (WindowEvidence& w : blind.windows) w.value = Broken("connection refused");
  out["burn-failed-then-blind"] = Make(BurnGate(), blind, out["burn-failed"].result);
  out["metric-nan"] = Make(MetricGate(), Fresh(MetricGate(), {"NaN"}));
  Evidence stale = Fresh(MetricGate(), {"0.1"});
  stale.freshness = {SampleAt(kNow - seconds(31))};
  out["metric-stale"] = Make(MetricGate(), stale);
  Evidence typo = Fresh(MetricGate(), {"0.1"});
  typo.windows[0].value = Nothing();
  typo.freshness = {Nothing()};
  typo.ever_returned = false;
  out["metric-typo"] = Make(MetricGate(), typo);
  Evidence period = Fresh(SloGate(), {"0.00018"});
  period.windows[0].window = std::chrono::hours(24 * 31);
  period.windows[0].start = kNow - minutes(10);
  out["slo-period"] = Make(SloGate(), period);
  out["soak-soaking"] = Make(SoakGate(), Soaked(std::chrono::hours(99)));
  Record exempted = Make(BurnGate(), Fresh(BurnGate(), {"0.02", "0.03"}));
  exempted.gate.waivable = true;
  exempted.context.exemptions = {{.name = "deal-42",
                                  .gates = {"burn"},
                                  .also = {Cause::kProviderError},
                                  .expires_at = kNow + minutes(1)}};
  exempted.context.freezes = {{"night", "at night", kNow + minutes(5), {ChangeClass::kP0}}};
  exempted.result = Replay(exempted);
  out["burn-exempted"] = exempted;
  return out;
}

TEST(Transcripts, RecordedEvidenceGivesTheRecordedVerdict) {
  std::size_t read = 0;
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) {
    for (const auto& [name, record] : Transcripts()) {
      ASSERT_TRUE(base::WriteFileAtomic(kFolder + name + ".json", RecordToJson(record)).ok());
    }
  }
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const auto text = base::ReadFile(entry.path());
    ASSERT_TRUE(text.ok());
    const auto record = RecordFromJson(*text);
    ASSERT_TRUE(record.ok()) << entry.path() << ": " << record.status().ToString();
    EXPECT_EQ(Replay(*record), record->result) << entry.path();
    EXPECT_EQ(RecordToJson(*record), *text) << entry.path();
    ++read;
  }
  EXPECT_EQ(read, Transcripts().size());
}

TEST(Transcripts, TheFilesAreWhatTheCasesGive) {
  for (const auto& [name, record] : Transcripts()) {
    const auto text = base::ReadFile(kFolder + name + ".json");
    ASSERT_TRUE(text.ok()) << name;
    EXPECT_EQ(*text, RecordToJson(record)) << name;
  }
}

TEST(Record, RefusesWhatItWouldNotHaveWritten) {
  const std::string good = RecordToJson(Make(SloGate(), Fresh(SloGate(), {"0"})));
  ASSERT_TRUE(RecordFromJson(good).ok());
  EXPECT_FALSE(RecordFromJson("").ok());
  EXPECT_FALSE(RecordFromJson("{}").ok());
  EXPECT_FALSE(RecordFromJson(good.substr(0, good.size() / 2)).ok());
  std::string wrong = good;
  wrong.replace(wrong.find("\"2027-"), 6, "\"2227-");
  EXPECT_FALSE(RecordFromJson(wrong).ok()) << "a time that could overflow";
  wrong = good;
  wrong.replace(wrong.find("\"Pass\""), 6, "\"pass\"");
  EXPECT_FALSE(RecordFromJson(wrong).ok());
}

TEST(Evidence, HashDependsOnEveryReadingAndOnNothingElse) {
  const Evidence evidence = Fresh(SloGate(), {"0.1"});
  EXPECT_EQ(EvidenceHash(evidence), EvidenceHash(Evidence(evidence)));
  Evidence other = evidence;
  other.windows[0].value.value = "0.10";
  EXPECT_NE(EvidenceHash(evidence), EvidenceHash(other));
  other = evidence;
  other.freshness[0].series = 0;
  EXPECT_NE(EvidenceHash(evidence), EvidenceHash(other));
  other = evidence;
  other.windows[0].value.error = "\xff not UTF-8";
  EXPECT_EQ(EvidenceHash(other).size(), 64U);
}

TEST(Evidence, AnObjectivesPolicyAndBudgetComeBackFromTheRecord) {
  Evidence evidence = Fresh(BurnGate(), {"0", "0"});
  evidence.budget = WindowEvidence{std::chrono::hours(720), Answer("0.0008"), {}};
  evidence.budget->start = kNow - minutes(2);
  evidence.windows[0].start = kNow - minutes(3);
  evidence.slo->freeze_below = D("0.1");
  for (const auto& exceptions :
       std::vector<std::vector<ChangeClass>>{{}, {ChangeClass::kSecurity}, {ChangeClass::kP0}}) {
    evidence.slo->exceptions = exceptions;
    const GateResult result = EvaluateGate(BurnGate(), evidence, std::nullopt, {}, kNow);
    const auto again =
        RecordFromJson(RecordToJson({BurnGate(), evidence, std::nullopt, {}, kNow, result}));
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again->evidence, evidence);
  }
}

TEST(Evidence, DataIsAsOldAsTheOldestSelector) {
  Evidence evidence = Fresh(SloGate(), {"0"});
  evidence.freshness = {SampleAt(kNow), SampleAt(kNow - seconds(9))};
  evidence.freshness[1].value += ".75";
  EXPECT_EQ(DataTime(evidence), kNow - seconds(9));
  evidence.freshness.push_back(Nothing());
  EXPECT_EQ(DataTime(evidence), std::nullopt);
  EXPECT_EQ(DataTime(Soaked(seconds(5))), kNow);
}

TEST(Evidence, TextIsCutBetweenCharacters) {
  EXPECT_EQ(Bounded("a\xc3\xa9", 2), "a");
  EXPECT_EQ(Bounded("a\xc3\xa9", 3), "a\xc3\xa9");
  EXPECT_EQ(Bounded("\xc3\xa9", 0), "");
}

}  // namespace
}  // namespace sluice::gates
