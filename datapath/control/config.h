// The whole desired state of one agent, as the data plane sees it: plain values, immutable once
// made.
//
// It comes from one of two places: the controller's stream (api/agent/v1) or a YAML file
// (`sluice-agent --config FILE`). Either way it is validated as a whole before it replaces the one
// in force; a configuration that does not validate changes nothing.
//
// How names map: the first segment of a mount's path is the bucket a client names, the rest is a
// key prefix. Mount /datasets/raw of bucket "training", prefix "curated/" serves
// s3://datasets/raw/x from origin object training/curated/x. The longest matching mount wins.
//
// Thread rule: shared as shared_ptr<const Config>.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/status.h"

namespace sluice::control {

struct Credentials {  // never logged, never in a label
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
};

struct Origin {
  std::string name;
  std::string endpoint;  // "https://host[:port]" or "http://host[:port]"
  std::string region;
  bool path_style = true;
  std::string ca_pem;  // empty: the system's roots
  Credentials credentials;
};

struct Mount {
  std::string path;    // "/datasets" or "/datasets/raw": starts with /, no trailing /, no . or ..
  std::string origin;  // Origin::name
  std::string bucket;
  std::string prefix;  // "" or ends with /
  // Its chunks in memory are not evicted: half of the DRAM tier is for all such mounts, in equal
  // parts; what is beyond its part is cached as everything else.
  bool pin = false;
  std::optional<std::chrono::seconds> metadata_ttl = {};  // nullopt: Cache::metadata_ttl
};

enum Verb : std::uint8_t { kRead = 1, kWrite = 2, kDelete = 4, kList = 8 };

struct Grant {
  std::string mount;       // Mount::path
  std::uint8_t verbs = 0;  // of Verb
};

struct Tenant {
  std::string name;
  std::vector<Credentials> keys;  // more than one while a key rotates
  std::vector<Grant> grants;
};

struct CertificateFiles {
  std::string certificate_file;  // PEM, absolute path: the leaf first, its chain behind it
  std::string key_file;          // PEM, absolute path, not encrypted
  friend bool operator==(const CertificateFiles&, const CertificateFiles&) = default;
};

struct Listen {
  std::string address;  // "0.0.0.0:9000", "127.0.0.1:0", "unix:/run/sluice/s3.sock"
  // Not empty: TLS. Which one is shown depends on the name the client asks for; the first, when it
  // asks for none or an unknown one. The files are read again when they change.
  std::vector<CertificateFiles> certificates = {};
  // The listener opens though the files cannot be read yet (a Secret that comes later), and closes
  // its connections until they can. Otherwise it does not open.
  bool wait_for_files = false;
  friend bool operator==(const Listen&, const Listen&) = default;
};

struct Cache {
  std::uint64_t memory_bytes = 0;        // DRAM tier, and every buffer, is counted against this
  std::uint64_t disk_bytes = 0;          // 0: no disk tier
  std::vector<std::string> disk_paths;   // folders, one per device
  std::uint32_t chunk_bytes = 1 << 20;   // a power of two, 64 KiB to 16 MiB
  bool huge_pages = true;                // where the host allows them: docs/operations.md
  std::chrono::seconds metadata_ttl{5};  // the stated freshness bound for changes made elsewhere
};

// The place of a configuration on the stream: refused unless not lower than the one in force.
struct Order {
  std::string lineage;  // cluster UID, or what a recorded restore replaced it with
  std::int64_t epoch = 0;
  std::int64_t revision = 0;
};

struct Config {
  std::string version;  // content hash of everything but order
  Order order;
  std::string site;
  std::string node;
  std::string s3_region = "us-east-1";  // what clients must sign for
  std::vector<Listen> listeners;
  Listen metrics;             // HTTP: /metrics /healthz /readyz
  std::uint32_t threads = 0;  // 0: one per core
  Cache cache;
  std::vector<Origin> origins;
  std::vector<Mount> mounts;
  std::vector<Tenant> tenants;
};
using ConfigPtr = std::shared_ptr<const Config>;

// Checks every rule above and every reference by name.
// Errors: InvalidArgument "mounts[1].origin: no origin named \"lake\"; name one of: data".
base::Status Validate(const Config& config);

// Reads the YAML form (docs/examples/agent-standalone.yaml shows every field). Secrets may be given
// inline or as a file name. Unknown fields are errors. The result is validated.
base::StatusOr<Config> ParseYaml(const std::string& text);

}  // namespace sluice::control
