#include "reconcilers/agents/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "api/agent/v1/agent.grpc.pb.h"
#include "controller/base/log.h"
#include "reconcilers/agents/agent_stream.h"
#include "reconcilers/agents/enrolment.h"
#include "reconcilers/agents/grpc_edge.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {

using base::Status;
using base::StatusOr;

// The three below are parts of AgentServer::Impl, and so have names outside of this file as it has.

// Issues certificates under an authority that may be replaced. Any thread.
class Issuer {
 public:
  Issuer(const ServerOptions& options, ConfigPublisher& publisher, base::Clock& clock)
      : options_(options), publisher_(publisher), clock_(clock) {}

  void Set(CertificateAuthority authority, std::string trust_pem) {
    const std::lock_guard lock(mutex_);
    trust_pem_ = trust_pem.empty() ? authority.certificate_pem() : std::move(trust_pem);
    authority_.emplace(std::move(authority));
  }
  CertificateAuthority authority() const {
    const std::lock_guard lock(mutex_);
    return *authority_;
  }
  std::string trust_pem() const {
    const std::lock_guard lock(mutex_);
    return trust_pem_;
  }

  Status Issue(const std::string& csr_pem, const AgentIdentity& identity,
               agent::v1::Identity& out) const {
    SLUICE_ASSIGN_OR_RETURN(
        const auto certificate,
        authority().SignAgent(csr_pem, identity, clock_.Wall(), options_.agent_certificate_life));
    const auto millis = [](base::WallTime time) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
    };
    out.set_certificate_pem(certificate.certificate_pem);
    out.set_ca_pem(trust_pem());
    out.set_lineage(publisher_.record().lineage);
    out.set_not_before_unix_ms(millis(certificate.not_before));
    out.set_not_after_unix_ms(millis(certificate.not_after));
    return base::OkStatus();
  }

 private:
  const ServerOptions& options_;
  ConfigPublisher& publisher_;
  base::Clock& clock_;
  mutable std::mutex mutex_;
  std::optional<CertificateAuthority> authority_;  // guarded by mutex_
  std::string trust_pem_;                          // guarded by mutex_
};

using EnrolmentBase = agent::v1::Enrolment::WithCallbackMethod_Enrol<agent::v1::Enrolment::Service>;

class EnrolmentService final : public EnrolmentBase {
 public:
  using EnrolmentBase::Enrol;
  EnrolmentService(const Issuer& issuer, TokenReviewer& reviewer, const Roster& roster,
                   base::Clock& clock, ReviewPool& pool, int own_at_once)
      : issuer_(issuer),
        reviewer_(reviewer),
        roster_(roster),
        clock_(clock),
        pool_(pool),
        own_at_once_(own_at_once) {}

  grpc::ServerUnaryReactor* Enrol(grpc::CallbackServerContext* context,
                                  const agent::v1::EnrolRequest* request,
                                  agent::v1::Identity* response) override {
    auto* reactor = context->DefaultReactor();
    const std::string cluster = reviewer_.ClusterOf(request->site());
    // Request and response live until Finish(), which every job calls once.
    pool_.Submit(cluster, cluster.empty() ? own_at_once_ : kReviewsOfACluster,
                 [this, reactor, request, response](const Status& admitted) {
                   const Status status = admitted.ok() ? Decide(*request, *response) : admitted;
                   ++(status.ok() ? enrolled : refused);
                   reactor->Finish(ToGrpc(status));
                 });
    return reactor;
  }

  std::atomic<long> enrolled{0}, refused{0};

 private:
  Status Decide(const agent::v1::EnrolRequest& request, agent::v1::Identity& response) const {
    const AgentIdentity wanted{request.site(), request.node()};
    SLUICE_RETURN_IF_ERROR(ParseIdentityUri(IdentityUri(wanted)).status());
    auto token =
        reviewer_.Review(wanted.site, request.token(), clock_.Mono() + kTokenReviewDeadline);
    // The roster last: whoever has no token learns nothing of it.
    Status admitted = token.ok() ? Admit(*token, wanted) : token.status();
    if (admitted.ok()) admitted = roster_(wanted);
    if (!admitted.ok()) {
      base::log::Warn("enrolment refused",
                      {{"site", wanted.site}, {"node", wanted.node}, {"error", admitted}});
      return admitted;
    }
    SLUICE_RETURN_IF_ERROR(issuer_.Issue(request.csr_pem(), wanted, response));
    base::log::Info("agent enrolled", {{"site", wanted.site},
                                       {"node", wanted.node},
                                       {"pod", token->pod},
                                       {"service_account", token->service_account}});
    return base::OkStatus();
  }

  const Issuer& issuer_;
  TokenReviewer& reviewer_;
  const Roster& roster_;
  base::Clock& clock_;
  ReviewPool& pool_;
  const int own_at_once_;  // reviews in the cluster the controller is in
};

using ControlBase = agent::v1::AgentControl::WithRawCallbackMethod_Connect<
    agent::v1::AgentControl::WithCallbackMethod_Renew<agent::v1::AgentControl::Service>>;

class ControlService final : public ControlBase {
 public:
  using ControlBase::Connect;
  using ControlBase::Renew;
  ControlService(StreamContext& context, const Issuer& issuer)
      : context_(context), issuer_(issuer) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(
      grpc::CallbackServerContext* call) override {
    return AgentStream::Accept(context_, *call);
  }

  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* call,
                                  const agent::v1::RenewRequest* request,
                                  agent::v1::Identity* response) override {
    auto* reactor = call->DefaultReactor();
    reactor->Finish(ToGrpc(Decide(*call, *request, *response)));
    return reactor;
  }

  std::atomic<long> renewed{0};

 private:
  Status Decide(const grpc::CallbackServerContext& call, const agent::v1::RenewRequest& request,
                agent::v1::Identity& response) {
    SLUICE_ASSIGN_OR_RETURN(const Peer peer, PeerOf(call));
    if (peer.certificate_not_after <= context_.clock.Wall()) {
      return base::Unauthenticated("the certificate has ended; enrol anew");
    }
    if (const Status status = context_.roster(peer.identity); !status.ok()) {
      base::log::Warn(
          "certificate not renewed",
          {{"site", peer.identity.site}, {"node", peer.identity.node}, {"error", status}});
      return status;
    }
    SLUICE_RETURN_IF_ERROR(issuer_.Issue(request.csr_pem(), peer.identity, response));
    ++renewed;
    return base::OkStatus();
  }

  StreamContext& context_;
  const Issuer& issuer_;
};

namespace {

StatusOr<std::unique_ptr<grpc::Server>> Listen(const std::string& address, int& port,
                                               grpc::Service& service,
                                               std::shared_ptr<grpc::ServerCredentials> creds,
                                               std::size_t quota_bytes,
                                               std::chrono::seconds connection_age) {
  grpc::ServerBuilder builder;
  grpc::ResourceQuota quota;
  quota.Resize(quota_bytes);
  builder.SetResourceQuota(quota);
  if (connection_age.count() > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               static_cast<int>(connection_age.count() * 1000));
  }
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             static_cast<int>(kHandshakeDeadline.count() * 1000));
  builder.AddListeningPort(address, std::move(creds), &port);
  builder.RegisterService(&service);
  builder.SetMaxReceiveMessageSize(kMaxUpwardMessageBytes);
  builder.SetMaxSendMessageSize(kMaxDownwardMessageBytes);
  // Two processes on one port would share agents by chance.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // One stream and a renewal per connection; the rest is memory given away (docs/adr/0043).
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 8);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 20'000);
  auto server = builder.BuildAndStart();
  if (!server || port == 0) {
    return base::Unavailable(fmt::format("cannot listen on {}", address));
  }
  return server;
}

}  // namespace

struct AgentServer::Impl {
  Impl(ServerOptions server_options, ConfigPublisher& config_publisher, FleetView& fleet,
       TokenReviewer& token_reviewer, Roster roster, base::Clock& the_clock)
      : options(std::move(server_options)),
        publisher(config_publisher),
        clock(the_clock),
        context{.options = options,
                .publisher = publisher,
                .fleet = fleet,
                .roster = std::move(roster),
                .clock = the_clock},
        issuer(options, publisher, the_clock),
        reviewer(token_reviewer) {}

  Status RotateServerCertificate();
  void KeepHouse();

  const ServerOptions options;
  ConfigPublisher& publisher;
  base::Clock& clock;
  StreamContext context;
  Issuer issuer;
  TokenReviewer& reviewer;

  CertificateSlot slot;  // outlives the servers
  std::unique_ptr<ReviewPool> pool;
  std::unique_ptr<EnrolmentService> enrolment;
  std::unique_ptr<ControlService> control;
  std::unique_ptr<grpc::Server> enrolment_server;
  std::unique_ptr<grpc::Server> control_server;
  int enrolment_port = 0;
  int control_port = 0;

  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;  // guarded by mutex, as all below
  int rotations = -1;     // the first certificate is none
  base::WallTime server_not_after;
  base::WallTime rotate_at;
  std::thread house;
};

Status AgentServer::Impl::RotateServerCertificate() {
  const auto now = clock.Wall();
  auto issued = issuer.authority().IssueServer(options.names, now, options.server_certificate_life);
  const std::lock_guard lock(mutex);
  if (!issued.ok()) {
    // Try again well before the present one ends.
    rotate_at = now + std::chrono::duration_cast<base::WallTime::duration>(
                          options.server_certificate_life / 20);
    return issued.status();
  }
  slot.Set({issued->certificate.certificate_pem, issued->key_pem}, issuer.trust_pem());
  server_not_after = issued->certificate.not_after;
  rotate_at = now + (server_not_after - now) / 2;
  ++rotations;
  return base::OkStatus();
}

// Once a second (more often where certificates live for seconds): ends streams that must end, and
// replaces the server's certificate at half life.
void AgentServer::Impl::KeepHouse() {
  const base::Duration tick =
      std::min<base::Duration>(std::chrono::seconds(1), options.server_certificate_life / 20);
  std::unique_lock lock(mutex);
  while (!clock.WaitUntil(lock, wake, clock.Mono() + tick, [this] { return stopping; })) {
    const bool due = clock.Wall() >= rotate_at;
    lock.unlock();
    if (due) {
      const Status rotated = RotateServerCertificate();
      if (rotated.ok()) {
        base::log::Info("server certificate rotated");
      } else {
        base::log::Error("server certificate not rotated", {{"error", rotated}});
      }
    }
    const auto wall = clock.Wall();
    const auto mono = clock.Mono();
    for (const auto& stream : context.table.All()) stream->Sweep(wall, mono);
    lock.lock();
  }
}

AgentServer::AgentServer(ServerOptions options, ConfigPublisher& publisher, FleetView& fleet,
                         TokenReviewer& reviewer, Roster roster, base::Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), publisher, fleet, reviewer,
                                   std::move(roster), clock)) {}

AgentServer::~AgentServer() { Stop(); }

Status AgentServer::Start(CertificateAuthority authority, std::string trust_pem) {
  Impl& impl = *impl_;
  SLUICE_CHECK(!impl.control_server && !impl.house.joinable());
  SLUICE_CHECK(!impl.options.names.empty());
  RouteCoreLog();
  impl.issuer.Set(std::move(authority), std::move(trust_pem));
  SLUICE_RETURN_IF_ERROR(impl.RotateServerCertificate());
  impl.pool = std::make_unique<ReviewPool>(
      ReviewPool::Limits{.threads = impl.options.review_threads,
                         .most_threads = std::max(impl.options.review_threads, kMaxReviewThreads),
                         .waiting = kMaxEnrolmentsWaiting});
  impl.enrolment =
      std::make_unique<EnrolmentService>(impl.issuer, impl.reviewer, impl.context.roster,
                                         impl.clock, *impl.pool, impl.options.review_threads);
  impl.control = std::make_unique<ControlService>(impl.context, impl.issuer);
  SLUICE_ASSIGN_OR_RETURN(
      impl.control_server,
      Listen(impl.options.control_address, impl.control_port, *impl.control,
             impl.slot.Credentials(true), kControlQuotaBytes, std::chrono::seconds(0)));
  SLUICE_ASSIGN_OR_RETURN(
      impl.enrolment_server,
      Listen(impl.options.enrolment_address, impl.enrolment_port, *impl.enrolment,
             impl.slot.Credentials(false), kEnrolmentQuotaBytes, kEnrolmentConnectionAge));
  impl.publisher.SetListener([&impl](const std::string& site) {
    for (const auto& stream : impl.context.table.OfSite(site)) stream->Pump();
  });
  impl.house = std::thread([&impl] { impl.KeepHouse(); });
  base::log::Info("agent server started",
                  {{"control_port", impl.control_port}, {"enrolment_port", impl.enrolment_port}});
  return base::OkStatus();
}

void AgentServer::Stop() {
  Impl& impl = *impl_;
  {
    const std::lock_guard lock(impl.mutex);
    impl.stopping = true;
  }
  impl.wake.notify_all();
  if (impl.house.joinable()) {
    impl.house.join();
    impl.publisher.SetListener(nullptr);
  }
  if (impl.pool) impl.pool->Stop();
  const auto soon = std::chrono::system_clock::now() + std::chrono::seconds(1);
  if (impl.enrolment_server) impl.enrolment_server->Shutdown(soon);
  if (impl.control_server) {
    for (const auto& stream : impl.context.table.All()) {
      stream->Close({grpc::StatusCode::UNAVAILABLE, "the controller is stopping"});
    }
    impl.control_server->Shutdown(soon);
    std::unique_lock lock(impl.context.live_mutex);
    impl.context.live_changed.wait(lock, [&] { return impl.context.live == 0; });
  }
  impl.enrolment_server.reset();
  impl.control_server.reset();
}

Status AgentServer::SetAuthority(CertificateAuthority authority, std::string trust_pem) {
  impl_->issuer.Set(std::move(authority), std::move(trust_pem));
  return impl_->RotateServerCertificate();
}

Status AgentServer::Drain(const AgentIdentity& identity, std::chrono::seconds grace) {
  const auto streams = impl_->context.table.OfNode(identity);
  if (streams.empty()) {
    return base::NotFound(fmt::format("node {} of site {} has no stream to this replica",
                                      identity.node, identity.site));
  }
  for (const auto& stream : streams) stream->Drain(grace);
  return base::OkStatus();
}

int AgentServer::control_port() const { return impl_->control_port; }
int AgentServer::enrolment_port() const { return impl_->enrolment_port; }

ServerStats AgentServer::stats() const {
  ServerStats stats;
  {
    const std::lock_guard lock(impl_->context.live_mutex);
    stats.streams = impl_->context.live;
  }
  if (impl_->enrolment) {
    stats.enrolled = impl_->enrolment->enrolled;
    stats.refused = impl_->enrolment->refused;
  }
  if (impl_->control) stats.renewed = impl_->control->renewed;
  stats.configurations = impl_->context.configurations;
  stats.acks = impl_->context.acks;
  stats.nacks = impl_->context.nacks;
  const std::lock_guard lock(impl_->mutex);
  stats.certificate_rotations = std::max(0, impl_->rotations);
  stats.certificate_not_after = impl_->server_not_after;
  return stats;
}

}  // namespace sluice::agents
