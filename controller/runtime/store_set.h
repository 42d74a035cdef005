// The caches of one process: one informer per (kind, narrowing), shared by all who ask.
//
// Thread rule: any thread. Start() starts the informers there are; later ones start when made.
// Stop: Stop() ends and joins them all.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/cache/informer.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"
#include "controller/runtime/manager.h"
#include "controller/runtime/version_asker.h"

namespace sluice::runtime {

class StoreSet {
 public:
  // `on_synced` is called on an informer's thread whenever a store is synced for the first time.
  // `start_from_server_cache`: see informer.h.
  StoreSet(client::Client& client, base::Clock& clock, base::metrics::Registry& registry,
           std::function<void()> on_synced, bool start_from_server_cache = false);
  ~StoreSet();

  // Before the kind's first store: manager.h.
  void Prune(const meta::Resource& resource, cache::PruneFunction function);
  cache::Store& Of(const meta::Resource& resource, const StoreOptions& options);
  void AddIndex(const meta::Resource& resource, const StoreOptions& options, std::string index,
                cache::IndexFunction function);
  void Subscribe(const meta::Resource& resource, const StoreOptions& options,
                 cache::EventHandler handler);
  // We wrote this: its key is stale in each store that will show it (cache/scope.h) until its watch
  // does (cache/store.h).
  void Expect(const meta::Resource& resource, const meta::Object& written);
  void Start();
  void Stop();
  // Why a store could not be made (informer.h); OK when all were. Such a store stays empty.
  base::Status problem() const;
  // Names of the stores that are not synced yet (cache/debug.h).
  std::vector<std::string> Unsynced() const;
  bool AllSynced() const;

  nlohmann::json Debug() const;  // what /debug shows: a list (cache/debug.h)

 private:
  struct Entry;
  void Learn(const client::ServerVersion& version);
  Entry& Find(const meta::Resource& resource, const StoreOptions& options);

  client::Client& client_;
  base::Clock& clock_;
  base::metrics::Registry& registry_;
  const std::function<void()> on_synced_;
  const bool start_from_server_cache_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;  // guarded by mutex_
  // Guarded by mutex_, as are the three below.
  std::vector<std::pair<meta::Resource, cache::PruneFunction>> prunes_;
  bool started_ = false;
  base::Status problem_;
  bool comparable_ = false;  // versions, once known
  VersionAsker asker_;       // the last to be made
};

}  // namespace sluice::runtime
