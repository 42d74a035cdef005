// Keeps the Store of one kind in one cluster true: lists, watches, resumes, and tells who asked of
// every change. What it does next is decided by reflector_machine.h; this is the thin part that
// acts.
//
//   auto informer = cache::Informer::New(client, clock, {.resource = kSites}).value();
//   informer->Subscribe([](const cache::Event& event) { ... });
//   informer->Start();
//   ... informer->store().Get(key) ...
//   informer->Stop();
//
// Memory while synchronising: one event beyond the store with WatchList, one page beyond it with
// the paged fall-back; also on a relist, where unchanged objects are kept and tell nobody. Where a
// relist shows objects as they were before, or some that were gone, those until its end.
//
// Thread rule: all methods from any thread. Handlers run in order on the informer's thread (or, for
// one that subscribes late, its first calls on the subscribing thread). Stop: Stop() or the
// destructor ends the request under way through its stop token and joins; idempotent. After Stop
// the store stays readable.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/cache/limits.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"

namespace sluice::cache {

// Exceptions of what is registered here end nothing: guard.h.

// What of an object the cache keeps: called for every object on its way in, before anyone sees it.
// Must keep the identity (name, namespace, uid, resourceVersion). Pure.
using PruneFunction = std::function<meta::ObjectPtr(meta::ObjectPtr)>;

struct InformerOptions {
  meta::Resource resource;
  std::string ns;  // empty: all namespaces
  std::string label_selector;
  std::string field_selector;
  bool metadata_only = false;
  // In so many words: cache every Secret, or every Pod, of the cluster. Needed wherever the scope
  // does not narrow (scope.h): "a!=b" holds nearly all of them.
  bool all_secrets_or_pods = false;
  PruneFunction prune;
  bool watch_list = true;  // falls back by itself where the server refuses or ends streams early
  // The first state may be the one the server's own cache holds (resourceVersion 0, as client-go's
  // lists begin): it comes at once, while the newest waits up to 0.1 s for etcd's word that the
  // cache is current. That cache may lag, also behind what we wrote in our last life. Later
  // readings are never older than what was seen.
  bool start_from_server_cache = false;
  int page_size = kListPageSize;
  std::chrono::seconds watch_timeout{300};  // each watch lasts one to two of these
  // Everything is read anew this often, jittered: it repairs what an event that was lost on the
  // way, or a cluster that was restored without our noticing, left wrong.
  std::chrono::seconds relist_period{3600};
  std::uint64_t seed = 0;  // of the jitter; 0 picks one
  // Called once, on the informer's thread, after the first whole state was read and told.
  std::function<void()> on_synced;
};

struct InformerStats {
  bool synced = false;
  std::size_t objects = 0;
  std::uint64_t streams = 0;  // WatchList initial readings begun
  std::uint64_t lists = 0;    // paged ones
  std::uint64_t watches = 0;  // resumptions
  std::uint64_t events = 0;   // added, modified, deleted lines
  std::uint64_t bookmarks = 0;
  std::uint64_t failures = 0;    // steps that ended with an error
  base::Status last_error;       // of the last of these
  std::uint64_t exceptions = 0;  // of what others registered: guard.h
  base::MonoTime last_heard{};   // when the server last told anything
};

class Informer {
 public:
  // `client` and `clock` outlive the informer. Errors: InvalidArgument: Secrets or Pods in a scope
  // that does not narrow, unless all_secrets_or_pods; a selector that cannot be read.
  static base::StatusOr<std::unique_ptr<Informer>> New(client::Client& client, base::Clock& clock,
                                                       InformerOptions options);
  virtual ~Informer() = default;

  virtual Store& store() = 0;
  // The server's resourceVersions compare as numbers (client::ServerVersion): whoever makes the
  // informer finds out, once for all informers of a client. Until then they are opaque.
  virtual void UseComparableVersions() = 0;
  // We wrote this (the answer to a write that stays): where this cache will show it, or holds it
  // and will show that it went, its key is stale until it does (store.h).
  virtual void Expect(const meta::Resource& resource, const meta::Object& written) = 0;
  // Before or after Start; builds the index of what is there.
  virtual void AddIndex(std::string name, IndexFunction function) = 0;
  // A late subscriber first gets everything there is as initial additions; one that was just on its
  // way may come twice. Not from within a handler.
  virtual void Subscribe(EventHandler handler) = 0;
  virtual void Start() = 0;
  virtual void Stop() = 0;
  // True once synced; false when `deadline` passed or it was stopped.
  virtual bool WaitUntilSynced(base::MonoTime deadline) = 0;
  virtual InformerStats Stats() const = 0;
};

}  // namespace sluice::cache
