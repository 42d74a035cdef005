#include "reconcilers/agents/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/log.h"
#include "controller/rpc/server.h"
#include "reconcilers/agents/agent_stream.h"
#include "reconcilers/agents/enrolment.h"
#include "reconcilers/agents/issuer.h"
#include "reconcilers/agents/limits.h"
#include "reconcilers/agents/peer.h"

namespace sluice::agents {

using base::Status;
using base::StatusOr;

namespace {

const std::string kService = "/sluice.agent.v1.";

StatusOr<std::unique_ptr<rpc::Server>> ControlServer(const ServerOptions& options) {
  return rpc::Server::New({.address = options.control_address,
                           .threads = kControlThreads,
                           .client_certificates = true,
                           .most_connections = kMaxConnections,
                           .most_handshakes = kHandshakesAtOnce,
                           .handshake_deadline = kHandshakeDeadline,
                           .most_request_bytes = kMaxUpwardMessageBytes,
                           .most_answer_bytes = kMaxDownwardMessageBytes,
                           .quota_bytes = kControlQuotaBytes});
}

StatusOr<std::unique_ptr<rpc::Server>> EnrolmentServer(const ServerOptions& options) {
  return rpc::Server::New({.address = options.enrolment_address,
                           .most_connections = kMaxEnrolmentConnections,
                           .most_handshakes = kHandshakesAtOnce,
                           .handshake_deadline = kHandshakeDeadline,
                           .most_age = kEnrolmentConnectionAge,
                           .most_request_bytes = kMaxUpwardMessageBytes,
                           .most_answer_bytes = kMaxDownwardMessageBytes,
                           .quota_bytes = kEnrolmentQuotaBytes});
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
        issuer(options.agent_certificate_life, publisher, the_clock),
        reviewer(token_reviewer) {}

  void Renew(rpc::Call& call, std::string_view request);
  Status DecideRenewal(const rpc::Call& call, const agent::v1::RenewRequest& request,
                       agent::v1::Identity& response);
  Status RotateServerCertificate();
  bool RotationDue(base::WallTime now) const {  // `mutex` is held
    return now >= rotate_at || now < rotated_at - kWallTimeSet;
  }
  void KeepHouse();

  const ServerOptions options;
  ConfigPublisher& publisher;
  base::Clock& clock;
  StreamContext context;
  Issuer issuer;
  TokenReviewer& reviewer;

  std::unique_ptr<ReviewPool> pool;
  std::unique_ptr<Enroller> enroller;
  std::unique_ptr<rpc::Server> enrolment_server;
  std::unique_ptr<rpc::Server> control_server;
  std::atomic<long> renewed{0};

  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;  // guarded by mutex, as all below
  int rotations = -1;     // the first certificate is none
  base::WallTime server_not_after;
  base::WallTime rotated_at;  // or when that was tried last
  base::WallTime rotate_at;
  std::thread house;
};

void AgentServer::Impl::Renew(rpc::Call& call, std::string_view bytes) {
  agent::v1::RenewRequest request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return call.Finish(base::InvalidArgument("not a RenewRequest"));
  }
  agent::v1::Identity response;
  if (Status status = DecideRenewal(call, request, response); !status.ok()) {
    return call.Finish(std::move(status));
  }
  ++renewed;
  rpc::Reply(call, response.SerializeAsString());
}

Status AgentServer::Impl::DecideRenewal(const rpc::Call& call,
                                        const agent::v1::RenewRequest& request,
                                        agent::v1::Identity& response) {
  SLUICE_ASSIGN_OR_RETURN(const Peer peer, PeerOf(call));
  if (peer.certificate_not_after <= clock.Wall()) {
    return base::Unauthenticated("the certificate has ended; enrol anew");
  }
  if (const Status status = context.roster(peer.identity); !status.ok()) {
    base::log::Warn(
        "certificate not renewed",
        {{"site", peer.identity.site}, {"node", peer.identity.node}, {"error", status}});
    return status;
  }
  return issuer.Issue(request.csr_pem(), peer.identity, response);
}

Status AgentServer::Impl::RotateServerCertificate() {
  const auto now = clock.Wall();
  const auto issued =
      issuer.authority().IssueServer(options.names, now, options.server_certificate_life);
  const std::lock_guard lock(mutex);
  rotated_at = now;
  if (!issued.ok()) {
    // Try again well before the present one ends.
    rotate_at = now + std::chrono::duration_cast<base::WallTime::duration>(
                          options.server_certificate_life / 20);
    return issued.status();
  }
  const base::KeyPair pair{issued->certificate.certificate_pem, issued->key_pem};
  for (rpc::Server* const server : {control_server.get(), enrolment_server.get()}) {
    SLUICE_RETURN_IF_ERROR(server->SetCertificate(pair, issuer.trust_pem()));
  }
  server_not_after = issued->certificate.not_after;
  rotate_at = now + (server_not_after - now) / 2;
  ++rotations;
  return base::OkStatus();
}

// Once a second (more often where certificates live for seconds): ends streams that must end, and
// replaces the server's certificate when it is due.
void AgentServer::Impl::KeepHouse() {
  const base::Duration tick =
      std::min<base::Duration>(std::chrono::seconds(1), options.server_certificate_life / 20);
  std::unique_lock lock(mutex);
  while (!clock.WaitUntil(lock, wake, clock.Mono() + tick, [this] { return stopping; })) {
    const bool due = RotationDue(clock.Wall());
    lock.unlock();
    if (due) {
      const Status rotated = RotateServerCertificate();
      if (rotated.ok()) {
        base::log::Info("server certificate rotated");
      } else {
        base::log::Error("server certificate not rotated", {{"error", rotated}});
      }
    }
    context.rounds.Go(clock.Wall(), clock.Mono());
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
  SLUICE_ASSIGN_OR_RETURN(impl.control_server, ControlServer(impl.options));
  SLUICE_ASSIGN_OR_RETURN(impl.enrolment_server, EnrolmentServer(impl.options));
  impl.issuer.Set(std::move(authority), std::move(trust_pem));
  SLUICE_RETURN_IF_ERROR(impl.RotateServerCertificate());
  impl.pool = std::make_unique<ReviewPool>(
      ReviewPool::Limits{.threads = impl.options.review_threads,
                         .most_threads = std::max(impl.options.review_threads, kMaxReviewThreads),
                         .waiting = kMaxEnrolmentsWaiting});
  impl.enroller = std::make_unique<Enroller>(impl.issuer, impl.reviewer, impl.context.roster,
                                             impl.clock, *impl.pool, impl.options.review_threads);
  impl.control_server->Handle(kService + "AgentControl/Connect",
                              [&impl](std::shared_ptr<rpc::Call> call) {
                                return AgentStream::Accept(impl.context, std::move(call));
                              });
  impl.control_server->Handle(
      kService + "AgentControl/Renew",
      rpc::Unary([&impl](const std::shared_ptr<rpc::Call>& call, std::string_view request) {
        impl.Renew(*call, request);
      }));
  impl.enrolment_server->Handle(
      kService + "Enrolment/Enrol",
      rpc::Unary([&impl](std::shared_ptr<rpc::Call> call, std::string_view request) {
        impl.enroller->Enrol(std::move(call), request);
      }));
  SLUICE_RETURN_IF_ERROR(impl.control_server->Start());
  SLUICE_RETURN_IF_ERROR(impl.enrolment_server->Start());
  impl.publisher.SetListener([&impl](const std::string& site) {
    for (const auto& stream : impl.context.table.OfSite(site)) stream->Pump();
  });
  impl.house = std::thread([&impl] { impl.KeepHouse(); });
  base::log::Info("agent server started",
                  {{"control_port", control_port()}, {"enrolment_port", enrolment_port()}});
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
  for (const auto& stream : impl.context.table.All()) {
    stream->Close(base::Unavailable("the controller is stopping"));
  }
  for (const auto& server : {impl.enrolment_server.get(), impl.control_server.get()}) {
    if (server != nullptr) server->Stop(kStopGrace);
  }
  SLUICE_CHECK(impl.context.live == 0);
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

int AgentServer::control_port() const {
  return impl_->control_server ? impl_->control_server->port() : 0;
}
int AgentServer::enrolment_port() const {
  return impl_->enrolment_server ? impl_->enrolment_server->port() : 0;
}

ServerStats AgentServer::stats() const {
  ServerStats stats;
  stats.streams = impl_->context.live;
  if (impl_->enroller) {
    stats.enrolled = impl_->enroller->enrolled;
    stats.refused = impl_->enroller->refused;
  }
  stats.renewed = impl_->renewed;
  stats.configurations = impl_->context.configurations;
  stats.acks = impl_->context.acks;
  stats.nacks = impl_->context.nacks;
  const std::lock_guard lock(impl_->mutex);
  stats.certificate_rotations = std::max(0, impl_->rotations);
  stats.certificate_not_after = impl_->server_not_after;
  return stats;
}

}  // namespace sluice::agents
