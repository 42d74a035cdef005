// The clusters a controller works in besides its own, from kubeconfigs that lie in Secrets; added,
// replaced and removed while running.
//
//   ClusterSet clusters({.set_up = [&](Cluster& cluster) { ... InformerOf(...)->Subscribe ... },
//                        .on_state = [&](const std::string& name, const State& state) { ... }},
//                       clock, registry);
//   secrets_informer.Subscribe(FollowSecrets(clusters, "kubeconfig"));
//   if (auto cluster = clusters.Find("phoenix")) cluster->client().Get(...);
//
// A kubeconfig from a Secret may hold data only: an exec plugin, a file path or a proxy would be
// code execution, disclosure or a way round the network policy in our process, so it is refused
// with the field's name, as are impersonation, plain http and insecure-skip-tls-verify.
//
// A kubeconfig that changed replaces its cluster: a new client, new caches, set_up again. One that
// is refused replaces nothing: the cluster of before stays, and on_state tells; when its kubeconfig
// comes back, on_state tells how that cluster stands.
//
// Metrics: sluice_cluster_reachable{cluster} 1 or 0.
//
// Thread rule: any thread; nothing here waits for a cluster: what is removed is stopped by a thread
// kept for that. `on_state` may come from a cluster's thread or from Set's caller, one at a time;
// it must not call Set, Remove or Stop. Stop: Stop() or the destructor joins everything.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/base/status.h"
#include "controller/cache/store.h"
#include "controller/clusters/cluster.h"
#include "controller/clusters/limits.h"

namespace sluice::clusters {

struct Options {
  // Called for each new cluster before it is found by others; asks for its caches.
  std::function<void(Cluster&)> set_up;
  std::function<void(const std::string& name, const State&)> on_state;
  base::Duration probe_period = kProbePeriod;
};

class ClusterSet {
 public:
  // Both outlive it.
  ClusterSet(Options options, base::Clock& clock, base::metrics::Registry& registry);
  ~ClusterSet();
  ClusterSet(const ClusterSet&) = delete;
  ClusterSet& operator=(const ClusterSet&) = delete;

  // Adds or replaces; makes nothing when the text is the one in use. One caller at a time for a
  // name: of several each makes a cluster, and the last one stays. Errors: InvalidArgument with
  // reason "KubeconfigRefused" naming the field (never its value); ResourceExhausted.
  base::Status Set(const std::string& name, const std::string& kubeconfig);
  // No such name is fine.
  void Remove(const std::string& name);
  std::shared_ptr<Cluster> Find(const std::string& name) const;  // nullptr: there is none
  nlohmann::json Debug() const;  // for Manager::AddDebug: a list, of each health and caches
  void Stop();

 private:
  struct Entry {
    std::string digest;  // of the kubeconfig; it is a secret itself
    std::uint64_t number = 0;
    std::shared_ptr<Cluster> cluster;
    bool refused = false;  // another kubeconfig since, so that on_state's last word is not on this
  };
  base::Status Refuse(const std::string& name, const base::Status& why);
  void Tell(const std::string& name, std::uint64_t number);
  void Show(const std::string& name, bool reachable);
  void Retire(std::shared_ptr<Cluster> cluster);
  void Reap();

  const Options options_;
  base::Clock& clock_;
  base::metrics::Registry& registry_;
  std::mutex telling_;  // held while on_state runs; before mutex_
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Entry> entries_;          // guarded by mutex_, as are:
  std::deque<std::shared_ptr<Cluster>> retired_;  // for the reaper to stop
  std::uint64_t made_ = 0;
  bool stopping_ = false;
  std::thread reaper_;
};

// Sets and removes clusters as Secrets come, change and go; a cluster has its Secret's name. For a
// store of Secrets that is narrowed to those meant for it (a label), as caches of Secrets must be.
// A Secret without `key` is refused as a kubeconfig is.
cache::EventHandler FollowSecrets(ClusterSet& clusters, std::string key);

}  // namespace sluice::clusters
