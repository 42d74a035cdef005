// The gates whose evidence is what people and other systems said, through the evaluator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/external_check.h"
#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/gates/record.h"

namespace sluice::gates {
namespace {

using namespace cases;
using std::chrono::hours;
using ::testing::HasSubstr;

Gate Named(GateKind kind) {
  Gate gate;
  gate.name = "gate";
  gate.kind = kind;
  return gate;
}

Evidence Said() {
  Evidence e;
  e.gate = "gate";
  e.observed_at = kNow;
  return e;
}

ReadinessItem Item(const std::string& name, base::WallTime verified_at = kNow - hours(1)) {
  return {.name = name,
          .owner = "ana",
          .verified_by = "bo",
          .verified_at = verified_at,
          .valid_for = hours(24),
          .value = {}};
}

Evidence Reviewed(std::vector<ReadinessItem> items) {
  Evidence e = Said();
  e.readiness = ReadinessFacts{.review = "phoenix-walk", .found = true, .items = std::move(items)};
  return e;
}

GateResult Ask(const Gate& gate, const Evidence& evidence, base::WallTime now = kNow,
               const std::optional<GateResult>& previous = std::nullopt) {
  Context context;
  context.max_evidence_age = base::Duration(0);
  const GateResult result = EvaluateGate(gate, evidence, previous, context, now);
  const Record record{gate, evidence, previous, context, now, result};
  const auto again = RecordFromJson(RecordToJson(record));
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  if (again.ok()) {
    const GateResult replayed = Replay(*again);
    EXPECT_EQ(replayed.causes, result.causes) << "a record says everything a verdict rests on";
    EXPECT_EQ(replayed.verdict, result.verdict);
    EXPECT_EQ(replayed.evidence_hash, result.evidence_hash);
    EXPECT_EQ(replayed.valid_until, result.valid_until);
  }
  return result;
}

TEST(ReadinessGate, PassesWhileEveryItemIsVerifiedAndNoLongerThanTheFirstIsFresh) {
  Gate gate = Named(GateKind::kReadiness);
  gate.items = {"docs", "runbooks"};
  gate.valid_for = hours(48);
  const Evidence evidence = Reviewed({Item("docs"), Item("runbooks", kNow - hours(2))});
  const GateResult result = Ask(gate, evidence);
  EXPECT_EQ(result.verdict, Verdict::kPass);
  EXPECT_EQ(result.valid_until, kNow + hours(22));
  EXPECT_EQ(Ask(gate, evidence, kNow + hours(22) - seconds(1)).verdict, Verdict::kPass);
  const GateResult stale = Ask(gate, evidence, kNow + hours(22));
  EXPECT_EQ(stale.cause(), Cause::kReadinessMissing) << "stale evidence counts as missing";
  EXPECT_THAT(stale.message(), HasSubstr("1 of 2 missing: runbooks (stale since"));
}

TEST(ReadinessGate, NamesWhatIsMissingAndWhoOwnsIt) {
  Gate gate = Named(GateKind::kReadiness);
  gate.items = {"docs", "runbooks", "support"};
  ReadinessItem open = Item("docs");
  open.verified_by.clear();
  open.verified_at.reset();
  const GateResult result = Ask(gate, Reviewed({open, Item("runbooks", kNow + hours(1))}));
  EXPECT_EQ(result.cause(), Cause::kReadinessMissing);
  EXPECT_THAT(result.message(), HasSubstr("docs (not verified)"));
  EXPECT_THAT(result.message(), HasSubstr("runbooks (verified at a time to come)"));
  EXPECT_THAT(result.message(), HasSubstr("support (not in review phoenix-walk)"));
  EXPECT_EQ(result.unblocked_by, "owners: ana");
  Evidence none = Said();
  none.readiness = ReadinessFacts{.review = "phoenix-walk", .found = false, .items = {}};
  EXPECT_THAT(Ask(gate, none).message(), HasSubstr("there is no review phoenix-walk"));
}

TEST(DrillGate, WantsADrillYoungerThanItsAge) {
  Gate gate = Named(GateKind::kDrill);
  gate.items = {"dr-drill"};
  gate.max_age = hours(10);
  const Evidence evidence = Reviewed({Item("dr-drill", kNow - hours(9))});
  EXPECT_THAT(Ask(gate, evidence).message(), HasSubstr("dr-drill done 9 h ago"));
  EXPECT_EQ(Ask(gate, evidence, kNow + hours(1) - seconds(1)).verdict, Verdict::kPass);
  EXPECT_EQ(Ask(gate, evidence, kNow + hours(1)).cause(), Cause::kReadinessMissing);
}

TEST(ApprovalGate, TellsTheCausesApart) {
  Gate gate = Named(GateKind::kApproval);
  gate.valid_for = hours(48);
  gate.roles = {{"Decide", {"bo"}, {}, 1}};
  const Subject step{"u1", 7, "9f2c", "Walk"};
  Evidence evidence = Said();
  evidence.ballot = Ballot{step, {"ana"}, {}, {}};
  GateResult result = Ask(gate, evidence);
  EXPECT_EQ(result.cause(), Cause::kAwaitingApproval);
  EXPECT_EQ(result.message(), "no decision yet");
  EXPECT_EQ(result.unblocked_by, "approvers: Decide: 0 of 1 (bo)");
  evidence.ballot->decisions = {{"walk", "d1", step, "ana", {}, "Ordinary", kNow + hours(24)}};
  evidence.ballot->votes = {{.approval = "v",
                             .decision_uid = "d1",
                             .subject_uid = "u1",
                             .generation = 7,
                             .plan_hash = "9f2c",
                             .user = "bo",
                             .groups = {},
                             .role = "Decide",
                             .agrees = true,
                             .cast_at = kNow - hours(1),
                             .expires_at = kNow + hours(12)}};
  result = Ask(gate, evidence);
  EXPECT_EQ(result.verdict, Verdict::kPass);
  EXPECT_EQ(result.valid_until, kNow + hours(12)) << "no longer than the vote";
  EXPECT_EQ(Ask(gate, evidence, kNow + hours(12)).cause(), Cause::kAwaitingApproval);
  Evidence refused = evidence;
  refused.ballot->votes[0].agrees = false;
  result = Ask(gate, refused);
  EXPECT_EQ(result.cause(), Cause::kRefused);
  EXPECT_THAT(result.unblocked_by, HasSubstr("bo (Decide)"));
  EXPECT_EQ(Ask(gate, evidence, kNow, result).verdict, Verdict::kPass) << "a later vote heals it";
  Evidence moved = evidence;
  moved.ballot->subject.generation = 8;
  EXPECT_EQ(Ask(gate, moved).cause(), Cause::kApprovalOutdated);
  gate.waivable = true;
  Context context;
  context.exemptions = {{"deal", {"gate"}, {Cause::kNoData}, kNow + hours(1), {}}};
  EXPECT_EQ(EvaluateGate(gate, moved, {}, context, kNow).verdict, Verdict::kHold)
      << "an approval is never waived";
}

TEST(IncidentGate, HoldsForItsSeverityAndWorse) {
  Gate gate = Named(GateKind::kIncident);
  gate.holds_from_severity = 2;
  Evidence evidence = Said();
  evidence.incidents = IncidentList{{{"inc-9", 3, "cleo", kNow - hours(1)}}};
  EXPECT_EQ(Ask(gate, evidence).verdict, Verdict::kPass);
  evidence.incidents->open.push_back({"inc-7", 2, "bo", kNow - hours(1)});
  const GateResult result = Ask(gate, evidence);
  EXPECT_EQ(result.cause(), Cause::kIncidentOpen);
  EXPECT_THAT(result.message(), HasSubstr("inc-7 (severity 2"));
  EXPECT_EQ(result.unblocked_by, "bo: close inc-7");
}

TEST(CapacityGate, WaitsForAgents) {
  Gate gate = Named(GateKind::kCapacity);
  gate.min_ready_agents = 3;
  Evidence evidence = Said();
  evidence.capacity = CapacityFacts{2};
  EXPECT_EQ(Ask(gate, evidence).cause(), Cause::kWaitingForCapacity);
  evidence.capacity = CapacityFacts{3};
  EXPECT_EQ(Ask(gate, evidence).verdict, Verdict::kPass);
}

TEST(GpuIdleGate, ComparesWithWhatWasMeasuredBefore) {
  Gate gate = MetricGate();
  gate.kind = GateKind::kGpuIdle;
  gate.items = {"baseline"};
  gate.min_reduction = D("0.5");
  Gate as_metric = MetricGate();
  const auto measured = [&](const std::string& now, const std::string& before) {
    Evidence e = Fresh(as_metric, {now});
    ReadinessItem item = Item("baseline");
    item.value = before;
    e.readiness = ReadinessFacts{.review = "phoenix-walk", .found = true, .items = {item}};
    return e;
  };
  EXPECT_EQ(Ask(gate, measured("0.2", "0.4")).verdict, Verdict::kPass);
  const GateResult fails = Ask(gate, measured("0.21", "0.4"));
  EXPECT_EQ(fails.verdict, Verdict::kFail);
  EXPECT_EQ(fails.threshold, "0.2");
  EXPECT_EQ(Ask(gate, measured("NaN", "0.4")).cause(), Cause::kNoData);
  EXPECT_EQ(Ask(gate, measured("1.5", "0.4")).cause(), Cause::kMisconfigured) << "no share";
  EXPECT_EQ(Ask(gate, measured("0.1", "")).cause(), Cause::kMisconfigured);
  EXPECT_EQ(Ask(gate, measured("0.1", "0.4"), kNow + hours(24)).cause(), Cause::kReadinessMissing)
      << "a baseline goes stale too";
}

TEST(ExternalGate, TakesPassHoldAndFailAndNothingElse) {
  const Gate gate = Named(GateKind::kExternal);
  const auto answer = [](int status, const char* body) {
    Evidence e = Said();
    e.external = ReadExternalAnswer("http://x/", status, body);
    return e;
  };
  EXPECT_EQ(Ask(gate, answer(200, R"({"verdict":"pass"})")).verdict, Verdict::kPass);
  const GateResult hold = Ask(gate, answer(200, R"({"verdict":"hold","reason":"CMDB is late"})"));
  EXPECT_EQ(hold.verdict, Verdict::kHold);
  EXPECT_EQ(hold.message(), "CMDB is late");
  EXPECT_EQ(hold.unblocked_by, "whoever runs http://x/");
  EXPECT_EQ(Ask(gate, answer(200, R"({"verdict":"fail","reason":"no"})")).verdict, Verdict::kFail);
  for (const auto& [status, body] :
       std::vector<std::pair<int, const char*>>{{500, R"({"verdict":"pass"})"},
                                                {302, ""},
                                                {200, "pass"},
                                                {200, R"({"verdict":1})"},
                                                {200, R"({"verdict":"yes"})"},
                                                {200, R"({"verdict":"hold"})"},
                                                {200, "[]"}}) {
    EXPECT_EQ(Ask(gate, answer(status, body)).cause(), Cause::kProviderError) << status << body;
  }
}

TEST(ExternalGate, AFailureStandsWhileTheOtherSystemDoesNotAnswer) {
  const Gate gate = Named(GateKind::kExternal);
  Evidence no = Said(), down = Said();
  no.external = ReadExternalAnswer("u", 200, R"({"verdict":"fail","reason":"no"})");
  down.external = ExternalFacts{"u", "", "", "connection refused"};
  const GateResult failed = Ask(gate, no);
  const GateResult after = Ask(gate, down, kNow, failed);
  EXPECT_EQ(after.cause(), Cause::kGateFailed);
  EXPECT_EQ(after.verdict, Verdict::kFail);
}

TEST(ExternalCheck, AsksOnlyAllowedHosts) {
  ExternalCheck check({.allowed = {"gates.example.com"}, .ca_file = {}});
  for (const char* url :
       {"http://other.example.com/", "https://gates.example.com:8443/",
        "grpcs://other.example.com/", "grpc://gates.example.com/", "grpc:gates.example.com",
        "grpcx://gates.example.com/", "http://gates.example.com.evil.org/", "file:///etc/passwd",
        "http://user:password@gates.example.com/"}) {
    EXPECT_EQ(check
                  .Ask({.url = url,
                        .site = "phoenix",
                        .stage = "Walk",
                        .timeout = std::chrono::milliseconds(100)},
                       {})
                  .status()
                  .code(),
              base::Code::kInvalidArgument)
        << url;
  }
}

TEST(PeoplesGates, EvidenceOfAnotherKindIsMisconfigured) {
  for (const GateKind kind : {GateKind::kReadiness, GateKind::kApproval, GateKind::kDrill,
                              GateKind::kCapacity, GateKind::kIncident, GateKind::kExternal}) {
    Gate gate = Named(kind);
    gate.items = {"docs"};
    gate.roles = {{"Decide", {"bo"}, {}, 1}};
    gate.holds_from_severity = 2;
    EXPECT_EQ(Ask(gate, Said()).cause(), Cause::kMisconfigured) << GateKindName(kind);
  }
}

Context Frozen() {
  Context context;
  context.freezes = {{"weekend", "Weekend.", kNow + hours(2), {ChangeClass::kP0}, ""}};
  return context;
}

StageResult Stage(const Context& context, base::WallTime now = kNow) {
  Gate gate = Named(GateKind::kCapacity);
  gate.min_ready_agents = 1;
  Evidence evidence = Said();
  evidence.capacity = CapacityFacts{1};
  evidence.observed_at = now;
  return Evaluate({gate}, {evidence}, {}, context, now);
}

TEST(Freeze, HoldsUntilItReopensUnlessTheClassIsExcepted) {
  Context context = Frozen();
  EXPECT_FALSE(Stage(context).passed);
  EXPECT_THAT(Stage(context).gates[0].message(), HasSubstr("reopens at"));
  EXPECT_TRUE(Stage(context, kNow + hours(2)).passed);
  context.change_class = ChangeClass::kSecurity;
  EXPECT_FALSE(Stage(context).passed);
  context.change_class = ChangeClass::kP0;
  EXPECT_TRUE(Stage(context).passed);
}

TEST(Freeze, AnExemptionOpensTheWindowItNamesAndStaysVisible) {
  Context context = Frozen();
  context.exemptions = {{"deal", {}, {}, kNow + hours(1), {"other"}}};
  EXPECT_FALSE(Stage(context).passed);
  context.exemptions[0].freezes = {"weekend"};
  const StageResult result = Stage(context);
  EXPECT_TRUE(result.passed);
  EXPECT_EQ(result.gates[0].cause(), Cause::kExempted);
  EXPECT_EQ(result.gates[0].raw_cause, Cause::kFrozen);
  EXPECT_EQ(result.gates[0].exempted_by, "deal");
  EXPECT_FALSE(Stage(context, kNow + hours(1)).passed) << "over at the instant it expires";
}

TEST(Freeze, OneThatIsNotExemptedHoldsBesideOneThatIs) {
  Context context = Frozen();
  context.freezes.push_back({"year-end", "Year's end.", kNow + hours(1), {}, ""});
  context.exemptions = {{"deal", {}, {}, kNow + hours(3), {"weekend"}}};
  const StageResult result = Stage(context);
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.gates[0].message(), HasSubstr("year-end"));
}

TEST(Freeze, OneThatCannotBeReadHoldsEvenWhatItWouldExcept) {
  Context context = Frozen();
  context.change_class = ChangeClass::kP0;
  context.freezes.push_back({"broken", "", {}, {ChangeClass::kP0}, "no time zone Mars/Base"});
  context.exemptions = {{"deal", {}, {}, kNow + hours(3), {"broken"}}};
  const StageResult result = Stage(context);
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.gates[0].cause(), Cause::kMisconfigured);
  EXPECT_THAT(result.gates[0].message(), HasSubstr("Mars/Base"));
}

}  // namespace
}  // namespace sluice::gates
