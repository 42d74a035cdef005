// One configuration, compiled for lookups: who signs with which key, and what a name a client uses
// means. Immutable; a request holds the one it began with, a new configuration is a new Directory.
//
// A path is decided before anything is looked up: identity → tenant → mount → key. Resolve()
// answers from configuration alone; whether an object exists plays no part.
//
// Invariants:
//  1. The longest mount that covers a name decides it, granted or not: a tenant that may read
//     /datasets but not /datasets/secret does not reach what lies at the latter's names.
//  2. A resolved origin key begins with its mount's prefix.
//
// Thread rule: shared as shared_ptr<const Directory>; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "datapath/control/config.h"
#include "datapath/s3/error.h"
#include "datapath/s3/operation.h"
#include "datapath/serve/agent_metrics.h"

namespace sluice::serve {

struct OriginEntry {
  std::size_t index = 0;  // in Config::origins
  std::string name;
  const OriginMetrics* metrics = nullptr;
};

struct MountEntry {
  std::string bucket;      // the bucket clients name
  std::string key_prefix;  // below it: "" or ends with /
  const OriginEntry* origin = nullptr;
  std::string origin_bucket;
  std::string origin_prefix;
  std::chrono::seconds metadata_ttl{0};  // how old an answer about what lies here may be
  std::size_t index = 0;
};

struct TenantEntry {
  std::string name;
  std::vector<std::uint8_t> verbs;  // control::Verb bits, by mount index
  const TenantMetrics* metrics = nullptr;
};

struct KeyEntry {
  control::Credentials credentials;
  const TenantEntry* tenant = nullptr;
};

class Directory {
 public:
  Directory(control::ConfigPtr config, AgentMetrics& metrics);
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const control::Config& config() const { return *config_; }
  const control::ConfigPtr& config_ptr() const { return config_; }
  const KeyEntry* FindKey(std::string_view access_key_id) const;

  struct Resolution {
    s3::Error error;  // NoSuchBucket, AccessDenied
    const MountEntry* mount = nullptr;
  };
  // Which mount decides (bucket, key), and whether `tenant` may do `access` there.
  Resolution Resolve(const TenantEntry& tenant, std::string_view bucket, std::string_view key,
                     s3::Access access) const;
  // The mount that decides (bucket, key); nullptr when none covers it.
  const MountEntry* MountOf(std::string_view bucket, std::string_view key) const;
  // For operations on a bucket as a whole (HeadBucket): granted when any mount of it is, for any
  // verb.
  s3::Error ResolveBucket(const TenantEntry& tenant, std::string_view bucket) const;
  // Buckets the tenant has any grant in, sorted, each once.
  std::vector<std::string_view> Buckets(const TenantEntry& tenant) const;

  // The object's name in the cache: origin, bucket and key, with separators no name can hold.
  static void AppendCacheName(const MountEntry& mount, std::string_view key, std::string* out);
  // The origin's key in a name made so.
  static std::string OriginKeyOf(std::string_view cache_name);
  // What the names of all that pinned mounts hold begin with.
  std::vector<std::string> PinnedNames() const;
  // "prefix/of/mount" + rest of key behind the mount's own place.
  static void AppendOriginKey(const MountEntry& mount, std::string_view key, std::string* out);

 private:
  using Mounts = std::vector<const MountEntry*>;
  static const MountEntry* Covering(const Mounts& mounts, std::string_view key);

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  const control::ConfigPtr config_;
  std::vector<OriginEntry> origins_;
  std::vector<MountEntry> mounts_;
  std::vector<TenantEntry> tenants_;
  std::unordered_map<std::string, KeyEntry, TextHash, std::equal_to<>> keys_;
  // By bucket, longest key prefix first.
  std::unordered_map<std::string, Mounts, TextHash, std::equal_to<>> buckets_;
};
using DirectoryPtr = std::shared_ptr<const Directory>;

}  // namespace sluice::serve
