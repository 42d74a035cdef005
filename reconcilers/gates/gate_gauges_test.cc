#include "reconcilers/gates/gate_gauges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::gates {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

GateResult Gauged(const std::string& gate, Verdict verdict, Cause cause) {
  GateResult out;
  out.gate = gate;
  out.verdict = verdict;
  out.causes = {{cause, ""}};
  out.since = base::WallTime(std::chrono::seconds(1'800'000'000));
  return out;
}

TEST(GateGauges, TwoKindsMayHaveObjectsOfOneName) {
  base::metrics::Registry registry;
  GateGauges sites(registry, "Site"), rollouts(registry, "Rollout");
  sites.Set("phoenix", {Gauged("soak", Verdict::kHold, Cause::kSoaking)});
  rollouts.Set("phoenix", {Gauged("reno/quiet", Verdict::kHold, Cause::kIncidentOpen)});
  rollouts.Set("weekly", {Gauged("reno/quiet", Verdict::kPass, Cause::kMet)});
  rollouts.Remove("phoenix");
  const std::string text = registry.Expose();
  EXPECT_THAT(text, HasSubstr(R"(sluice_gate_verdict{kind="Site",name="phoenix",gate="soak",)"
                              R"(verdict="Hold",cause="Soaking"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(sluice_gate_verdict{kind="Rollout",name="weekly",)"
                              R"(gate="reno/quiet",verdict="Pass",cause="Met"} 1)"));
  EXPECT_THAT(text, Not(HasSubstr(R"(kind="Rollout",name="phoenix")")));
  EXPECT_THAT(text, HasSubstr(R"(sluice_blocked{kind="Rollout",cause="IncidentOpen"} 0)"));
}

TEST(GateGauges, AnAnswerThatChangedLeavesNoOldOneAndKeepsItsDeadline) {
  base::metrics::Registry registry;
  GateGauges gauges(registry, "Rollout");
  Gate gate;
  gate.name = "reno/quiet";
  gate.max_hold = std::chrono::seconds(100);
  gauges.Set("weekly", {Gauged("reno/quiet", Verdict::kHold, Cause::kIncidentOpen)}, {gate});
  GateResult later = Gauged("reno/quiet", Verdict::kHold, Cause::kProviderError);
  later.since += std::chrono::seconds(50);
  gauges.Set("weekly", {later}, {gate});
  const std::string text = registry.Expose();
  EXPECT_THAT(text, Not(HasSubstr("IncidentOpen\"} 1")));
  EXPECT_THAT(text, HasSubstr(R"(sluice_blocked{kind="Rollout",cause="ProviderError"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(sluice_gate_hold_deadline_seconds{kind="Rollout",)"
                              R"(name="weekly",gate="reno/quiet"} 1800000100)"));
  gauges.SetStuck("weekly", Cause::kAuditUnavailable);
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("reno/quiet")));
  EXPECT_THAT(registry.Expose(),
              HasSubstr(R"(sluice_blocked{kind="Rollout",cause="AuditUnavailable"} 1)"));
}

}  // namespace
}  // namespace sluice::gates
