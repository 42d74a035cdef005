#include "datapath/control/convert.h"

#include <fmt/format.h>

#include <map>

#include "api/agent/v1/agent.pb.h"

namespace sluice::control {
namespace {

using base::InvalidArgument;
using base::Status;
using base::StatusOr;
using CredentialsByName = std::map<std::string, Credentials>;

Status Look(const CredentialsByName& all, const std::string& field, const std::string& name,
            Credentials& out) {
  const auto found = all.find(name);
  if (found == all.end()) {
    return InvalidArgument(
        fmt::format("{}: no credential named \"{}\" came with the configuration; the controller "
                    "must send it",
                    field, name));
  }
  out = found->second;
  return base::OkStatus();
}

StatusOr<std::uint8_t> VerbBits(const agent::v1::Grant& grant, const std::string& field) {
  std::uint8_t bits = 0;
  for (const int verb : grant.verbs()) {
    switch (verb) {
      case agent::v1::READ:
        bits |= kRead;
        break;
      case agent::v1::WRITE:
        bits |= kWrite;
        break;
      case agent::v1::DELETE:
        bits |= kDelete;
        break;
      case agent::v1::LIST:
        bits |= kList;
        break;
      default:
        return InvalidArgument(fmt::format(
            "{}.verbs: verb {} is unknown to this agent; upgrade it before granting that", field,
            verb));
    }
  }
  return bits;
}

StatusOr<Tenant> ToTenant(const agent::v1::Tenant& from, const CredentialsByName& credentials,
                          const std::string& field) {
  Tenant tenant{.name = from.name(), .keys = {}, .grants = {}};
  for (int i = 0; i < from.credentials_size(); ++i) {
    SLUICE_RETURN_IF_ERROR(Look(credentials, fmt::format("{}.keys[{}]", field, i),
                                from.credentials(i), tenant.keys.emplace_back()));
  }
  for (int i = 0; i < from.grants_size(); ++i) {
    SLUICE_ASSIGN_OR_RETURN(const auto verbs,
                            VerbBits(from.grants(i), fmt::format("{}.access[{}]", field, i)));
    tenant.grants.push_back({from.grants(i).mount(), verbs});
  }
  return tenant;
}

StatusOr<Listen> ToListen(const agent::v1::TlsListener& from, const std::string& field) {
  Listen listen{.address = from.address(), .certificates = {}, .wait_for_files = true};
  for (const auto& files : from.certificates())
    listen.certificates.push_back({files.certificate_file(), files.key_file()});
  // It would be one without TLS.
  if (listen.certificates.empty())
    return InvalidArgument(fmt::format("{}: names no certificate; the controller must", field));
  return listen;
}

Cache ToCache(const agent::v1::Cache& from) {
  Cache cache;
  cache.memory_bytes = from.memory_bytes();
  cache.disk_bytes = from.disk_bytes();
  cache.disk_paths.assign(from.disk_paths().begin(), from.disk_paths().end());
  if (from.chunk_bytes() != 0) cache.chunk_bytes = from.chunk_bytes();
  cache.metadata_ttl = std::chrono::seconds(from.metadata_ttl_seconds());
  return cache;
}

}  // namespace

Order FromProto(const agent::v1::Order& order) {
  return {order.lineage(), order.epoch(), order.revision()};
}

void ToProto(const Order& order, agent::v1::Order& out) {
  out.set_lineage(order.lineage);
  out.set_epoch(order.epoch);
  out.set_revision(order.revision);
}

StatusOr<Config> ToConfig(const agent::v1::Configuration& message, const std::string& site,
                          const std::string& node) {
  const auto& from = message.config();
  CredentialsByName credentials;
  for (const auto& one : message.credentials().credentials()) {
    credentials[one.name()] = {one.access_key_id(), one.secret_access_key(), one.session_token()};
  }
  Config config;
  config.version = message.version();
  config.order = FromProto(message.order());
  config.site = site;
  config.node = node;
  if (!from.s3_region().empty()) config.s3_region = from.s3_region();
  for (const auto& address : from.listen()) config.listeners.push_back({address});
  for (int i = 0; i < from.tls_listen_size(); ++i) {
    SLUICE_ASSIGN_OR_RETURN(auto listen,
                            ToListen(from.tls_listen(i), fmt::format("tlsListeners[{}]", i)));
    config.listeners.push_back(std::move(listen));
  }
  config.metrics.address = from.metrics_listen();
  config.threads = from.threads();
  config.cache = ToCache(from.cache());
  for (int i = 0; i < from.origins_size(); ++i) {
    const auto& one = from.origins(i);
    Origin& origin = config.origins.emplace_back();
    origin.name = one.name();
    origin.endpoint = one.endpoint();
    origin.region = one.region();
    origin.path_style = !one.virtual_host_style();
    origin.ca_pem = one.ca_pem();
    if (one.credential().empty()) continue;
    SLUICE_RETURN_IF_ERROR(Look(credentials, fmt::format("origins[{}].credentials", i),
                                one.credential(), origin.credentials));
  }
  for (const auto& one : from.mounts()) {
    Mount& mount = config.mounts.emplace_back();
    mount = {one.path(), one.origin(), one.bucket(), one.prefix()};
    mount.pin = one.pin();
    if (one.has_metadata_ttl_seconds())
      mount.metadata_ttl = std::chrono::seconds(one.metadata_ttl_seconds());
  }
  for (int i = 0; i < from.tenants_size(); ++i) {
    SLUICE_ASSIGN_OR_RETURN(auto tenant,
                            ToTenant(from.tenants(i), credentials, fmt::format("tenants[{}]", i)));
    config.tenants.push_back(std::move(tenant));
  }
  return config;
}

}  // namespace sluice::control
