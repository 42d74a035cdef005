// The promotion controller: one key a Site. Reads caches, plans purely (plan.h), asks the site's
// Prometheus, lets the evaluator decide (look.h), writes.
//
// Order of writes when every gate passes, so that any of them may be the last one before a crash:
// the Promotion's verdicts with their evidence; the Site's stage (with the resourceVersion that was
// judged as precondition); the Promotion's outcome. A restart finds the next one missing and does
// it. What a write says is in the audit log before it (audit/appender.h); while the log cannot be
// written nothing starts, moves or ends, and the status says AuditUnavailable.
//
// Thread rule: Reconcile from several workers, one a key. Blocks at most for a gathering
// (gates::kGatherTimeout) and a few writes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/base/clock.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"
#include "controller/reconcile/reconcile.h"
#include "controller/recorder/recorder.h"
#include "reconcilers/audit/appender.h"
#include "reconcilers/gates/gate_gauges.h"
#include "reconcilers/gates/objects/people_stores.h"
#include "reconcilers/gates/provider/provider_pool.h"
#include "reconcilers/promotion/plan.h"

namespace sluice::v1alpha1 {
class PromotionStatus;
}  // namespace sluice::v1alpha1

namespace sluice::gates {
class ExternalAsker;
}  // namespace sluice::gates

namespace sluice::promotion {

struct Look;

inline constexpr const char* kFieldManager = "sluice-promotion";
inline constexpr const char* kPromotionsBySite = "promotion-site";

struct Stores {
  cache::Store& sites;
  cache::Store& classes;
  cache::Store& plans;
  cache::Store& promotions;  // with the index kPromotionsBySite
  cache::Store& objectives;
  gates::PeopleStores people = {};
};

class PromotionReconciler final : public reconcile::Reconciler {
 public:
  PromotionReconciler(const Stores& stores, client::Client& api, common::SecretReader& secrets,
                      audit::Appender& audit, recorder::Recorder& recorder,
                      base::metrics::Registry& metrics, base::Clock& clock,
                      gates::ExternalAsker* external = nullptr);
  ~PromotionReconciler() override;
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override;

 private:
  struct World;  // one run's reading of the caches
  base::StatusOr<World> Read(const meta::ObjectPtr& site) const;
  base::Status TidyUp(const World& world);
  reconcile::Result Create(const World& world);
  reconcile::Result Evaluate(const World& world, std::stop_token stop);
  reconcile::Result StepDown(const World& world);
  // What was decided about the site's step to `stage` under the plan of that hash.
  gates::Ballot BallotAbout(const World& world, const gates::PeopleObjects& people,
                            const std::string& stage, const std::string& plan_hash) const;
  reconcile::Result Advance(const World& world, const std::string& promotion,
                            std::int64_t generation);
  // Into the audit log. Errors: Unavailable with reason "AuditUnavailable".
  base::Status Record(const std::vector<audit::Entry>& entries, audit::Anchor anchor);
  base::Status RecordLook(const World& world, const Look& look);
  // What a status makes of a run; a failed Record is shown on the Site first.
  reconcile::Result Refused(const World& world, const base::Status& status);
  base::Status WriteStatus(const meta::Object& promotion, const v1alpha1::PromotionStatus& status);
  base::Status End(const meta::Object& promotion, const std::string& outcome,
                   const std::string& message);
  // Sets the stage unless the Site changed since it was judged (Aborted, reason Conflict).
  base::Status SetStage(const World& world, const std::string& stage, const std::string& reason,
                        const std::string& how);
  base::Status ApplySitePart(const meta::Object& site, const nlohmann::json& part);
  // Whether a cache has not caught up with our own writes about this site.
  bool IsBehind(const meta::Key& site) const;
  static reconcile::Result Outcome(const base::Status& status,
                                   reconcile::Result done = reconcile::Result::Done());
  base::Status WriteSitePart(const World& world, const v1alpha1::PromotionStatus* open);
  void Tell(const meta::Object& about, const meta::Resource& resource, recorder::Type type,
            const char* reason, const std::string& note);

  const Stores stores_;
  client::Client& api_;
  audit::Appender& audit_;
  recorder::Recorder& recorder_;
  base::Clock& clock_;
  gates::ExternalAsker* const external_;
  gates::ProviderPool providers_;
  gates::GateGauges metrics_;
  std::mutex mutex_;
  std::map<std::string, std::string> applied_;  // guarded by mutex_; Site -> its part, as written
};

}  // namespace sluice::promotion
