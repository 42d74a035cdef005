// One S3 origin as seen from one loop: kept connections, a queue, retries, a circuit breaker.
//
//   auto client = Client::Create(loop, resolver, options, circuit);
//   auto exchange = client->Start(std::move(request), &handler);   // keep it until OnDone
//
// Retried, within kMaxAttempts and the retry budget, with jittered backoff: connection failures,
// timeouts before the head, and answers 429, 500, 502, 503, 504, as long as the method is not POST
// and no streamed byte has been taken. A kept connection that turns out dead costs no attempt.
//
// Thread rule: the loop's thread. Stop: destroy every Exchange, then the Client; both may happen
// inside any callback. Connections are closed by a task on the loop, which must outlive the client.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "datapath/net/resolver.h"
#include "datapath/origin/endpoint.h"
#include "datapath/origin/exchange.h"
#include "datapath/origin/health.h"
#include "datapath/origin/tls.h"

namespace sluice::origin {

struct Deadlines {
  base::Duration connect = std::chrono::seconds(3);      // resolve, TCP and TLS
  base::Duration first_byte = std::chrono::seconds(10);  // from the request sent to its head
  base::Duration idle = std::chrono::seconds(15);        // silence inside a body, either way
  base::Duration upload = std::chrono::seconds(120);     // for the user's next bytes of a body
  base::Duration head = std::chrono::seconds(20);        // Request::head_deadline when zero
  base::Duration kept = std::chrono::seconds(20);        // an unused connection's life
};

struct ClientOptions {
  std::string name;  // Origin::name: for logs
  Endpoint endpoint;
  std::string region;
  bool path_style = true;
  std::string access_key_id;
  std::string secret_access_key;  // never logged
  std::string session_token;
  std::shared_ptr<TlsContext> tls;  // with endpoint.tls
  Deadlines deadlines;
  std::size_t max_connections = kMaxConnections;
  std::uint64_t seed = 1;  // of the jitter
};

// For metrics; plain numbers that only grow, but for the last two.
struct ClientStats {
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t transport_failures = 0;  // behind a connect
  std::uint64_t timeouts = 0;
  std::uint64_t refused_by_circuit = 0;
  std::uint64_t bytes_received = 0;  // bodies
  std::uint64_t bytes_sent = 0;
  std::uint64_t connections = 0;  // now
  std::uint64_t waiting = 0;      // now
};

class Client {
 public:
  // `circuit` may be shared by the clients of several loops. Everything given by reference outlives
  // the client.
  static std::unique_ptr<Client> Create(net::EventLoop& loop, net::Resolver& resolver,
                                        ClientOptions options, std::shared_ptr<Circuit> circuit);
  virtual ~Client() = default;

  // Never calls `handler` from inside. `handler` outlives the exchange.
  virtual std::unique_ptr<Exchange> Start(Request request, ResponseHandler* handler) = 0;
  // For requests (and retries) sent from now on.
  virtual void SetCredentials(std::string access_key_id, std::string secret_access_key,
                              std::string session_token) = 0;
  virtual const ClientStats& stats() const = 0;
};

}  // namespace sluice::origin
