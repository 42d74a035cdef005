// Brings what the cache lacks from origins, for one loop: object metadata (Load) and chunk bytes
// (Fill).
//
// Single flight: a name is loaded by one loop only, its home (the server chooses it by hash), and
// while a load is in progress others join it. Chunks need no home: their tickets are single
// already. A fill goes on when the client that began it leaves; it ends with its window.
//
// A cold GET needs no HEAD first: the load is a ranged GET of the first window; its head gives the
// metadata and its body the first chunks. Checksums of the whole object come with a HEAD, and with
// a GET without a range when who waits asked for them: that one is broken off behind its window.
//
// Retries, deadlines and the circuit that makes a dead origin cost a bounded time once, not once a
// request, are the origin client's (datapath/origin).
//
// Thread rule: the loop's thread. Stop: Stop() fails every load and fill with Cancelled.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "datapath/net/event_loop.h"
#include "datapath/net/task.h"
#include "datapath/s3/error.h"
#include "datapath/serve/directory.h"
#include "datapath/serve/limits.h"
#include "datapath/serve/log_limit.h"
#include "datapath/serve/upstream.h"
#include "datapath/store/cache.h"

namespace sluice::serve {

// One origin object, and the configuration it was resolved under.
struct OriginObject {
  DirectoryPtr directory;  // keeps `mount` alive
  const MountEntry* mount = nullptr;
  std::string key;  // at the origin
  std::string cache_name;
};

struct LoadResult {
  enum class Kind : std::uint8_t {
    kObject,       // the current version, confirmed just now
    kError,        // the origin's answer about it: NoSuchKey, AccessDenied ...
    kUnreachable,  // no answer: serve what is cached, or ServiceUnavailable
    kUncacheable,  // exists, but must be passed through
  };
  Kind kind = Kind::kUnreachable;
  store::ObjectRef object;
  s3::ErrorCode error = s3::ErrorCode::kNone;
};

class Fetcher {
 public:
  using OnLoaded = net::Callback<void(const LoadResult&)>;

  Fetcher(net::EventLoop& loop, store::Cache& cache, Upstream& upstream);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // `done` is called from the loop, never from inside this call.
  // `first_byte`: where the body that will be wanted begins, to bring with the metadata; nullopt:
  // metadata only (HEAD, revalidation, suffix ranges).
  // `end_byte`: where it ends, when the client said so.
  struct Want {
    std::optional<std::uint64_t> first_byte;
    std::optional<std::uint64_t> end_byte;  // exclusive
    base::MonoTime asked;  // an answer confirmed since then (by a load that has just ended) will do
    bool checksums = false;  // the object's are wanted (Object::checksums)
  };
  void Load(const OriginObject& target, const Want& want, OnLoaded done);

  // `tickets`: of consecutive chunks of `object`. They are filled, or failed with
  // Aborted (the object changed; it was invalidated), Unavailable, DeadlineExceeded, DataLoss.
  void Fill(const OriginObject& target, const store::ObjectRef& object,
            std::vector<store::FillTicket> tickets);
  std::size_t fills_in_progress() const { return runs_.size(); }
  void Stop();

 private:
  class Run;  // one request to the origin
  friend class Run;
  struct Loading {
    std::vector<OnLoaded> waiters;
  };

  void FinishLoad(const std::string& cache_name, const LoadResult& result);
  void Retire(Run* run);

  net::EventLoop& loop_;
  store::Cache& cache_;
  Upstream& upstream_;
  std::unordered_map<std::string, Loading> loading_;
  std::list<std::unique_ptr<Run>> runs_;
  LogLimit log_limit_;
  bool stopping_ = false;
};

}  // namespace sluice::serve
