// One other cluster: a client of its API server, caches of what is asked for, and whether it can be
// reached. Made by a ClusterSet (cluster_set.h).
//
// It has threads and connections of its own, so one that cannot be reached delays nobody but who
// calls it, and those at most kRequestTimeout. Its caches stay readable meanwhile, as old as
// state().since says, and catch up by themselves.
//
// Thread rule: any thread. Stop: Stop() or the destructor; calls under way return Cancelled.
// Whoever holds a removed cluster may go on reading its caches; calls are Cancelled. Its destructor
// also waits for a name look-up under way (http/resolver.h): let go of one without a lock.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/cache/guard.h"
#include "controller/cache/informer.h"
#include "controller/client/client.h"

namespace sluice::clusters {

enum class Health {
  kConnecting,   // not reached yet, and not found unreachable either
  kReachable,    // answered, and took our credentials
  kUnreachable,  // `reason` and `message` say why; it is tried again for ever
  kRefused,      // its kubeconfig is not taken; a good one of before stays in use
};

// Fits a condition: status, reason (CamelCase), message, lastTransitionTime.
struct State {
  Health health = Health::kConnecting;
  std::string reason;
  std::string message;
  base::WallTime since;  // when `health` became what it is
};

class Cluster {
 public:
  using Observer = std::function<void(const State&)>;

  // `observer` is told of each change, on the cluster's own thread. `clock` outlives it.
  Cluster(std::string name, std::unique_ptr<client::Client> client, base::Clock& clock,
          base::Duration period, Observer observer);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  const std::string& name() const { return name_; }
  client::Client& client() { return *client_; }
  // The cache of this part of a kind, made and started on first use; as options, those of the first
  // one who asked. Errors: InvalidArgument (informer.h), ResourceExhausted.
  base::StatusOr<cache::Informer*> InformerOf(const cache::InformerOptions& options);
  // We wrote this there: stale in the caches that will show it (informer.h).
  void Expect(const meta::Resource& resource, const meta::Object& written);
  State state() const;
  nlohmann::json Debug() const;  // what /debug shows of it

  void Start();  // begins to look whether it can be reached; nothing once it was stopped
  void Stop();

 private:
  void Loop();
  void Took(const base::Status& answer);
  void Learn(const client::ServerVersion& version);

  const std::string name_;
  const std::unique_ptr<client::Client> client_;
  base::Clock& clock_;
  const base::Duration period_;
  const Observer observer_;
  cache::Guard guard_;

  struct Entry {
    cache::InformerOptions options;
    std::unique_ptr<cache::Informer> informer;
  };
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;       // guarded by mutex_, as are, the thread's start among them:
  std::vector<Entry> entries_;  // stopped when stopping_, never removed
  State state_;
  bool comparable_ = false;  // resourceVersions, once the server told its version
  int failures_ = 0;         // of the looking thread
  std::once_flag stopped_;
  std::thread thread_;
};

}  // namespace sluice::clusters
