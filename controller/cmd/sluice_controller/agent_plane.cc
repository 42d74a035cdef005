#include "controller/cmd/sluice_controller/agent_plane.h"

#include <nlohmann/json.hpp>

#include "controller/base/log.h"

namespace sluice::controller_main {

namespace log = base::log;
using base::Status;

namespace {

constexpr int kTakeOverTries = 3;

// Feeds the publisher with the record as the watch shows it; it ignores what it knows already.
class RecordFollower final : public reconcile::Reconciler {
 public:
  RecordFollower(cache::Store& store, agents::ConfigPublisher& publisher)
      : store_(store), publisher_(publisher) {}
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const meta::ObjectPtr object = store_.Get(request.key);
    if (object == nullptr) {
      const Status restored = publisher_.Restore();
      return restored.ok() ? reconcile::Result::Done() : reconcile::Result::Retry(restored);
    }
    const auto versioned = ConfigMapEpochStore::FromObject(*object);
    if (!versioned.ok()) return reconcile::Result::Terminal(versioned.status());
    publisher_.Observe(versioned->record);
    return reconcile::Result::Done();
  }

 private:
  cache::Store& store_;
  agents::ConfigPublisher& publisher_;
};

// Puts a changed authority into force, and on the leader replaces one that grows old.
class AuthorityFollower final : public reconcile::Reconciler {
 public:
  AuthorityFollower(cache::Store& store, AgentPlane& plane, client::Writer& writer,
                    base::Clock& clock)
      : store_(store), plane_(plane), writer_(writer), clock_(clock) {}
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const meta::ObjectPtr object = store_.Get(request.key);
    if (object == nullptr) return reconcile::Result::Done();
    if (const Status status = plane_.Follow(*object); !status.ok()) {
      return reconcile::Result::Terminal(status);
    }
    if (plane_.publisher().leading()) {
      if (const Status status = Renew(*object); !status.ok()) {
        return reconcile::Result::Retry(status);
      }
    }
    return reconcile::Result::After(std::chrono::hours(1));
  }

 private:
  Status Renew(const meta::Object& secret) {
    SLUICE_ASSIGN_OR_RETURN(const Authority current, ReadAuthority(secret));
    SLUICE_ASSIGN_OR_RETURN(const auto next, Rotated(current, clock_.Wall()));
    if (!next.has_value()) return base::OkStatus();
    nlohmann::json body = AuthoritySecret(std::string(secret.ns()), *next);
    body["metadata"]["resourceVersion"] = std::string(secret.resource_version());
    const auto written = writer_.Update(SecretResource(), body);
    if (!written.ok()) return written.status();
    log::Info("certificate authority renewed", {{"secret", kAuthoritySecret}});
    return base::OkStatus();
  }

  cache::Store& store_;
  AgentPlane& plane_;
  client::Writer& writer_;
  base::Clock& clock_;
};

runtime::StoreOptions One(const meta::Key& key) {
  runtime::StoreOptions options;
  options.ns = key.ns;
  options.field_selector = "metadata.name=" + key.name;
  return options;
}

agents::ServerOptions ServerOptionsOf(const AgentPlaneOptions& options) {
  agents::ServerOptions server;
  server.control_address = options.control_address;
  server.enrolment_address = options.enrolment_address;
  server.agent_certificate_life = options.agent_certificate_life;
  return server;
}

}  // namespace

AgentPlane::AgentPlane(AgentPlaneOptions options, client::Client& client, base::Clock& clock,
                       std::function<std::string(const std::string& site)> account_of,
                       agents::Roster roster, SiteCluster cluster)
    : options_(std::move(options)),
      client_(client),
      clock_(clock),
      epochs_(client, client, options_.ns),
      reviewer_(client, clock, std::move(account_of), std::move(cluster)),
      roster_(std::move(roster)) {}

AgentPlane::~AgentPlane() { Stop(); }

Status AgentPlane::Prepare() {
  SLUICE_ASSIGN_OR_RETURN(Authority authority,
                          EnsureAuthority(client_, client_, options_.ns, clock_.Wall()));
  publisher_ = std::make_unique<agents::ConfigPublisher>(epochs_, authority.version_key);
  publisher_->OnFenced([this] {
    log::Warn("the agents' record was taken over by another");
    if (fenced_) fenced_();
  });
  server_ = std::make_unique<agents::AgentServer>(ServerOptionsOf(options_), *publisher_, fleet_,
                                                  reviewer_, roster_, clock_);
  const std::lock_guard lock(mutex_);
  authority_ = std::move(authority);
  return base::OkStatus();
}

void AgentPlane::Register(runtime::Manager& manager) {
  const runtime::StoreOptions record = One(epochs_.key());
  manager
      .NewController("agents-record", ConfigMapResource(), record,
                     std::make_shared<RecordFollower>(manager.StoreOf(ConfigMapResource(), record),
                                                      *publisher_))
      .NeedsNoLeader();
  const runtime::StoreOptions secret = One({options_.ns, kAuthoritySecret});
  manager
      .NewController("agents-authority", SecretResource(), secret,
                     std::make_shared<AuthorityFollower>(manager.StoreOf(SecretResource(), secret),
                                                         *this, manager.fenced_client(), clock_))
      .NeedsNoLeader();
  manager.AddReadyCheck("agents", [this] {
    return started_ ? base::OkStatus() : base::Unavailable("agents are not served yet");
  });
  auto& metrics = manager.metrics();
  const auto gauge = [&](const char* name, const char* help, auto read) {
    metrics.AddGauge(name, help, {},
                     [this, read] { return static_cast<double>(read(server_->stats())); });
  };
  const auto counter = [&](const char* name, const char* help, auto read) {
    metrics.AddCounter(name, help, {},
                       [this, read] { return static_cast<double>(read(server_->stats())); });
  };
  gauge("sluice_agent_streams", "Streams of agents on this replica.",
        [](const auto& stats) { return stats.streams; });
  counter("sluice_agent_enrolments_total", "Agents enrolled by this replica since it started.",
          [](const auto& stats) { return stats.enrolled; });
  counter("sluice_agent_enrolments_refused_total",
          "Enrolments this replica refused since it started.",
          [](const auto& stats) { return stats.refused; });
  counter("sluice_agent_configurations_sent_total",
          "Configurations this replica sent since it started.",
          [](const auto& stats) { return stats.configurations; });
  counter("sluice_agent_configurations_acknowledged_total",
          "Acks this replica got since it started.", [](const auto& stats) { return stats.acks; });
  counter("sluice_agent_configurations_refused_total", "Nacks this replica got since it started.",
          [](const auto& stats) { return stats.nacks; });
  gauge("sluice_agent_server_certificate_not_after_seconds",
        "When the certificate served to agents ends (Unix time).", [](const auto& stats) {
          return std::chrono::duration<double>(stats.certificate_not_after.time_since_epoch())
              .count();
        });
}

Status AgentPlane::Start() {
  Authority authority;
  {
    const std::lock_guard lock(mutex_);
    authority = authority_;
  }
  SLUICE_ASSIGN_OR_RETURN(auto loaded, agents::CertificateAuthority::Load(authority.pair));
  SLUICE_RETURN_IF_ERROR(server_->Start(std::move(loaded), authority.TrustPem()));
  started_ = true;
  log::Info("agents served", {{"control_port", server_->control_port()},
                              {"enrolment_port", server_->enrolment_port()}});
  return base::OkStatus();
}

void AgentPlane::Stop() {
  if (!started_) return;
  started_ = false;
  publisher_->StepDown();
  server_->Stop();
  log::Info("agents no longer served", {});
}

// One lost or refused request is no reason to give the lead up: that leaves nobody leading for as
// long as a Lease lasts.
Status AgentPlane::OnLead() {
  Status status = TakeOver();
  for (int again = 1; again < kTakeOverTries && base::IsRetryable(status); ++again) {
    log::Warn("epoch was not raised, will retry", {{"error", status}});
    status = TakeOver();
  }
  return status;
}

Status AgentPlane::TakeOver() {
  // The cluster's identity is the UID of a namespace that lives as long as the cluster.
  const meta::Resource namespaces{"", "v1", "Namespace", "namespaces", false};
  const auto system = client_.Get(namespaces, {"", "kube-system"});
  if (!system.ok()) return system.status().Annotate("the cluster's identity");
  SLUICE_ASSIGN_OR_RETURN(const std::int64_t epoch,
                          publisher_->TakeOver(std::string((*system)->uid()), options_.identity));
  log::Info("fencing epoch raised", {{"epoch", epoch}, {"holder", options_.identity}});
  return base::OkStatus();
}

std::string AgentPlane::TrustPem() const {
  const std::lock_guard lock(mutex_);
  return authority_.TrustPem();
}

std::string AgentPlane::SigningKeyPem() const {
  const std::lock_guard lock(mutex_);
  return authority_.pair.key_pem;
}

Status AgentPlane::Follow(const meta::Object& secret) {
  SLUICE_ASSIGN_OR_RETURN(Authority next, ReadAuthority(secret));
  {
    const std::lock_guard lock(mutex_);
    if (next.pair.certificate_pem == authority_.pair.certificate_pem &&
        next.previous_pem == authority_.previous_pem) {
      return base::OkStatus();
    }
  }
  SLUICE_ASSIGN_OR_RETURN(auto loaded, agents::CertificateAuthority::Load(next.pair));
  if (started_) {
    SLUICE_RETURN_IF_ERROR(server_->SetAuthority(std::move(loaded), next.TrustPem()));
  }
  {
    const std::lock_guard lock(mutex_);
    authority_ = std::move(next);
  }
  log::Info("certificate authority taken from its Secret", {{"secret", kAuthoritySecret}});
  if (authority_changed_) authority_changed_();
  return base::OkStatus();
}

}  // namespace sluice::controller_main
