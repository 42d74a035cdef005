// The Kubernetes API as narrow capabilities: Reader, Writer, StatusWriter, Watcher. Take the least
// you need. One Client implements all of them for one cluster (kubeconfig.h, in_cluster.h make it).
//
// Errors of every method (base::Status): code by HTTP status, reason() = the API's own word
// ("Conflict", "NotFound", "AlreadyExists", "Invalid", "Forbidden", "Expired", "TooManyRequests"
// …), retry_after() from Retry-After. 409 Conflict is Aborted; 410 is OutOfRange with reason
// "Expired"; 429/503 were already retried within the call's deadline as the server asked.
//
// Thread rule: all methods from any thread; they block at most until their deadline. Stop() makes
// calls under way return Cancelled.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::client {

struct ListOptions {
  std::string ns;  // empty: all namespaces
  std::string label_selector;
  std::string field_selector;
  int limit = 500;  // page size; List follows the pages itself
  std::string resource_version;
};

struct ObjectList {
  std::vector<meta::ObjectPtr> items;
  std::string resource_version;
};

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
  // too.
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
  // Blocks until the server ends the watch (OK), `line` returns false (Cancelled), `stop` is
  // requested (Cancelled) or the connection fails.
  virtual base::Status Watch(const meta::Resource& resource, const WatchOptions& options,
                             const WatchLine& line, std::stop_token stop) = 0;
};

class Client : public Reader, public Writer, public StatusWriter, public Watcher {
 public:
  // Any other call: TokenReview, TokenRequest, /version. Body and answer are whole JSON texts.
  virtual base::StatusOr<std::string> Raw(std::string_view method, std::string_view path,
                                          std::string_view body) = 0;
  virtual void Stop() = 0;
};

// Makes the Client for where we are. Errors: InvalidArgument naming the file and field.
struct Config;  // config.h: kubeconfig files, in-cluster files
base::StatusOr<std::unique_ptr<Client>> NewClient(const Config& config);

}  // namespace sluice::client
