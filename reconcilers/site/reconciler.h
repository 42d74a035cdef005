// Makes a Site so, in the leader: objects, status, metrics; and on deletion, nothing left.
//
// Deletion, each step once the one before is seen done: the DaemonSet goes in the foreground (its
// agents drain), then the namespace with what is left in it (both: teardown.h), then the published
// configuration, then our finalizer. What the Site owns besides (objectives) the garbage collector
// takes. The condition Deleting says what is waited for.
//
// A Site elsewhere (spec.cluster) is made so in its cluster: the objects above but for objectives.
// Its finalizer is put on when that cluster is first found usable; its deletion waits for the
// cluster (WaitingForCluster), unless somebody takes the finalizer off and leaves behind what runs.
//
// A namespace of the site's name that was not made for this very Site is neither used nor deleted.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/client/client.h"
#include "controller/reconcile/reconcile.h"
#include "controller/recorder/recorder.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/site/clusters.h"
#include "reconcilers/site/config_reconciler.h"
#include "reconcilers/site/inputs.h"
#include "reconcilers/site/metrics.h"
#include "reconcilers/site/objects.h"
#include "reconcilers/site/status.h"

namespace sluice::site {

inline constexpr const char* kFinalizer = "sluice.dev/site";

// What the Site owns, as cached.
struct OwnedStores {
  cache::Store& namespaces;
  cache::Store& accounts;
  cache::Store& config_maps;
  cache::Store& daemon_sets;
  cache::Store& services;
  cache::Store& objectives;
};

// What says how a Site's agents are renewed, as cached.
struct ReleaseStores {
  const cache::Store& releases;
  const cache::Store& rollouts;
};

class SiteReconciler final : public reconcile::Reconciler {
 public:
  SiteReconciler(Stores stores, OwnedStores owned, ReleaseStores release_stores,
                 common::SecretReader& secrets, client::Client& api,
                 agents::ConfigPublisher& publisher, agents::FleetView& fleet,
                 DerivedConfigs& derived, std::function<AgentOptions()> options,
                 recorder::Recorder& recorder, base::metrics::Registry& registry,
                 base::Clock& clock, SiteClusters* clusters = nullptr);

  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override;

 private:
  Place PlaceOf(const meta::Object& site);
  void ReadRelease(Inputs& in) const;
  base::Status Converge(const Inputs& in, const Place& place, Observed& observed);
  // When a run that found nothing to retry is due again.
  reconcile::Result NextLook(const Inputs& in, const Observed& observed) const;
  base::Status ClaimNamespace(const Inputs& in, const Place& place);
  base::Status ApplyAll(const std::vector<WantedObject>& wanted, const Place& place,
                        Observed& observed);
  base::Status DropStaleObjectives(const Inputs& in);
  base::Status AddFinalizer(const meta::Object& site);
  base::Status RemoveFinalizer(const meta::Object& site);
  reconcile::Result TearDown(const meta::ObjectPtr& site);
  // What was made for the Site is gone, or goes with it.
  void ForgetApplied(common::Applier& applier, const std::string& site);
  base::Status TellDeleting(const meta::Object& site, const Pending& pending);
  // Once under each epoch: retires what is published for a Site that does not exist.
  void SweepRecord();
  void RecordTransition(const meta::Object& site, const nlohmann::json& before,
                        const nlohmann::json& after);
  const cache::Store* StoreOf(const meta::Resource& resource, const Place& place) const;

  Stores stores_;
  OwnedStores owned_;
  const ReleaseStores release_stores_;
  common::SecretReader& secrets_;
  client::Client& api_;
  agents::ConfigPublisher& publisher_;
  agents::FleetView& fleet_;
  DerivedConfigs& derived_;
  const std::function<AgentOptions()> options_;
  recorder::Recorder& recorder_;
  SiteMetrics metrics_;
  base::Clock& clock_;
  SiteClusters* const clusters_;
  common::Applier applier_;
  std::atomic<std::int64_t> swept_epoch_{0};
};

}  // namespace sluice::site
