// The controller's gRPC server for agents: enrolment on one port, streams and renewal on another.
//
//   AgentServer server(options, publisher, fleet, reviewer, clock);
//   SLUICE_RETURN_IF_ERROR(server.Start(authority, trust_bundle_pem));
//   ...
//   server.Stop();
//
// Runs in every replica; needs no leader. It sends what ConfigPublisher offers and tells FleetView
// what comes back. Its own certificate is issued by the authority and replaced while it runs, at
// half life, and at once when wall time was set back to before it was issued: agents whose clocks
// are right would not take it for valid yet. New handshakes use the new one, open streams stay.
//
// What is refused: a certificate not of our CA or past its end (handshake; a stream ends when its
// certificate does), a Hello that names another site or node than the certificate, messages over
// their bound, more than kMaxStreamsPerNode streams of one node (the oldest goes), and whoever the
// Roster does not have: it is asked at enrolment, at renewal, at Hello, and of an open stream every
// roster_interval.
//
// What an agent refused, for a cause that may pass (a port in use, a disk not mounted yet), it is
// offered again after offer_again, and ever more seldom, until it takes it or there is another.
//
// Thread rule: Start, Stop and the destructor by the owner; the rest from any thread. Threads:
// those of connections (kControlThreads and one for enrolment; controller/rpc), one for
// housekeeping, `review_threads` for token reviews, and more while clusters are slow to answer
// those (enrolment.h). Stop: listeners close, streams end, threads are joined.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/agents/ca.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/limits.h"
#include "reconcilers/agents/publisher.h"

namespace sluice::agents {

// Who a service-account token speaks for.
struct ReviewedToken {
  std::string service_account;  // "system:serviceaccount:NAMESPACE:NAME"
  std::string pod;
  std::string node;  // authentication.kubernetes.io/node-name of the pod it is bound to
};

// Asks TokenReview of the site's own cluster, with audience "sluice". Called from several threads;
// waits no longer than `deadline`.
// Errors: Unauthenticated (the API server says so, wrong audience, not bound to a pod);
// PermissionDenied (not the service account the site's agents run under); Unavailable and
// DeadlineExceeded (the agent tries again).
class TokenReviewer {
 public:
  virtual ~TokenReviewer() = default;
  virtual base::StatusOr<ReviewedToken> Review(const std::string& site, const std::string& token,
                                               base::MonoTime deadline) = 0;
  // Which cluster would be asked; empty: the one the controller is in. Reviews of one cluster wait
  // for each other and for no other's. Answers at once, on any thread.
  virtual std::string ClusterOf(const std::string& /*site*/) { return ""; }
};

// Whether an agent of this site may be on this node now: a token or a certificate alone outlives
// the Site and the node it was given for. Answers at once, from memory, on any thread. Errors:
// NotFound and PermissionDenied (no, and why); Unavailable (it cannot be told yet: nothing is given
// out, and open streams stay).
using Roster = std::function<base::Status(const AgentIdentity& identity)>;

struct ServerOptions {
  std::string control_address = "0.0.0.0:9443";
  std::string enrolment_address = "0.0.0.0:9444";
  // DNS SANs of the server's certificate. Agents check the first one whatever address they dial.
  std::vector<std::string> names = {"sluice-controller"};
  base::Duration server_certificate_life = std::chrono::hours(24);
  base::Duration agent_certificate_life = std::chrono::hours(24);
  std::chrono::seconds health_interval{60};
  // How often the roster is asked about an open stream.
  std::chrono::seconds roster_interval = kRosterInterval;
  // How long after a refusal the same configuration is offered again, at most; it doubles with
  // each refusal, up to kOfferAgainMost.
  std::chrono::seconds offer_again = kOfferAgainFirst;
  int review_threads = 4;  // as many reviews at a time in the controller's own cluster
};

struct ServerStats {
  int streams = 0;
  long enrolled = 0;  // certificates given against a token
  long refused = 0;   // enrolments refused
  long renewed = 0;
  long configurations = 0;  // sent
  long acks = 0;
  long nacks = 0;
  int certificate_rotations = 0;
  base::WallTime certificate_not_after;
};

class AgentServer {
 public:
  AgentServer(ServerOptions options, ConfigPublisher& publisher, FleetView& fleet,
              TokenReviewer& reviewer, Roster roster, base::Clock& clock);
  ~AgentServer();
  AgentServer(const AgentServer&) = delete;
  AgentServer& operator=(const AgentServer&) = delete;

  // `trust_pem`: every CA whose agents are let in and that agents shall trust; empty: the
  // authority's. Errors: InvalidArgument, FailedPrecondition (authority ended), Unavailable (port
  // taken).
  base::Status Start(CertificateAuthority authority, std::string trust_pem);
  void Stop();

  // Rotates the authority while running.
  base::Status SetAuthority(CertificateAuthority authority, std::string trust_pem);

  // Tells a node's agent to finish and end. NotFound when it has no stream here.
  base::Status Drain(const AgentIdentity& identity, std::chrono::seconds grace);

  int control_port() const;
  int enrolment_port() const;
  ServerStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::agents
