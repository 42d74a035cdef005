#include "reconcilers/site/config.h"

#include <fmt/format.h>

#include <set>

#include "api/agent/v1/agent.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "api/v1alpha1/tenant.pb.h"
#include "controller/meta/quantity.h"
#include "reconcilers/site/tls.h"

namespace sluice::site {
namespace {

base::StatusOr<std::uint64_t> Bytes(const std::string& text, std::string_view field) {
  if (text.empty()) return std::uint64_t{0};
  auto quantity = meta::Quantity::Parse(text);
  if (!quantity.ok()) return quantity.status().Annotate(field);
  return static_cast<std::uint64_t>(quantity->CeilValue());
}

base::Status FillCache(const v1alpha1::AgentProfile& profile, agent::v1::AgentConfig& config) {
  agent::v1::Cache& cache = *config.mutable_cache();
  SLUICE_ASSIGN_OR_RETURN(const std::uint64_t memory, Bytes(profile.memory(), "agent.memory"));
  SLUICE_ASSIGN_OR_RETURN(const std::uint64_t disk, Bytes(profile.disk(), "agent.disk"));
  cache.set_memory_bytes(memory);
  cache.set_disk_bytes(disk);
  if (disk > 0) {
    for (const std::string& path : profile.disk_paths()) cache.add_disk_paths(path);
    if (profile.disk_paths().empty()) cache.add_disk_paths("/var/lib/sluice/cache");
  }
  cache.set_chunk_bytes(static_cast<std::uint32_t>(profile.chunk_bytes()));
  cache.set_metadata_ttl_seconds(static_cast<std::uint32_t>(profile.metadata_ttl_seconds()));
  return base::OkStatus();
}

base::Status FillTls(const v1alpha1::Site& site, const v1alpha1::AgentProfile& profile,
                     agent::v1::AgentConfig& config) {
  const int port = TlsPort(site);
  if (port == 0) return base::OkStatus();
  if (port == profile.s3_port() || port == profile.metrics_port()) {
    return base::InvalidArgument(
        fmt::format("spec.s3.tls.port: {} is the class's {} too; give another", port,
                    port == profile.s3_port() ? "agent.s3Port" : "agent.metricsPort"));
  }
  agent::v1::TlsListener& listener = *config.add_tls_listen();
  listener.set_address(fmt::format("0.0.0.0:{}", port));
  agent::v1::CertificateFiles& files = *listener.add_certificates();
  files.set_certificate_file(fmt::format("{}/{}", kTlsFolder, kTlsCertificate));
  files.set_key_file(fmt::format("{}/{}", kTlsFolder, kTlsKey));
  return base::OkStatus();
}

void AddCredential(const std::string& name, const common::S3Keys& keys,
                   agent::v1::Credentials& credentials) {
  agent::v1::Credential& credential = *credentials.add_credentials();
  credential.set_name(name);
  credential.set_access_key_id(keys.access_key_id);
  credential.set_secret_access_key(keys.secret_access_key);
  credential.set_session_token(keys.session_token);
}

base::Status FillOrigins(const Inputs& in, Derived& out) {
  for (const v1alpha1::Origin& from : in.site->spec().origins()) {
    const auto& secrets = in.origin_secrets.at(from.name());
    if (!secrets.ok()) {
      return secrets.status().Annotate(
          fmt::format("spec.origins[{}].s3.credentialsRef", from.name()));
    }
    agent::v1::Origin& origin = *out.config->add_origins();
    origin.set_name(from.name());
    origin.set_endpoint(from.s3().endpoint());
    origin.set_region(from.s3().region().empty() ? "us-east-1" : from.s3().region());
    origin.set_virtual_host_style(from.s3().addressing() == "VirtualHost");
    origin.set_ca_pem(secrets->ca_pem);
    origin.set_credential("origin/" + from.name());
    AddCredential(origin.credential(), secrets->keys, *out.credentials);
  }
  for (const v1alpha1::Mount& from : in.site->spec().mounts()) {
    agent::v1::Mount& mount = *out.config->add_mounts();
    mount.set_path(from.path());
    mount.set_origin(from.origin());
    mount.set_bucket(from.bucket());
    mount.set_prefix(from.prefix());
    mount.set_pin(from.pin());
    if (from.has_metadata_ttl_seconds())
      mount.set_metadata_ttl_seconds(static_cast<std::uint32_t>(from.metadata_ttl_seconds()));
  }
  return base::OkStatus();
}

agent::v1::Verb VerbOf(const std::string& name) {
  if (name == "Read") return agent::v1::READ;
  if (name == "List") return agent::v1::LIST;
  if (name == "Write") return agent::v1::WRITE;
  if (name == "Delete") return agent::v1::DELETE;
  return agent::v1::VERB_UNSPECIFIED;
}

// The tenant's usable keys: those of its Secret, or the last good ones while it cannot be used.
const std::vector<common::S3Keys>* KeysOf(
    const std::string& tenant, const Inputs& in,
    const std::map<std::string, std::vector<common::S3Keys>>& last_good, Derived& out) {
  const auto& keys = in.tenant_keys.at(tenant);
  if (keys.ok()) return &*keys;
  out.left_out.emplace(tenant, keys.status());
  if (common::IsWithdrawn(keys.status())) return nullptr;
  const auto found = last_good.find(tenant);
  if (found != last_good.end()) return &found->second;
  if (common::AreKeysInForce(*in.tenants.at(tenant), in.name) && out.status.ok()) {
    out.status =
        base::FailedPrecondition(
            fmt::format(
                "tenant {}: {}. Agents have keys of it that this controller has never read, "
                "so nothing is published, or the tenant would be cut off: repair the "
                "Secret, or delete it to withdraw the tenant",
                tenant, keys.status().message()))
            .WithReason("Held");
  }
  return nullptr;
}

void FillTenant(const std::string& name, const v1alpha1::Tenant& from, const Inputs& in,
                const std::vector<common::S3Keys>& keys, std::set<std::string>& taken,
                Derived& out) {
  for (const common::S3Keys& key : keys) {
    if (!taken.insert(key.access_key_id).second) {
      out.left_out.insert_or_assign(
          name, base::AlreadyExists("another tenant of the site has the same AWS_ACCESS_KEY_ID"));
      return;
    }
  }
  agent::v1::Tenant& tenant = *out.config->add_tenants();
  tenant.set_name(name);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string credential = fmt::format("tenant/{}/{}", name, i);
    tenant.add_credentials(credential);
    AddCredential(credential, keys[i], *out.credentials);
  }
  std::set<std::string> mounts;
  for (const v1alpha1::Mount& mount : in.site->spec().mounts()) mounts.insert(mount.path());
  for (const v1alpha1::Access& access : from.spec().access()) {
    if (mounts.count(access.mount()) == 0) continue;  // of another of the tenant's sites
    agent::v1::Grant& grant = *tenant.add_grants();
    grant.set_mount(access.mount());
    for (const std::string& verb : access.verbs()) grant.add_verbs(VerbOf(verb));
  }
}

}  // namespace

Derived DeriveConfig(const Inputs& in,
                     const std::map<std::string, std::vector<common::S3Keys>>& last_good) {
  Derived out;
  out.config = std::make_shared<agent::v1::AgentConfig>();
  out.credentials = std::make_shared<agent::v1::Credentials>();
  if (!in.class_status.ok()) {
    out.status = in.class_status;
    return out;
  }
  const v1alpha1::AgentProfile& profile = in.site_class->spec().agent();
  out.config->set_s3_region("us-east-1");
  out.config->add_listen(fmt::format("0.0.0.0:{}", profile.s3_port()));
  out.config->add_listen("unix:/run/sluice/s3.sock");
  out.config->set_metrics_listen(fmt::format("0.0.0.0:{}", profile.metrics_port()));
  out.config->set_threads(static_cast<std::uint32_t>(profile.threads()));
  out.status = FillCache(profile, *out.config);
  if (out.status.ok()) out.status = FillTls(*in.site, profile, *out.config);
  if (out.status.ok()) out.status = FillOrigins(in, out);
  std::set<std::string> taken;
  for (const common::Binding& binding : in.bindings) {
    if (!binding.bound) continue;
    const auto* keys = KeysOf(binding.tenant, in, last_good, out);
    if (keys == nullptr) continue;
    FillTenant(binding.tenant, *in.tenants.at(binding.tenant), in, *keys, taken, out);
  }
  return out;
}

}  // namespace sluice::site
