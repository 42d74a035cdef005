// The rollout controller: one key a Rollout. Reads caches, plans purely (plan.h), asks the gates
// when the plan wants an answer (gate_round.h), writes.
//
// Order of writes, so that any of them may be the last one before a crash: the audit log; the
// Rollout's status, which alone allows a site any node; spec.release of the sites, which follows
// from that status and is looked at in every run. While the log cannot be written no status that
// moves anything is written, and the status says AuditUnavailable.
//
// Thread rule: Reconcile from several workers, one a key. Two Rollouts that want one site: whoever
// writes the Site first has it (resourceVersion), the other waits for its end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/client/client.h"
#include "controller/reconcile/reconcile.h"
#include "controller/recorder/recorder.h"
#include "reconcilers/audit/appender.h"
#include "reconcilers/gates/gate_gauges.h"
#include "reconcilers/rollout/gate_round.h"
#include "reconcilers/rollout/plan.h"
#include "reconcilers/rollout/stores.h"

namespace sluice::v1alpha1 {
class Rollout;
}  // namespace sluice::v1alpha1

namespace sluice::rollout {

inline constexpr const char* kFieldManager = "sluice-rollout";

// The image that a Site without spec.release runs.
struct DefaultImage {
  std::string image, pull_policy;
};

class RolloutReconciler final : public reconcile::Reconciler {
 public:
  RolloutReconciler(const Stores& stores, client::Client& api, common::SecretReader& secrets,
                    audit::Appender& audit, recorder::Recorder& recorder,
                    base::metrics::Registry& metrics, base::Clock& clock,
                    DefaultImage default_image, gates::ExternalAsker* external = nullptr);
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override;

 private:
  struct World;  // one run's reading of the caches
  base::StatusOr<World> Read(const meta::ObjectPtr& rollout) const;
  void ReadSites(World& world) const;
  // The plan, with the gates asked where it wants them, and every entry in the audit log.
  Plan Decide(World& world, std::optional<Round>& round, std::stop_token stop);
  base::Status Record(const World& world, const Plan& plan, const Round* round);
  base::Status WriteStatus(const World& world, Plan& plan, bool& wrote);
  base::Status WriteSites(const World& world, const Plan& plan);
  void Show(const World& world, const Plan& plan, const Round* round);
  void Forget(const std::string& name);

  const Stores stores_;
  client::Client& api_;
  audit::Appender& audit_;
  recorder::Recorder& recorder_;
  base::metrics::Registry& metrics_;
  base::Clock& clock_;
  const DefaultImage default_image_;
  GateRound gates_;
  gates::GateGauges gauges_;
};

}  // namespace sluice::rollout
