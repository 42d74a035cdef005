#include "reconcilers/gates/stage_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/gates/gate_cases.h"

namespace sluice::gates {
namespace {

using namespace cases;  // NOLINT: the builders are this file's vocabulary
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A look with everything: a pass, a fail, a blind gate, one never looked at, two of one name, a
// freeze, a log that cannot be written.
struct Whole {
  std::vector<Gate> gates;
  std::vector<Evidence> evidence;
  std::vector<GateResult> previous;
  Context context;
};

Whole Everything() {
  Whole w;
  Gate never = MetricGate();
  never.name = "never";
  Gate twice = SoakGate();
  w.gates = {SloGate(), BurnGate(), MetricGate(), never, twice, twice};
  Evidence blind = Fresh(MetricGate(), {"0"});
  blind.windows[0].value = Broken("refused");
  w.evidence = {Fresh(SloGate(), {"0.0002"}), Fresh(BurnGate(), {"0.02", "0.03"}), blind,
                Soaked(std::chrono::hours(99))};
  w.context.exemptions = {{.name = "deal",
                           .gates = {"burn"},
                           .also = {Cause::kNoData},
                           .expires_at = kNow + minutes(3)}};
  w.context.freezes = {{"night", "at night", kNow + minutes(5), {ChangeClass::kP0}}};
  w.context.audit_writable = false;
  return w;
}

TEST(StageRecord, EveryPartOfALookReplaysToWhatTheWholeLookSaid) {
  Whole w = Everything();
  for (int round = 0; round < 3; ++round) {
    const base::WallTime now = kNow + seconds(round);
    const StageResult whole = Evaluate(w.gates, w.evidence, w.previous, w.context, now);
    std::size_t results = 0;
    for (const char* gate : {"audit", "freeze", "availability", "burn", "idle", "never", "soak"}) {
      const StageRecord record =
          RecordOf(gate, w.gates, w.evidence, w.previous, w.context, now, whole);
      EXPECT_THAT(Disagreement(record), IsEmpty()) << gate;
      const auto read = StageRecordFromJson(StageRecordToJson(record));
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      EXPECT_THAT(Disagreement(*read), IsEmpty()) << gate;
      EXPECT_EQ(StageRecordToJson(*read), StageRecordToJson(record));
      EXPECT_EQ(read->results, record.results);
      results += record.results.size();
    }
    EXPECT_EQ(results, whole.gates.size()) << "no result is left out";
    w.previous = whole.gates;
  }
}

TEST(StageRecord, AHoldOfTheWholeStepThatEndedIsRecordedAsNothing) {
  const StageResult before = Evaluate({}, {}, {}, Everything().context, kNow);
  ASSERT_THAT(before.gates, SizeIs(2));
  const StageResult after = Evaluate({SoakGate()}, {}, before.gates, {}, kNow);
  const StageRecord record = RecordOf("freeze", {SoakGate()}, {}, before.gates, {}, kNow, after);
  EXPECT_THAT(record.results, IsEmpty());
  EXPECT_THAT(Disagreement(record), IsEmpty());
}

TEST(StageRecord, AChangedVerdictValueOrThresholdDisagrees) {
  const StageResult whole =
      Evaluate({BurnGate()}, {Fresh(BurnGate(), {"0.02", "0.03"})}, {}, {}, kNow);
  const StageRecord good =
      RecordOf("burn", {BurnGate()}, {Fresh(BurnGate(), {"0.02", "0.03"})}, {}, {}, kNow, whole);
  ASSERT_THAT(Disagreement(good), IsEmpty());
  StageRecord bad = good;
  bad.results[0].verdict = Verdict::kPass;
  EXPECT_THAT(Disagreement(bad), HasSubstr("recorded"));
  bad = good;
  bad.evidence[0].windows[0].value.value = "0.00001";
  EXPECT_THAT(Disagreement(bad), HasSubstr("recorded"));
  bad = good;
  bad.gates[0].burn_below = D("100");
  EXPECT_THAT(Disagreement(bad), HasSubstr("recorded"));
  bad = good;
  bad.results.clear();
  EXPECT_THAT(Disagreement(bad), HasSubstr("recorded []"));
}

TEST(StageRecord, WhatIsNoRecordIsRefused) {
  for (const char* text : {"", "{}", "[]", "{\"gate\":1}",
                           R"({"gate":"a","gates":[],"evidence":[],"previous":[],"results":[],)"
                           R"("context":{"class":"Ordinary","auditWritable":true,)"
                           R"("maxEvidenceAge":"60s"},"now":"9999-01-01T00:00:00Z"})"}) {
    EXPECT_FALSE(StageRecordFromJson(text).ok()) << text;
  }
}

}  // namespace
}  // namespace sluice::gates
