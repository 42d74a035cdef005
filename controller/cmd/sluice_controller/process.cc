#include "controller/cmd/sluice_controller/process.h"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/metrics.h"
#include "controller/client/client.h"
#include "controller/client/config.h"
#include "controller/cmd/sluice_controller/agent_plane.h"
#include "controller/cmd/sluice_controller/audit_plane.h"
#include "controller/cmd/sluice_controller/lineage.h"
#include "controller/http/server.h"
#include "controller/runtime/limits.h"
#include "controller/runtime/manager.h"
#include "controller/runtime/process.h"
#include "controller/runtime/stop_deadline.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/gates/external_check.h"
#include "reconcilers/gates/grpc_check/grpc_check.h"
#include "reconcilers/governance/register.h"
#include "reconcilers/incident/receiver.h"
#include "reconcilers/promotion/register.h"
#include "reconcilers/release/register.h"
#include "reconcilers/rollout/register.h"
#include "reconcilers/site/clusters.h"
#include "reconcilers/site/register.h"
#include "reconcilers/site/roster.h"
#include "reconcilers/siteclass/register.h"
#include "reconcilers/slo/register.h"
#include "reconcilers/stageplan/register.h"
#include "reconcilers/tenant/register.h"

namespace sluice::controller_main {

namespace log = base::log;
using base::Status;
using base::StatusOr;

namespace {

StatusOr<client::Config> ConfigOf(const Options& options) {
  auto config = options.kubeconfig.empty() ? client::DefaultConfig(client::Search::kPodFirst)
                                           : client::LoadKubeconfig(options.kubeconfig);
  if (!config.ok()) return base::InvalidArgument("kubeconfig: " + config.status().message());
  config->user_agent = std::string("sluice-controller/") + kVersion;
  return config;
}

std::string NamespaceOf(const Options& options, const client::Config& config) {
  if (!options.namespace_name.empty()) return options.namespace_name;
  return config.ns.empty() ? "sluice" : config.ns;
}

runtime::Options ManagerOptions(const Options& options, const std::string& ns,
                                const std::string& identity, base::metrics::Registry& registry) {
  runtime::Options manager;
  manager.name = "sluice.dev/sluice-controller";
  manager.identity = identity;
  manager.lease_namespace = ns;
  if (options.leader_elect) manager.lease_name = options.lease_name;
  manager.lease_duration = options.lease_duration;
  manager.renew_deadline = options.renew_deadline;
  manager.retry_period = options.retry_period;
  manager.metrics_address = options.metrics_address;
  manager.health_address = options.health_address;
  manager.debug_address = options.debug_address;
  manager.registry = &registry;
  manager.workers = options.workers;
  return manager;
}

// ":9443" of "0.0.0.0:9443".
std::string PortOf(const std::string& address) { return address.substr(address.rfind(':')); }

site::AgentOptions AgentOptionsOf(const Options& options, const std::string& ns,
                                  const std::string& trust_pem) {
  const std::string host = options.agent_service + "." + ns + ".svc";
  site::AgentOptions agent;
  agent.image = options.agent_image;
  agent.image_pull_policy = options.agent_pull_policy;
  agent.image_pull_secrets = options.agent_pull_secrets;
  agent.seccomp_profile = options.agent_seccomp_profile;
  agent.control_endpoint = !options.control_endpoint.empty()
                               ? options.control_endpoint
                               : host + PortOf(options.control_address);
  agent.enrolment_endpoint = !options.enrolment_endpoint.empty()
                                 ? options.enrolment_endpoint
                                 : host + PortOf(options.enrolment_address);
  agent.trust_pem = trust_pem;
  return agent;
}

// An API server that is away at our start, or a right that is missing, is waited for: ending would
// only start us again.
Status PrepareUntil(AgentPlane& plane, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    const Status status = plane.Prepare();
    if (status.ok() || !MayPass(status)) return status;
    log::Warn("certificate authority could not be read, will retry", {{"error", status}});
    wake.wait_for(lock, stop, std::chrono::seconds(2), [] { return false; });
  }
  return base::OkStatus();
}

// The server of Alertmanager's receiver, which any replica serves; nullptr when none was asked for.
StatusOr<std::unique_ptr<http::Server>> ReceiverServer(const Options& options,
                                                       incident::Receiver* receiver) {
  if (receiver == nullptr) return std::unique_ptr<http::Server>();
  SLUICE_ASSIGN_OR_RETURN(auto server,
                          http::Server::New({.address = options.alertmanager_address}));
  server->Handle(incident::kReceiverPath, [receiver](const http::ServerRequest& request) {
    return receiver->Handle(request);
  });
  SLUICE_RETURN_IF_ERROR(server->Start());
  return server;
}

// Every site is looked at by the named controller.
void LookAtSites(runtime::Manager& manager, const std::string& controller) {
  const runtime::Trigger trigger = manager.TriggerOf(controller);
  for (const auto& site : manager.StoreOf(common::kSites).List()) trigger(site->key());
}

}  // namespace

Status StartLineage(const Options& options) {
  SLUICE_ASSIGN_OR_RETURN(const client::Config config, ConfigOf(options));
  base::RealClock clock;
  SLUICE_ASSIGN_OR_RETURN(const auto client, client::NewClient(config, clock));
  const LineageRequest request{options.start_lineage, options.supersedes, options.reason};
  const auto said = StartLineage(*client, clock, NamespaceOf(options, config), request);
  client->Stop();
  if (!said.ok()) return said.status();
  std::fputs(said->c_str(), stdout);
  return base::OkStatus();
}

// What the reconcilers share; all of it outlives the Manager's run.
struct Shared {
  const Options& options;
  const std::string& ns;
  base::Clock& clock;
  AgentPlane& plane;
  AuditPlane& audit;
  common::SecretReader& secrets;
  site::SiteClusters& clusters;
  gates::ExternalCheck& external;
};

void RegisterKinds(runtime::Manager& manager, const Shared& with) {
  client::Client& api = manager.fenced_client();
  const Options& options = with.options;
  siteclass::Register(manager, {api, with.clock});
  site::Register(manager,
                 {api, with.plane.publisher(), with.plane.fleet(), with.secrets, with.clock,
                  [&options, &ns = with.ns, &plane = with.plane] {
                    return AgentOptionsOf(options, ns, plane.TrustPem());
                  },
                  &with.clusters});
  tenant::Register(manager, {api, with.secrets, with.clock});
  slo::Register(manager, {api, with.secrets, with.clock});
  stageplan::Register(manager, {api, with.clock});
  promotion::Register(manager, {api, with.secrets, with.audit.log(), with.clock, &with.external});
  release::Register(manager, {api, with.clock});
  rollout::Register(manager, {api,
                              with.secrets,
                              with.audit.log(),
                              with.clock,
                              {options.agent_image, options.agent_pull_policy},
                              &with.external});
  governance::Register(manager, {api, with.clock});
}

Status Run(const Options& options, std::stop_token stop) {
  SLUICE_ASSIGN_OR_RETURN(const client::Config config, ConfigOf(options));
  base::RealClock clock;
  base::metrics::Registry registry;
  registry.GetGauge("sluice_build_info", "What runs here.", {{"version", kVersion}}).Set(1);
  SLUICE_ASSIGN_OR_RETURN(const auto client, client::NewClient(config, clock));
  SLUICE_ASSIGN_OR_RETURN(
      const auto lease_client,
      runtime::NewLeaseClient(config, clock, options.renew_deadline, options.retry_period));
  const std::string ns = NamespaceOf(options, config);
  const std::string identity =
      options.identity.empty() ? runtime::MakeIdentity() : options.identity;
  log::Info("controller starting",
            {{"version", kVersion}, {"namespace", ns}, {"identity", identity}});

  // Fenced off it could only stand there: it ends, and takes over anew when it is started again.
  std::stop_source end;
  std::atomic<bool> fenced{false};
  const std::stop_callback forward(stop, [&] { end.request_stop(); });

  // The plane's roster needs the Manager's caches, the Manager's on_lead the plane.
  std::unique_ptr<runtime::Manager> manager;
  std::unique_ptr<site::SiteClusters> clusters;
  AgentPlane plane(
      {.ns = ns,
       .identity = identity,
       .control_address = options.control_address,
       .enrolment_address = options.enrolment_address,
       .agent_certificate_life = options.agent_certificate},
      *client, clock,
      [](const std::string& site) {
        return "system:serviceaccount:" + site::NamespaceOf(site) + ":" + site::kAgentName;
      },
      [&](const agents::AgentIdentity& agent) {
        return site::RosterOf(*manager, clusters.get()).Has(agent.site, agent.node);
      },
      {.client_of = [&](const std::string& site) { return clusters->ReviewClient(site); },
       .name_of = [&](const std::string& site) { return clusters->ClusterOf(site); }});
  plane.OnFenced([&] {
    fenced = true;
    end.request_stop();
  });
  SLUICE_RETURN_IF_ERROR(PrepareUntil(plane, stop));
  if (stop.stop_requested()) return base::OkStatus();

  AuditPlane audit({.ns = ns,
                    .identity = identity,
                    .directory = options.audit_directory,
                    .to_stdout = options.audit_stdout,
                    .retention = options.audit_retention},
                   *client, clock, [&] { return plane.SigningKeyPem(); });
  runtime::Options manager_options = ManagerOptions(options, ns, identity, registry);
  manager_options.lease_client = lease_client.get();
  manager_options.on_lead = [&] {
    const Status status = plane.OnLead();
    // Configurations derived as a follower are published under the epoch just raised.
    if (status.ok()) audit.OnLead(plane.publisher().record().epoch);
    if (status.ok()) LookAtSites(*manager, "site-config");
    return status;
  };
  manager_options.on_grace_over = [&] { clusters->Stop(); };
  manager = runtime::Manager::New(std::move(manager_options), *client, clock);
  plane.Register(*manager);
  audit.Register(*manager);
  common::SecretReader secrets(*client, manager->StoreOf(common::kSecrets, {.ns = ns}), ns, clock);
  clusters = std::make_unique<site::SiteClusters>(
      site::SiteClusters::Deps{.sites = manager->StoreOf(common::kSites),
                               .secrets = secrets,
                               .clock = clock,
                               .registry = registry,
                               .leading = [&] { return manager->leading(); }});
  manager->AddDebug("clusters", [&] { return clusters->Debug(); });
  gates::GrpcCheck grpc_check;
  gates::ExternalCheck external(
      {.allowed = options.external_gates, .ca_file = options.external_gate_ca_file}, &grpc_check);
  RegisterKinds(*manager, {.options = options,
                           .ns = ns,
                           .clock = clock,
                           .plane = plane,
                           .audit = audit,
                           .secrets = secrets,
                           .clusters = *clusters,
                           .external = external});
  plane.OnAuthority([&] {
    for (const char* controller : {"site", "site-elsewhere"}) LookAtSites(*manager, controller);
  });
  std::optional<incident::Receiver> receiver;
  if (!options.alertmanager_address.empty()) {
    receiver.emplace(*client, *client, registry, options.alertmanager_token_file);
  }
  SLUICE_ASSIGN_OR_RETURN(const auto alerts,
                          ReceiverServer(options, receiver ? &*receiver : nullptr));
  SLUICE_RETURN_IF_ERROR(plane.Start());
  const Status result = manager->Run(end.get_token());
  // What ends now writes, too, and waits no longer for a server that does not answer.
  const runtime::StopDeadline grace(clock, runtime::kCallGrace, [&] { client->Stop(); });
  if (alerts) alerts->Stop();
  audit.Stop();
  plane.Stop();
  clusters->Stop();
  client->Stop();
  lease_client->Stop();
  if (result.ok() && fenced) {
    return base::Aborted("the agents' record was taken over by another; to be started again");
  }
  return result;
}

int ExitCode(const Status& status) {
  if (status.ok()) return 0;
  return status.code() == base::Code::kInvalidArgument ? 2 : 1;
}

}  // namespace sluice::controller_main
