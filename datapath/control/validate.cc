// Validate(): every rule of config.h, in the order of its fields. Each refusal names the field,
// says what is wrong and how to cure it; values of credentials never appear.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <set>
#include <string>
#include <string_view>

#include "datapath/control/config.h"
#include "datapath/control/limits.h"

namespace sluice::control {
namespace {

using base::InvalidArgument;
using base::OkStatus;
using base::Status;

Status Refuse(std::string_view field, std::string_view rule, std::string_view cure) {
  return InvalidArgument(fmt::format("{}: {}; {}", field, rule, cure));
}

Status AtMost(std::string_view field, std::size_t count, std::size_t limit) {
  if (count <= limit) return OkStatus();
  return Refuse(field, fmt::format("{} entries", count), fmt::format("give at most {}", limit));
}

bool IsLowerAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsAlnum(char c) { return IsLowerAlnum(c) || (c >= 'A' && c <= 'Z'); }

// A Kubernetes object's name (RFC 1123 subdomain): what sites, nodes, origins and tenants have.
bool IsObjectName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  if (!IsLowerAlnum(name.front()) || !IsLowerAlnum(name.back())) return false;
  return std::ranges::all_of(name, [](char c) { return IsLowerAlnum(c) || c == '-' || c == '.'; });
}

Status CheckObjectName(std::string_view field, std::string_view name) {
  if (IsObjectName(name)) return OkStatus();
  return Refuse(field, fmt::format("\"{}\" is not a name", name),
                "use 1 to 253 of a-z, 0-9, - and ., with a letter or digit at both ends");
}

bool ParsePort(std::string_view text, bool zero_allowed) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() &&
         (port != 0 || zero_allowed);
}

bool IsIp(std::string_view host) {
  unsigned char bytes[16];
  if (host.starts_with('[') && host.ends_with(']')) {
    return inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), bytes) == 1;
  }
  return inet_pton(AF_INET, std::string(host).c_str(), bytes) == 1;
}

Status CheckListen(std::string_view field, std::string_view address) {
  if (address.starts_with("unix:")) {
    const auto path = address.substr(5);
    if (path.starts_with('/') && path.size() <= 107) return OkStatus();  // sockaddr_un's room
    return Refuse(field, fmt::format("\"{}\" is not a socket's path", address),
                  "write unix:/absolute/path of at most 107 bytes");
  }
  const auto colon = address.rfind(':');
  if (colon != std::string_view::npos && IsIp(address.substr(0, colon)) &&
      ParsePort(address.substr(colon + 1), true)) {
    return OkStatus();
  }
  return Refuse(field, fmt::format("\"{}\" is not an address", address),
                "write an IP and a port (0.0.0.0:9000, [::]:9000) or unix:/path");
}

Status CheckCertificates(const std::string& field, const Listen& listener) {
  SLUICE_RETURN_IF_ERROR(
      AtMost(field + ".tls.certificates", listener.certificates.size(), kMaxCertificates));
  for (std::size_t i = 0; i < listener.certificates.size(); ++i) {
    const CertificateFiles& files = listener.certificates[i];
    for (const auto& [name, path] : {std::pair("certificateFile", &files.certificate_file),
                                     std::pair("keyFile", &files.key_file)}) {
      if (path->starts_with('/')) continue;
      return Refuse(fmt::format("{}.tls.certificates[{}].{}", field, i, name),
                    fmt::format("\"{}\" is not an absolute path", *path), "start it with /");
    }
  }
  return OkStatus();
}

Status CheckListeners(const Config& config) {
  if (config.listeners.empty()) {
    return Refuse("listeners", "there is none", "name at least one address, e.g. 127.0.0.1:9000");
  }
  SLUICE_RETURN_IF_ERROR(AtMost("listeners", config.listeners.size(), kMaxListeners));
  std::set<std::string> seen;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const auto field = fmt::format("listeners[{}]", i);
    const std::string& address = config.listeners[i].address;
    SLUICE_RETURN_IF_ERROR(CheckListen(field, address));
    if (!address.ends_with(":0") && !seen.insert(address).second) {
      return Refuse(field, fmt::format("\"{}\" is listed twice", address), "keep it once");
    }
    SLUICE_RETURN_IF_ERROR(CheckCertificates(field, config.listeners[i]));
  }
  if (config.metrics.address.empty()) return OkStatus();
  SLUICE_RETURN_IF_ERROR(CheckListen("metrics", config.metrics.address));
  if (seen.contains(config.metrics.address)) {
    return Refuse("metrics", fmt::format("\"{}\" is a listener too", config.metrics.address),
                  "give the metrics a port of their own");
  }
  return OkStatus();
}

Status CheckCache(const Cache& cache) {
  if (!std::has_single_bit(cache.chunk_bytes) || cache.chunk_bytes < kMinChunkBytes ||
      cache.chunk_bytes > kMaxChunkBytes) {
    return Refuse("cache.chunkBytes", fmt::format("{} does not fit", cache.chunk_bytes),
                  "use a power of two from 65536 to 16777216");
  }
  const auto least_memory =
      std::max<std::uint64_t>(kMinMemoryBytes, kMinMemoryChunks * std::uint64_t{cache.chunk_bytes});
  if (cache.memory_bytes < least_memory) {
    return Refuse("cache.memoryBytes", fmt::format("{} is too small", cache.memory_bytes),
                  fmt::format("give at least {}", least_memory));
  }
  if (cache.disk_bytes == 0 && !cache.disk_paths.empty()) {
    return Refuse("cache.diskBytes", "0, but diskPaths are given",
                  "set how much of them to use, or remove diskPaths");
  }
  if (cache.disk_bytes > 0 && cache.disk_paths.empty()) {
    return Refuse("cache.diskPaths", "empty, but diskBytes is given",
                  "name one folder per device, or set diskBytes to 0");
  }
  SLUICE_RETURN_IF_ERROR(AtMost("cache.diskPaths", cache.disk_paths.size(), kMaxDiskPaths));
  const auto least_disk = kMinDiskChunks * std::uint64_t{cache.chunk_bytes} *
                          std::max<std::uint64_t>(1, cache.disk_paths.size());
  if (cache.disk_bytes > 0 && cache.disk_bytes < least_disk) {
    return Refuse("cache.diskBytes", fmt::format("{} is too small", cache.disk_bytes),
                  fmt::format("give at least {} for {} path(s), or 0 for no disk tier", least_disk,
                              cache.disk_paths.size()));
  }
  std::set<std::string> seen;
  for (std::size_t i = 0; i < cache.disk_paths.size(); ++i) {
    const auto field = fmt::format("cache.diskPaths[{}]", i);
    if (!cache.disk_paths[i].starts_with('/')) {
      return Refuse(field, fmt::format("\"{}\" is not absolute", cache.disk_paths[i]),
                    "start it with /");
    }
    if (!seen.insert(cache.disk_paths[i]).second) {
      return Refuse(field, fmt::format("\"{}\" is listed twice", cache.disk_paths[i]),
                    "keep it once");
    }
  }
  if (cache.metadata_ttl.count() < 0 || cache.metadata_ttl > kMaxMetadataTtl) {
    return Refuse("cache.metadataTTL", fmt::format("{} s", cache.metadata_ttl.count()),
                  "use 0 s to 3600 s");
  }
  return OkStatus();
}

bool IsHostName(std::string_view host) {
  return !host.empty() && host.size() <= 253 && IsAlnum(host.front()) && IsAlnum(host.back()) &&
         std::ranges::all_of(host, [](char c) { return IsAlnum(c) || c == '-' || c == '.'; });
}

Status CheckEndpoint(std::string_view field, std::string_view endpoint) {
  std::string_view rest = endpoint;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    rest = {};
  }
  auto host = rest;
  bool port_ok = true;
  const auto colon = rest.rfind(':');
  if (colon != std::string_view::npos && !rest.ends_with(']')) {
    host = rest.substr(0, colon);
    port_ok = ParsePort(rest.substr(colon + 1), false);
  }
  if (port_ok && (IsIp(host) || IsHostName(host))) return OkStatus();
  return Refuse(field, fmt::format("\"{}\" is not an endpoint", endpoint),
                "write https://host or http://host, a port if needed, and nothing after it");
}

// Everything a SigV4 credential scope can carry: no space, no slash, no comma.
bool IsAccessKeyId(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, [](char c) {
    return c > ' ' && c < 0x7f && c != '/' && c != ',' && c != '"' && c != '\\';
  });
}

Status CheckCredentials(const std::string& field, const Credentials& credentials) {
  if (!IsAccessKeyId(credentials.access_key_id)) {
    return Refuse(field + ".accessKeyID", "empty, too long or with a forbidden character",
                  "use 1 to 128 printable characters without space, slash, comma and quotes");
  }
  if (credentials.secret_access_key.empty() || credentials.secret_access_key.size() > 1024) {
    return Refuse(field + ".secretAccessKey", "empty or longer than 1024 bytes",
                  "give the secret that belongs to the access key");
  }
  if (credentials.session_token.size() > 8192) {
    return Refuse(field + ".sessionToken", "longer than 8192 bytes", "give the token alone");
  }
  return OkStatus();
}

Status CheckOrigin(const std::string& field, const Origin& origin) {
  SLUICE_RETURN_IF_ERROR(CheckObjectName(field + ".name", origin.name));
  SLUICE_RETURN_IF_ERROR(CheckEndpoint(field + ".endpoint", origin.endpoint));
  if (!origin.ca_pem.empty()) {
    if (!origin.endpoint.starts_with("https://")) {
      return Refuse(field + ".caPEM", "given for an http:// endpoint",
                    "remove it, or make the endpoint https://");
    }
    if (origin.ca_pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
      return Refuse(field + ".caPEM", "holds no certificate",
                    "give PEM text with BEGIN CERTIFICATE");
    }
  }
  const auto& keys = origin.credentials;
  if (keys.access_key_id.empty() && keys.secret_access_key.empty() && keys.session_token.empty()) {
    return OkStatus();  // anonymous
  }
  if (origin.region.empty()) {
    return Refuse(field + ".region", "empty, but requests are signed",
                  "name the region the origin signs for, e.g. us-east-1");
  }
  return CheckCredentials(field + ".credentials", keys);
}

bool HasBadSegment(std::string_view path) {
  while (true) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return true;
    if (std::ranges::any_of(
            segment, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; })) {
      return true;
    }
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

bool IsBucket(std::string_view name, bool upper_allowed) {
  if (name.size() < 3 || name.size() > 63) return false;
  if (!IsAlnum(name.front()) || !IsAlnum(name.back())) return false;
  return std::ranges::all_of(name, [&](char c) {
    return IsLowerAlnum(c) || c == '-' || c == '.' || (upper_allowed && (IsAlnum(c) || c == '_'));
  });
}

Status CheckMount(const std::string& field, const Mount& mount, const Config& config) {
  std::string_view path = mount.path;
  if (!path.starts_with('/') || path.size() > kMaxPathBytes || HasBadSegment(path.substr(1))) {
    return Refuse(field + ".path", fmt::format("\"{}\" is not a mount's path", path),
                  "start with /, no / at the end, no empty, . or .. segment, at most 1024 bytes");
  }
  path.remove_prefix(1);
  if (!IsBucket(path.substr(0, path.find('/')), false)) {
    return Refuse(field + ".path",
                  fmt::format("\"{}\" cannot be a bucket", path.substr(0, path.find('/'))),
                  "the first segment is the bucket clients name: 3 to 63 of a-z, 0-9, - and .");
  }
  const auto has_name = [&](const Origin& origin) { return origin.name == mount.origin; };
  if (std::ranges::none_of(config.origins, has_name)) {
    std::string names;
    for (const auto& origin : config.origins) {
      names += (names.empty() ? "" : ", ") + origin.name;
    }
    return Refuse(field + ".origin", fmt::format("no origin named \"{}\"", mount.origin),
                  names.empty() ? "there is none: add it under origins" : "name one of: " + names);
  }
  if (mount.metadata_ttl.has_value() &&
      (mount.metadata_ttl->count() < 0 || *mount.metadata_ttl > kMaxMetadataTtl)) {
    return Refuse(field + ".metadataTTL", fmt::format("{} s", mount.metadata_ttl->count()),
                  "use 0 s to 3600 s, or leave it out for the cache's");
  }
  if (!IsBucket(mount.bucket, true)) {
    return Refuse(field + ".bucket", fmt::format("\"{}\" is not a bucket's name", mount.bucket),
                  "use 3 to 63 of letters, digits, -, . and _");
  }
  std::string_view prefix = mount.prefix;
  if (prefix.empty()) return OkStatus();
  if (!prefix.ends_with('/') || prefix.size() > kMaxPathBytes ||
      HasBadSegment(prefix.substr(0, prefix.size() - 1))) {
    return Refuse(field + ".prefix", fmt::format("\"{}\" is not a prefix", prefix),
                  "end it with /, do not start with /, no empty, . or .. segment");
  }
  return OkStatus();
}

Status CheckTenant(const std::string& field, const Tenant& tenant,
                   const std::set<std::string>& mounts, std::set<std::string>& key_ids) {
  SLUICE_RETURN_IF_ERROR(CheckObjectName(field + ".name", tenant.name));
  if (tenant.keys.empty()) {
    return Refuse(field + ".keys", "there is none", "give the tenant at least one key");
  }
  SLUICE_RETURN_IF_ERROR(AtMost(field + ".keys", tenant.keys.size(), kMaxKeysPerTenant));
  for (std::size_t i = 0; i < tenant.keys.size(); ++i) {
    const auto key_field = fmt::format("{}.keys[{}]", field, i);
    SLUICE_RETURN_IF_ERROR(CheckCredentials(key_field, tenant.keys[i]));
    // The access key is the identity: shared between two, one would act as the other.
    if (!key_ids.insert(tenant.keys[i].access_key_id).second) {
      return Refuse(key_field + ".accessKeyID", "given twice",
                    "an access key belongs to one tenant and stands there once");
    }
  }
  SLUICE_RETURN_IF_ERROR(AtMost(field + ".access", tenant.grants.size(), kMaxGrantsPerTenant));
  std::set<std::string> granted;
  for (std::size_t i = 0; i < tenant.grants.size(); ++i) {
    const auto& grant = tenant.grants[i];
    const auto grant_field = fmt::format("{}.access[{}]", field, i);
    if (!mounts.contains(grant.mount)) {
      return Refuse(grant_field + ".mount", fmt::format("no mount at \"{}\"", grant.mount),
                    "name the path of an entry of mounts");
    }
    if (!granted.insert(grant.mount).second) {
      return Refuse(grant_field + ".mount", fmt::format("\"{}\" is granted twice", grant.mount),
                    "join its verbs in one entry");
    }
    if (grant.verbs == 0 || grant.verbs > (kRead | kWrite | kDelete | kList)) {
      return Refuse(grant_field + ".verbs", "none, or an unknown one",
                    "give one or more of Read, Write, Delete, List");
    }
  }
  return OkStatus();
}

}  // namespace

Status Validate(const Config& config) {
  SLUICE_RETURN_IF_ERROR(CheckObjectName("site", config.site));
  SLUICE_RETURN_IF_ERROR(CheckObjectName("node", config.node));
  SLUICE_RETURN_IF_ERROR(CheckObjectName("s3Region", config.s3_region));
  SLUICE_RETURN_IF_ERROR(CheckListeners(config));
  if (config.threads > kMaxThreads) {
    return Refuse("threads", fmt::format("{} is too many", config.threads),
                  fmt::format("use at most {}, or 0 for one per core", kMaxThreads));
  }
  SLUICE_RETURN_IF_ERROR(CheckCache(config.cache));

  SLUICE_RETURN_IF_ERROR(AtMost("origins", config.origins.size(), kMaxOrigins));
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.origins.size(); ++i) {
    const auto field = fmt::format("origins[{}]", i);
    SLUICE_RETURN_IF_ERROR(CheckOrigin(field, config.origins[i]));
    if (!names.insert(config.origins[i].name).second) {
      return Refuse(field + ".name", fmt::format("\"{}\" is taken", config.origins[i].name),
                    "names of origins are unique");
    }
  }

  SLUICE_RETURN_IF_ERROR(AtMost("mounts", config.mounts.size(), kMaxMounts));
  const auto pinned = std::ranges::count_if(config.mounts, &Mount::pin);
  if (pinned > static_cast<std::ptrdiff_t>(kMaxPinnedMounts)) {
    return Refuse("mounts", fmt::format("{} are pinned", pinned),
                  fmt::format("pin at most {}", kMaxPinnedMounts));
  }
  std::set<std::string> paths;
  for (std::size_t i = 0; i < config.mounts.size(); ++i) {
    const auto field = fmt::format("mounts[{}]", i);
    SLUICE_RETURN_IF_ERROR(CheckMount(field, config.mounts[i], config));
    if (!paths.insert(config.mounts[i].path).second) {
      return Refuse(field + ".path", fmt::format("\"{}\" is taken", config.mounts[i].path),
                    "paths of mounts are unique");
    }
  }

  SLUICE_RETURN_IF_ERROR(AtMost("tenants", config.tenants.size(), kMaxTenants));
  names.clear();
  std::set<std::string> key_ids;
  for (std::size_t i = 0; i < config.tenants.size(); ++i) {
    const auto field = fmt::format("tenants[{}]", i);
    SLUICE_RETURN_IF_ERROR(CheckTenant(field, config.tenants[i], paths, key_ids));
    if (!names.insert(config.tenants[i].name).second) {
      return Refuse(field + ".name", fmt::format("\"{}\" is taken", config.tenants[i].name),
                    "names of tenants are unique");
    }
  }
  return OkStatus();
}

}  // namespace sluice::control
