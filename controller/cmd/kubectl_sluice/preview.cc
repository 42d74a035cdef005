#include "controller/cmd/kubectl_sluice/preview.h"

#include <map>
#include <string>

#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/objects/convert.h"

namespace sluice::kubectl {
namespace {

using gates::GateKind;

// Two gates that ask the same source, whatever their limits.
bool SameSource(const gates::Gate& a, const gates::Gate& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case GateKind::kSlo:
      return a.slo_template == b.slo_template;
    case GateKind::kBurnRate:
      return a.slo_template == b.slo_template && a.long_window == b.long_window &&
             a.short_window == b.short_window;
    case GateKind::kMetric:
      return a.query == b.query && a.long_window == b.long_window &&
             a.short_window == b.short_window;
    default:
      return false;
  }
}

gates::Reading NumberReading(std::string value) {
  gates::Reading reading;
  reading.value = std::move(value);
  reading.series = 1;
  return reading;
}

// The evidence a status recorded, as far as it recorded it.
std::optional<gates::Evidence> EvidenceOf(const v1alpha1::GateStatus& status,
                                          const std::string& gate) {
  const auto evaluated = base::ParseRfc3339(status.evaluated_at());
  if (!evaluated.ok() || status.evidence_size() == 0) return std::nullopt;
  gates::Evidence out;
  out.gate = gate;
  out.observed_at = *evaluated;
  for (const v1alpha1::GateEvidence& from : status.evidence()) {
    gates::WindowEvidence window;
    if (!from.window().empty()) {
      const auto length = base::ParseDuration(from.window());
      if (!length.ok()) return std::nullopt;
      window.window = *length;
    }
    window.value.query = from.query();
    window.value.error = from.error();
    window.value.value = from.value();
    window.value.series = from.has_value() ? 1 : 0;
    if (from.has_samples()) window.samples = NumberReading(std::to_string(from.samples()));
    out.windows.push_back(std::move(window));
    const auto sampled = base::ParseRfc3339(from.sample_time());
    if (!sampled.ok()) continue;
    out.freshness.push_back(NumberReading(std::to_string(
        std::chrono::duration_cast<std::chrono::seconds>(sampled->time_since_epoch()).count())));
  }
  return out;
}

class Judge {
 public:
  Judge(const v1alpha1::Site& site, const v1alpha1::Promotion& open,
        const std::vector<meta::ObjectPtr>& objectives, const gates::PeopleObjects& people,
        base::WallTime now)
      : message_(site),
        open_(open),
        people_(people),
        site_(open.spec().site_ref().name()),
        interval_(
            std::chrono::seconds(std::max(1, site.spec().prometheus().scrape_interval_seconds()))),
        objectives_(objectives),
        now_(now) {
    for (const v1alpha1::Stage& stage : open.spec().plan().stages()) {
      if (stage.name() == open.spec().to()) asked_ = &stage;
    }
    for (const v1alpha1::GateStatus& status : open.status().gates()) {
      recorded_[status.name()] = &status;
    }
  }

  LaterStage Stage(const v1alpha1::Stage& stage, const std::string& before) const {
    LaterStage out;
    out.stage = stage.name();
    out.gates = stage.entry_gates_size();
    for (const v1alpha1::Gate& message : stage.entry_gates()) {
      const auto gate = gates::GateFrom(message);
      const auto evidence = gate.ok() ? Find(*gate, before, stage.name()) : std::nullopt;
      if (!evidence.has_value()) {
        out.unknown.push_back(message.name());
        continue;
      }
      gates::Context context;
      context.max_evidence_age = base::Duration(0);
      const gates::GateResult result =
          gates::EvaluateGate(*gate, *evidence, std::nullopt, context, now_);
      if (result.verdict == gates::Verdict::kPass) continue;
      GateLine line;
      line.name = message.name();
      line.verdict = std::string(gates::VerdictName(result.verdict));
      line.cause = std::string(gates::CauseName(result.cause()));
      line.message = result.message();
      out.holds.push_back(std::move(line));
    }
    return out;
  }

 private:
  // What people said about the site's step to `stage`.
  std::optional<gates::Evidence> FindPeople(const gates::Gate& gate,
                                            const std::string& stage) const {
    gates::Evidence evidence;
    evidence.gate = gate.name;
    evidence.observed_at = now_;
    switch (gate.kind) {
      case GateKind::kReadiness:
      case GateKind::kDrill:
        evidence.readiness = gates::ReadinessOf(people_, site_, stage);
        return evidence;
      case GateKind::kApproval:
        evidence.ballot = gates::BallotOf(people_, "Site",
                                          {open_.spec().site_ref().uid(), open_.spec().generation(),
                                           open_.spec().plan().hash(), stage},
                                          {open_.spec().requested_by()});
        return evidence;
      case GateKind::kIncident:
        evidence.incidents = gates::IncidentsOf(people_, site_);
        return evidence;
      case GateKind::kCapacity:
        evidence.capacity = gates::CapacityFacts{message_.status().agents().ready()};
        return evidence;
      default:
        return std::nullopt;
    }
  }

  std::optional<gates::Evidence> Find(const gates::Gate& gate, const std::string& before,
                                      const std::string& stage) const {
    if (auto said = FindPeople(gate, stage)) return said;
    if (gate.kind == GateKind::kSoak) {  // the stage before has not been entered: that is known
      gates::Evidence evidence;
      evidence.gate = gate.name;
      evidence.observed_at = now_;
      evidence.soak = gates::SoakFacts{before, std::nullopt};
      return evidence;
    }
    if (asked_ == nullptr) return std::nullopt;
    for (const v1alpha1::Gate& message : asked_->entry_gates()) {
      const auto other = gates::GateFrom(message);
      const auto status = recorded_.find(message.name());
      if (!other.ok() || status == recorded_.end() || !SameSource(gate, *other)) continue;
      auto evidence = EvidenceOf(*status->second, gate.name);
      if (!evidence.has_value()) return std::nullopt;
      evidence->scrape_interval = interval_;
      if (!gate.slo_template.empty() && !AddObjective(gate, *evidence)) return std::nullopt;
      return evidence;
    }
    return std::nullopt;
  }

  bool AddObjective(const gates::Gate& gate, gates::Evidence& evidence) const {
    const std::string name = site_ + "-" + gate.slo_template;
    for (const meta::ObjectPtr& object : objectives_) {
      if (object->name() != name) continue;
      const auto message = common::Decode<v1alpha1::ServiceLevelObjective>(*object);
      if (!message.ok()) return false;
      const auto slo = gates::SloFrom(name, (*message)->spec(), interval_);
      if (!slo.ok()) return false;
      evidence.slo = gates::FactsOf(*slo);
      if (slo->calendar && gate.kind == GateKind::kSlo && !evidence.windows.empty()) {
        evidence.windows.front().start = slo->calendar->At(evidence.observed_at).start;
      }
      return true;
    }
    return false;
  }

  const v1alpha1::Site& message_;
  const v1alpha1::Promotion& open_;
  const gates::PeopleObjects& people_;
  const std::string site_;
  const base::Duration interval_;
  const std::vector<meta::ObjectPtr>& objectives_;
  const base::WallTime now_;
  const v1alpha1::Stage* asked_ = nullptr;
  std::map<std::string, const v1alpha1::GateStatus*> recorded_;
};

}  // namespace

std::vector<LaterStage> Preview(const v1alpha1::Site& site, const v1alpha1::StagePlan& plan,
                                const v1alpha1::Promotion& open,
                                const std::vector<meta::ObjectPtr>& objectives,
                                const gates::PeopleObjects& people, base::WallTime now) {
  std::vector<LaterStage> out;
  const Judge judge(site, open, objectives, people, now);
  bool after = false;
  std::string before;
  for (const v1alpha1::Stage& stage : plan.spec().stages()) {
    if (after) out.push_back(judge.Stage(stage, before));
    if (stage.name() == open.spec().to()) after = true;
    if (stage.name() == site.spec().stage()) break;
    before = stage.name();
  }
  return out;
}

}  // namespace sluice::kubectl
