#include "reconcilers/rollout/gate_round.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/text.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/audit/use_entry.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/tenants.h"
#include "reconcilers/gates/gather.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/gates/provider/site_input.h"
#include "reconcilers/rollout/limits.h"

namespace sluice::rollout {

struct GateRound::Tally {
  Round round;
  std::shared_ptr<v1alpha1::RolloutStatus> said = std::make_shared<v1alpha1::RolloutStatus>();
  bool passed = true;
};

namespace {

constexpr const char* kFreeze = "freeze";

// What was recorded about the site; `freeze`: that alone, or everything else.
std::vector<gates::GateResult> RecordedOf(const v1alpha1::RolloutStatus& status,
                                          const std::string& site, bool freeze) {
  std::vector<gates::GateResult> out;
  const std::string prefix = site + "/";
  for (const v1alpha1::GateStatus& gate : status.gates()) {
    if (gate.name().rfind(prefix, 0) != 0) continue;
    auto result = gates::ResultFrom(gate);
    if (!result.ok()) continue;
    result->gate = gate.name().substr(prefix.size());
    if ((result->gate == kFreeze) == freeze) out.push_back(*std::move(result));
  }
  return out;
}

std::vector<gates::GateResult> AllRecorded(const v1alpha1::RolloutStatus& status) {
  std::vector<gates::GateResult> out;
  for (const v1alpha1::GateStatus& gate : status.gates()) {
    auto result = gates::ResultFrom(gate);
    if (result.ok()) out.push_back(*std::move(result));
  }
  return out;
}

std::vector<gates::RoleRule> WaiverRules(const Stores& stores, const v1alpha1::Site& site) {
  const auto plan =
      common::PlanOfClass(site.spec().class_ref().name(), stores.classes, stores.plans);
  return plan == nullptr ? std::vector<gates::RoleRule>()
                         : gates::RulesFrom(plan->spec().waiver_roles());
}

}  // namespace

gates::Ballot GateRound::BallotOf(const RoundInput& input,
                                  const gates::PeopleObjects& people) const {
  return gates::BallotOf(people, "Rollout", {input.uid, 1, input.plan_hash, ""},
                         {input.requested_by});
}

Round GateRound::Ask(const RoundInput& input, std::stop_token stop) {
  Tally tally;
  if (!input.gates->empty()) {
    for (const std::string& site : input.question.judged) {
      if (stop.stop_requested()) break;
      JudgeSite(input, site, stop, tally);
    }
  }
  for (const std::string& site : input.question.moved) JudgeMove(input, site, tally);
  if (!gates::WorthWriting(AllRecorded(*input.recorded), tally.round.results, clock_.Wall())) {
    *tally.said->mutable_gates() = input.recorded->gates();
  }
  Answer& answer = tally.round.answer;
  answer.question = input.question;
  answer.passed = tally.passed && !stop.stop_requested();
  // Numbers in a message are no news either: what is shown is what the status keeps.
  for (Hold& hold : answer.holds) {
    for (const v1alpha1::GateStatus& kept : tally.said->gates()) {
      if (kept.name() == hold.gate && kept.cause() == gates::CauseName(hold.cause)) {
        hold.message = kept.message();
      }
    }
  }
  answer.said = std::move(tally.said);
  return std::move(tally.round);
}

void GateRound::JudgeSite(const RoundInput& input, const std::string& name, std::stop_token stop,
                          Tally& tally) {
  const meta::ObjectPtr object = stores_.sites.Get({"", name});
  const auto site =
      object == nullptr ? base::NotFound("gone") : common::Decode<v1alpha1::Site>(*object);
  if (!site.ok()) {
    tally.passed = false;
    tally.round.answer.holds.push_back({name + "/site", gates::Cause::kPending,
                                        fmt::format("site {}: {}", name, site.status().message()),
                                        "the site's controller", ""});
    return;
  }
  const gates::ReadGates read = gates::GatesFrom(*input.gates, clock_.Wall());
  for (gates::Gate gate : read.gates) {
    gate.name = name + "/" + gate.name;
    tally.round.gates.push_back(std::move(gate));
  }
  const gates::Source source = providers_.Find(name, (*site)->spec());
  const gates::PeopleObjects people = stores_.people.All();
  gates::GatherInput gather = gates::SiteInput(name, **site, (*site)->status().stage(), read.gates,
                                               source, people, stores_.objectives);
  gather.ballot = BallotOf(input, people);
  gather.soak = gates::SoakFacts{(*site)->status().stage(), std::nullopt};
  const auto reached = base::ParseRfc3339((*site)->status().stage_reached_at());
  if (reached.ok()) gather.soak->entered_at = *reached;
  gather.external = external_;
  auto evidence = gates::Gather(gather, source.provider.get(), clock_, stop);
  // Asking took a while: what people said meanwhile counts at once.
  const gates::PeopleObjects latest = stores_.people.All();
  const gates::Ballot ballot = BallotOf(input, latest);
  for (gates::Evidence& each : evidence) {
    if (each.ballot) each.ballot = ballot;
    if (each.incidents) each.incidents = gates::IncidentsOf(latest, name);
  }
  gates::Context context = gates::ContextOf(latest, *object, WaiverRules(stores_, **site), ballot,
                                            clock_.Wall(), input.release);
  context.freezes.clear();  // those of the sites that move count, not of those that are judged
  Take(input, name,
       gates::LookAtGates(read, evidence, RecordedOf(*input.recorded, name, false), {}, context,
                          clock_.Wall()),
       source.scrape_interval, tally);
}

void GateRound::JudgeMove(const RoundInput& input, const std::string& name, Tally& tally) {
  const meta::ObjectPtr object = stores_.sites.Get({"", name});
  if (object == nullptr) return;
  const auto site = common::Decode<v1alpha1::Site>(*object);
  if (!site.ok()) return;
  std::string release = input.release;
  if (input.question.revert) {
    for (const v1alpha1::RolloutSite& each : input.recorded->sites()) {
      if (each.name() == name) release = each.from().release();
    }
  }
  const gates::PeopleObjects people = stores_.people.All();
  const gates::Context context = gates::ContextOf(people, *object, WaiverRules(stores_, **site),
                                                  BallotOf(input, people), clock_.Wall(), release);
  gates::GatesLook look = gates::LookAtGates({}, {}, RecordedOf(*input.recorded, name, true), {},
                                             context, clock_.Wall());
  // Nothing was asked here, so nothing to hold it is as good as passed.
  look.result.passed = gates::Blockers(look.result).empty();
  Take(input, name, look, gates::kScrapeInterval, tally);
}

void GateRound::Take(const RoundInput& input, const std::string& site, const gates::GatesLook& look,
                     base::Duration scrape_interval, Tally& tally) {
  tally.passed = tally.passed && look.result.passed;
  Answer& answer = tally.round.answer;
  answer.abort = answer.abort || look.result.abort;
  answer.revert = answer.revert || look.result.revert;
  for (gates::GateResult result : look.result.gates) {
    const auto own = std::find_if(look.evidence.begin(), look.evidence.end(),
                                  [&](const auto& e) { return e.gate == result.gate; });
    result.gate = site + "/" + result.gate;
    // Cut before it is compared with what the status keeps, or a long one would be news for ever.
    result.causes.front().message = std::string(types::Cut(result.message(), kMaxMessageBytes));
    if (tally.said->gates_size() < kMaxGates) {
      v1alpha1::GateStatus& status = *tally.said->add_gates();
      status = gates::StatusOf(result, own == look.evidence.end() ? gates::Evidence{} : *own);
      // The audit log has all of it; what the next look needs is the time of the data.
      while (status.evidence_size() > 1) status.mutable_evidence()->RemoveLast();
      if (status.evidence_size() == 1) status.mutable_evidence(0)->clear_query();
    }
    tally.round.results.push_back(std::move(result));
  }
  for (const gates::GateResult* blocker : gates::Blockers(look.result)) {
    answer.holds.push_back({site + "/" + blocker->gate, blocker->cause(), blocker->message(),
                            blocker->unblocked_by, ""});
  }
  const std::string subject = "Rollout/" + input.rollout;
  for (const gates::StageRecord& record : look.changed) {
    tally.round.entries.push_back(
        audit::VerdictEntry(subject, "controller", "Site/" + site, record));
    for (audit::Entry& use : audit::UseEntries(subject, "controller", "Site/" + site, record)) {
      tally.round.waives = tally.round.waives || use.type == audit::kExemptionUsed;
      tally.round.entries.push_back(std::move(use));
    }
  }
  const base::Duration again = gates::WhenToLookAgain(look.result, scrape_interval, look.now);
  if (answer.again == base::Duration::zero() || again < answer.again) answer.again = again;
}

}  // namespace sluice::rollout
