// One round of a wave's gates: gathers the evidence about each site that is judged, lets the one
// evaluator decide (reconcilers/gates), and asks what holds each site that is to move. It decides
// nothing itself.
//
// Thread rule: any thread. Blocks at most gates::kGatherTimeout a judged site.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "reconcilers/audit/entry.h"
#include "reconcilers/gates/external_check.h"
#include "reconcilers/gates/objects/look.h"
#include "reconcilers/gates/objects/people.h"
#include "reconcilers/gates/provider/provider_pool.h"
#include "reconcilers/rollout/plan.h"
#include "reconcilers/rollout/stores.h"

namespace sluice::rollout {

struct RoundInput {
  std::string rollout, uid, requested_by, release, plan_hash;
  Question question;
  const gates::GateMessages* gates = nullptr;         // the wave's, or revertGates
  const v1alpha1::RolloutStatus* recorded = nullptr;  // with the answers before
};

struct Round {
  Answer answer;
  // Verdicts that changed, and what people's words they rest on: to be in the audit log first.
  std::vector<audit::Entry> entries;
  bool waives = false;  // an exemption lets something pass
  // What was asked and what came of it, each named site/gate.
  std::vector<gates::Gate> gates;
  std::vector<gates::GateResult> results;
};

class GateRound {
 public:
  GateRound(const Stores& stores, common::SecretReader& secrets, gates::ExternalAsker* external,
            base::Clock& clock)
      : stores_(stores), providers_(secrets), external_(external), clock_(clock) {}
  Round Ask(const RoundInput& input, std::stop_token stop);

 private:
  struct Tally;  // what the round has found so far
  gates::Ballot BallotOf(const RoundInput& input, const gates::PeopleObjects& people) const;
  void JudgeSite(const RoundInput& input, const std::string& site, std::stop_token stop,
                 Tally& tally);
  void JudgeMove(const RoundInput& input, const std::string& site, Tally& tally);
  void Take(const RoundInput& input, const std::string& site, const gates::GatesLook& look,
            base::Duration scrape_interval, Tally& tally);

  const Stores stores_;
  gates::ProviderPool providers_;
  gates::ExternalAsker* const external_;
  base::Clock& clock_;
};

}  // namespace sluice::rollout
