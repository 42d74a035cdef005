// The objective's controller. Reads caches, asks the subject's Prometheus, renders rules, writes
// what differs. Thread rule: Reconcile from several workers, one a key; blocks at most for a
// gathering.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"
#include "controller/reconcile/reconcile.h"
#include "controller/recorder/recorder.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/gates/blocked_gauge.h"
#include "reconcilers/gates/provider/provider_pool.h"
#include "reconcilers/slo/rules_object.h"
#include "reconcilers/slo/status.h"

namespace sluice::v1alpha1 {
class ServiceLevelObjective;
class Site;
}  // namespace sluice::v1alpha1

namespace sluice::slo {

struct Stores {
  cache::Store& objectives;
  cache::Store& sites;
  cache::Store& tenants;
  cache::Store& config_maps;  // those that we manage
};

class SloReconciler final : public reconcile::Reconciler {
 public:
  SloReconciler(const Stores& stores, client::Client& api, common::SecretReader& secrets,
                recorder::Recorder& recorder, base::metrics::Registry& metrics, base::Clock& clock);
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override;

 private:
  // The site whose Prometheus answers: the subject, or the first site of the tenant. Errors:
  // NotFound saying what is missing.
  base::StatusOr<std::shared_ptr<const v1alpha1::Site>> SiteOf(
      const v1alpha1::ServiceLevelObjective& objective, std::string& name) const;
  Read Measure(const meta::Object& object, const v1alpha1::ServiceLevelObjective& objective,
               base::Duration& scrape_interval, std::stop_token stop);
  void ApplyRules(const meta::Object& object, const v1alpha1::ServiceLevelObjective& objective,
                  Read& read);
  // Whether Prometheus Operator's rule kind is installed; asked anew every kRecheckRules.
  // `otherwise` while no clear answer ever came.
  bool HasPrometheusRules(bool otherwise);
  // Takes away the objective's rules of before there were PrometheusRules: they would be evaluated
  // twice.
  base::Status RemoveMap(const meta::Object& object, const meta::Key& key);
  bool IsPlaced(const std::string& name, const std::string& rules);
  void Export(const std::string& name, const Read& read);
  void Drop(const std::string& name);

  const Stores stores_;
  client::Client& api_;
  recorder::Recorder& recorder_;
  base::metrics::Registry& metrics_;
  base::Clock& clock_;
  gates::BlockedGauge blocked_;
  gates::ProviderPool providers_;
  common::Applier applier_;

  std::mutex mutex_;
  std::optional<bool> has_prometheus_rules_;  // guarded by mutex_; nothing: not known yet
  std::optional<base::MonoTime> asked_at_;    // guarded by mutex_
  // Where an objective's rules are and their hash, and when that was looked at.
  struct Placed {
    std::string rules;
    base::MonoTime at;
  };
  std::map<std::string, Placed> placed_;  // guarded by mutex_; by objective
};

}  // namespace sluice::slo
