// The Kubernetes API as narrow capabilities: Reader, Writer, StatusWriter, Watcher. Take the least
// you need. One Client implements all of them for one cluster, made of a Config (config.h).
//
// Errors of every method (base::Status): code by HTTP status, reason() = the API's own word
// ("Conflict", "NotFound", "AlreadyExists", "Invalid", "Forbidden", "Expired", "TooManyRequests"
// …), retry_after() from Retry-After, five minutes at most. 409 Conflict is Aborted; 410 is
// OutOfRange with reason "Expired"; 429 and 5xx with Retry-After were already retried within the
// call's deadline as the server asked. After a 429 or 503 other calls wait, too (throttle.h); one
// that would have to wait beyond its deadline is ResourceExhausted "TooManyRequests" without having
// been sent.
//
// Thread rule: all methods from any thread; they block at most until their deadline. Stop() makes
// calls under way return Cancelled.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::client {

struct ListOptions {
  std::string ns;  // empty: all namespaces
  std::string label_selector;
  std::string field_selector;
  int limit = 500;  // page size; List follows the pages itself; 0: one page
  std::string resource_version;
  bool metadata_only = false;  // PartialObjectMetadata
  std::stop_token stop;        // Cancelled when it is requested
};

struct ObjectList {
  std::vector<meta::ObjectPtr> items;
  std::string resource_version;
};

// Takes one page of a list; returning false ends it (Cancelled).
using PageSink = std::function<bool(ObjectList page)>;

struct Preconditions {
  std::string uid;
  std::string resource_version;
};

enum class Propagation { kBackground, kForeground, kOrphan };

struct DeleteOptions {
  Preconditions preconditions;
  Propagation propagation = Propagation::kBackground;
};

enum class PatchType { kMerge, kJson };

struct ApplyOptions {
  std::string field_manager;
  bool force = false;  // take fields over from other managers; a conflict names them otherwise
  bool dry_run = false;
};

class Reader {
 public:
  virtual ~Reader() = default;
  virtual base::StatusOr<meta::ObjectPtr> Get(const meta::Resource& resource,
                                              const meta::Key& key) = 0;
  virtual base::StatusOr<ObjectList> List(const meta::Resource& resource,
                                          const ListOptions& options) = 0;
  // Page by page, so that a large list is never held twice. Returns the list's resourceVersion.
  // OutOfRange when the server forgot the list between two pages: pages given so far are void.
  virtual base::StatusOr<std::string> ListPages(const meta::Resource& resource,
                                                const ListOptions& options, const PageSink& sink) {
    base::StatusOr<ObjectList> whole = List(resource, options);
    if (!whole.ok()) return whole.status();
    std::string version = whole->resource_version;
    if (!sink(std::move(whole).value())) return base::Cancelled("the list was not wanted further");
    return version;
  }
};

class Writer {
 public:
  virtual ~Writer() = default;
  virtual base::StatusOr<meta::ObjectPtr> Create(const meta::Resource& resource,
                                                 const nlohmann::json& object) = 0;
  // Whole replacement; fails with Conflict unless metadata.resourceVersion is the current one.
  virtual base::StatusOr<meta::ObjectPtr> Update(const meta::Resource& resource,
                                                 const nlohmann::json& object) = 0;
  // Server-side apply. A body with metadata.resourceVersion is a precondition; with metadata.uid
  // too (Invalid; Conflict when nothing is there), but not to ApplyStatus, which compares none.
  virtual base::StatusOr<meta::ObjectPtr> Apply(const meta::Resource& resource,
                                                const nlohmann::json& object,
                                                const ApplyOptions& options) = 0;
  virtual base::StatusOr<meta::ObjectPtr> Patch(const meta::Resource& resource,
                                                const meta::Key& key, PatchType type,
                                                const nlohmann::json& patch) = 0;
  virtual base::Status Delete(const meta::Resource& resource, const meta::Key& key,
                              const DeleteOptions& options = {}) = 0;
};

class StatusWriter {
 public:
  virtual ~StatusWriter() = default;
  virtual base::StatusOr<meta::ObjectPtr> ApplyStatus(const meta::Resource& resource,
                                                      const nlohmann::json& object,
                                                      const ApplyOptions& options) = 0;
  // Whole replacement of the status subresource with metadata.resourceVersion as precondition.
  virtual base::StatusOr<meta::ObjectPtr> UpdateStatus(const meta::Resource& resource,
                                                       const nlohmann::json& object) = 0;
};

struct WatchOptions {
  std::string ns;
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  bool send_initial_events = false;  // WatchList
  bool metadata_only = false;        // PartialObjectMetadata
  std::chrono::seconds timeout{300};
};

// Receives the watch's lines as they arrive, each one complete JSON event without its newline.
// Returning false ends the watch.
using WatchLine = std::function<bool(std::string_view line)>;

class Watcher {
 public:
  virtual ~Watcher() = default;
  // Blocks until the server ends the watch or has been silent on it for two minutes, bookmarks
  // included (both OK: resume from the last version), `line` returns false (Cancelled), `stop` is
  // requested (Cancelled) or the connection fails.
  virtual base::Status Watch(const meta::Resource& resource, const WatchOptions& options,
                             const WatchLine& line, std::stop_token stop) = 0;
};

// One exchange with the server, for rest_client_requests_total and its like: told when it is over,
// a watch when its answer begins.
struct RequestRecord {
  std::string_view method;                           // "GET"
  std::string_view host;                             // "10.0.0.1:443"
  int code = 0;                                      // HTTP status; 0: no answer came
  std::optional<std::chrono::nanoseconds> duration;  // until the whole answer; a watch has none
};
// The server wanted requests to come later (throttle.h). One of the two is not zero, except in the
// first record, which only tells that there is such a host.
struct ThrottleRecord {
  std::string_view host;
  int code = 0;                        // HTTP status that asked for it
  std::string_view priority_level;     // UID; "none": not told; "other": beyond those told apart
  int refusals = 0;                    // answers, the last one of a call too
  std::chrono::nanoseconds waited{0};  // by a call, or left to its caller by retry_after()
};
// Called on the calling thread; must not block or call the client.
struct RequestObserver {
  std::function<void(const RequestRecord&)> request;
  std::function<void(const ThrottleRecord&)> throttle;
};

class Client : public Reader, public Writer, public StatusWriter, public Watcher {
 public:
  // Any other call: TokenReview, TokenRequest, /version. Body and answer are whole JSON texts.
  virtual base::StatusOr<std::string> Raw(std::string_view method, std::string_view path,
                                          std::string_view body) = 0;
  // One observer at most; set it before the first call. It hears at once of zero refusals.
  virtual void Observe(RequestObserver observer) { static_cast<void>(observer); }
  virtual void Stop() = 0;
};

// Makes the Client for where we are. Errors: InvalidArgument naming the file and field.
struct Config;  // config.h: kubeconfig files, in-cluster files
base::StatusOr<std::unique_ptr<Client>> NewClient(const Config& config);
// The same with a clock for waits and rotations; it must outlive the client.
base::StatusOr<std::unique_ptr<Client>> NewClient(const Config& config, base::Clock& clock);

struct ServerVersion {
  int major = 0;
  int minor = 0;
  // Since 1.35 every conformant server's resourceVersions may be compared as numbers (KEP-5504).
  bool ComparableVersions() const { return major > 1 || (major == 1 && minor >= 35); }
};
// Errors: those of Raw; DataLoss when the answer is no version.
base::StatusOr<ServerVersion> GetServerVersion(Client& client);

}  // namespace sluice::client
