#include "datapath/serve/directory.h"

#include <algorithm>

#include "controller/base/check.h"

namespace sluice::serve {
namespace {

std::uint8_t BitOf(s3::Access access) {
  switch (access) {
    case s3::Access::kRead:
      return control::kRead;
    case s3::Access::kWrite:
      return control::kWrite;
    case s3::Access::kDelete:
      return control::kDelete;
    case s3::Access::kList:
      return control::kList;
  }
  return 0;
}

}  // namespace

Directory::Directory(control::ConfigPtr config, AgentMetrics& metrics)
    : config_(std::move(config)) {
  const control::Config& from = *config_;
  origins_.reserve(from.origins.size());  // entries are pointed to
  for (const control::Origin& origin : from.origins)
    origins_.push_back({origins_.size(), origin.name, &metrics.ForOrigin(origin.name)});
  mounts_.reserve(from.mounts.size());
  for (const control::Mount& mount : from.mounts) {
    MountEntry entry;
    const std::string_view path = std::string_view(mount.path).substr(1);
    const std::size_t slash = path.find('/');
    entry.bucket = path.substr(0, slash);
    if (slash != std::string_view::npos)
      entry.key_prefix = std::string(path.substr(slash + 1)) + '/';
    const auto origin = std::find_if(origins_.begin(), origins_.end(),
                                     [&](const OriginEntry& o) { return o.name == mount.origin; });
    SLUICE_CHECK(origin != origins_.end());  // Validate() saw to it
    entry.origin = &*origin;
    entry.origin_bucket = mount.bucket;
    entry.origin_prefix = mount.prefix;
    entry.metadata_ttl = mount.metadata_ttl.value_or(from.cache.metadata_ttl);
    entry.index = mounts_.size();
    mounts_.push_back(std::move(entry));
  }
  for (const MountEntry& mount : mounts_) buckets_[mount.bucket].push_back(&mount);
  for (auto& [bucket, list] : buckets_)
    std::sort(list.begin(), list.end(), [](const MountEntry* a, const MountEntry* b) {
      return a->key_prefix.size() > b->key_prefix.size();
    });
  tenants_.reserve(from.tenants.size());
  for (const control::Tenant& tenant : from.tenants) {
    TenantEntry entry{tenant.name, std::vector<std::uint8_t>(mounts_.size(), 0),
                      &metrics.ForTenant(tenant.name)};
    for (const control::Grant& grant : tenant.grants)
      for (std::size_t i = 0; i < mounts_.size(); ++i)
        if (from.mounts[i].path == grant.mount) entry.verbs[i] |= grant.verbs;
    tenants_.push_back(std::move(entry));
    for (const control::Credentials& key : tenant.keys)
      keys_[key.access_key_id] = {key, &tenants_.back()};
  }
}

std::vector<std::string> Directory::PinnedNames() const {
  std::vector<std::string> names;
  for (const MountEntry& mount : mounts_)
    if (config_->mounts[mount.index].pin)
      AppendCacheName(mount, mount.key_prefix, &names.emplace_back());
  return names;
}

const KeyEntry* Directory::FindKey(std::string_view access_key_id) const {
  const auto found = keys_.find(access_key_id);
  return found == keys_.end() ? nullptr : &found->second;
}

Directory::Resolution Directory::Resolve(const TenantEntry& tenant, std::string_view bucket,
                                         std::string_view key, s3::Access access) const {
  const auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return {{s3::ErrorCode::kNoSuchBucket, {}}, nullptr};
  const MountEntry* mount = Covering(found->second, key);
  if (mount == nullptr || (tenant.verbs[mount->index] & BitOf(access)) == 0)
    return {{s3::ErrorCode::kAccessDenied, {}}, nullptr};
  return {{}, mount};
}

const MountEntry* Directory::MountOf(std::string_view bucket, std::string_view key) const {
  const auto found = buckets_.find(bucket);
  return found == buckets_.end() ? nullptr : Covering(found->second, key);
}

const MountEntry* Directory::Covering(const Mounts& mounts, std::string_view key) {
  for (const MountEntry* mount : mounts)
    if (key.starts_with(mount->key_prefix)) return mount;
  return nullptr;
}

s3::Error Directory::ResolveBucket(const TenantEntry& tenant, std::string_view bucket) const {
  const auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return {s3::ErrorCode::kNoSuchBucket, {}};
  for (const MountEntry* mount : found->second)
    if (tenant.verbs[mount->index] != 0) return {};
  return {s3::ErrorCode::kAccessDenied, {}};
}

std::vector<std::string_view> Directory::Buckets(const TenantEntry& tenant) const {
  std::vector<std::string_view> names;
  for (const MountEntry& mount : mounts_)
    if (tenant.verbs[mount.index] != 0) names.push_back(mount.bucket);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void Directory::AppendOriginKey(const MountEntry& mount, std::string_view key, std::string* out) {
  SLUICE_CHECK(key.starts_with(mount.key_prefix));
  out->append(mount.origin_prefix);
  out->append(key.substr(mount.key_prefix.size()));
}

std::string Directory::OriginKeyOf(std::string_view cache_name) {
  const std::size_t bucket = cache_name.find('\0') + 1;
  return std::string(cache_name.substr(cache_name.find('\0', bucket) + 1));
}

void Directory::AppendCacheName(const MountEntry& mount, std::string_view key, std::string* out) {
  out->append(mount.origin->name);
  out->push_back('\0');
  out->append(mount.origin_bucket);
  out->push_back('\0');
  AppendOriginKey(mount, key, out);
}

}  // namespace sluice::serve
