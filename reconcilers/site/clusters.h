// The clusters that Sites name by `spec.cluster`: reached by the kubeconfig in a Secret of the
// controller's own namespace, with caches of nodes and of what we make there.
//
// Rules:
//  1. A Secret is taken as a kubeconfig only when it carries the label kClusterLabel: whoever may
//     write a Site shall not have us send anything of our namespace's other Secrets anywhere.
//  2. A kubeconfig that changed replaces client and caches; one that is refused replaces nothing
//     and is told of. A Secret that went takes the cluster along: nothing is done there any more,
//     and what runs there goes on.
//  3. Clusters that do not answer, however many, delay nobody else: Enter lets one worker at a time
//     into a cluster, there are more workers than clusters (limits.h), and nobody is let into one
//     that is known not to answer. Token reviews: by ClusterOf, agents/enrolment.h.
//  4. Every replica follows: followers answer agents' enrolments and roster, too.
//
// Sites are looked at again (`changed`) when their cluster's health, nodes or objects change.
//
// Thread rule: any thread; nothing here waits for a cluster. Stop: Stop(), after the Manager ran
// and before it goes; Of says so afterwards.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/base/status.h"
#include "controller/clusters/cluster_set.h"
#include "controller/meta/object.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/site/place.h"

namespace sluice::site {

inline constexpr const char* kClusterLabel = "sluice.dev/cluster";  // its value does not matter

// Whether the Site names another cluster. Reads the object's text only.
bool IsElsewhere(const meta::Object& site);

class SiteClusters {
 public:
  struct Deps {
    const cache::Store& sites;
    common::SecretReader& secrets;
    base::Clock& clock;
    base::metrics::Registry& registry;
    std::function<bool()> leading;
    base::Duration probe_period = clusters::kProbePeriod;
  };
  explicit SiteClusters(Deps deps);
  ~SiteClusters();
  SiteClusters(const SiteClusters&) = delete;
  SiteClusters& operator=(const SiteClusters&) = delete;

  // Set before the first Follow.
  void OnChange(std::function<void(const meta::Key& site)> changed);

  // Takes the Site's kubeconfig as it stands now. Forget: the Site went.
  void Follow(const meta::Object& site);
  void Forget(const std::string& site);

  // The place of a Site for which IsElsewhere. Reasons of a state that is not OK:
  // KubeconfigMissing, KubeconfigRefused, EndpointMissing, Connecting, and what the cluster answers
  // (Forbidden, CredentialsRefused, Unavailable …).
  Place Of(const meta::Object& site) const;

  // Whoever holds it is the one worker in the Site's cluster; nullptr: somebody else is.
  std::shared_ptr<void> Enter(const meta::Object& site);

  // Who reviews tokens of the Site's agents: nullptr means the cluster we are in. Errors:
  // Unavailable.
  base::StatusOr<std::shared_ptr<client::Client>> ReviewClient(const std::string& site) const;
  // The name of the cluster of a Site; empty: the one we are in, or there is no such Site. Answers
  // at once.
  std::string ClusterOf(const std::string& site) const;

  nlohmann::json Debug() const;  // clusters/cluster_set.h

  void Stop();

 private:
  struct Hands;
  void SetUp(clusters::Cluster& cluster);
  void Tell(const std::string& cluster) const;
  base::StatusOr<std::string> Kubeconfig(const meta::Object& site) const;
  // Whoever holds it decides what becomes of the cluster that Sites share, and does it; others of
  // the same cluster wait.
  std::shared_ptr<void> TurnOf(const std::string& cluster);
  void Remove(const std::string& cluster);
  std::shared_ptr<Hands> HandsOf(const std::shared_ptr<clusters::Cluster>& cluster) const;

  const Deps deps_;
  const client::RequestObserver requests_;  // of all clusters' clients, told apart by host
  std::function<void(const meta::Key&)> changed_;
  mutable std::mutex mutex_;
  // Guarded by mutex_: the cluster each Site names, what is wrong with a kubeconfig, which clusters
  // a worker is in, whose turn is taken.
  std::map<std::string, std::string> cluster_of_;
  std::map<std::string, base::Status> problems_;
  std::set<std::string> inside_;
  std::set<std::string> turns_;
  std::condition_variable turn_ended_;
  // What writes to a cluster go through; made anew with the cluster. Let go of without mutex_
  // (clusters/cluster.h).
  mutable std::map<std::string, std::shared_ptr<Hands>> hands_;
  std::unique_ptr<clusters::ClusterSet> set_;
};

}  // namespace sluice::site
