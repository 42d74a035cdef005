// A gRPC server for very many connections that mostly rest: HTTP/2 and TLS on a few threads with an
// epoll loop each, tens of kB a connection. Calls in both directions, uncompressed messages,
// statuses.
//
//   auto server = rpc::Server::New({.address = "0.0.0.0:9443"});
//   (*server)->Handle("/sluice.agent.v1.AgentControl/Renew", rpc::Unary(...));
//   SLUICE_RETURN_IF_ERROR((*server)->SetCertificate(pair, roots_pem));
//   SLUICE_RETURN_IF_ERROR((*server)->Start());
//   ...
//   (*server)->Stop(1s);
//
// TLS 1.2 and newer, HTTP/2 by ALPN only. Sessions are not resumed: each connection shows that its
// certificate is good now. SetCertificate while it runs: the next handshakes use the new one, open
// connections stay. What a peer may hold of the server is bounded (ServerOptions, limits.h)
// whatever it sends, before anything is parsed by the methods.
//
// Thread rule: New, Handle, Start, Stop and the destructor by the owner; the rest from any thread.
// Methods and a call's handler run on the thread of their connection: they must be quick, and hand
// what waits to a thread of their own. Nothing of a call runs twice at a time.
// Stop: the listener closes, calls may end within the time given, then all end; after it returns
// nothing of the server runs, and every handler had its OnEnd.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/certificate.h"
#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::rpc {

// Who is at the other end, by its verified certificate; empty where none is asked for.
struct Peer {
  std::vector<std::string> uris;  // its URI SANs
  base::WallTime certificate_not_after;
};

// The server's side of a call. Any thread; the methods return at once and take effect later on the
// connection's thread. After the call's end they do nothing.
class Call {
 public:
  virtual ~Call() = default;
  virtual const Peer& peer() const = 0;
  // `message` is shared, not copied, until it is on its way. One at a time: the next after OnSent.
  virtual void Send(std::shared_ptr<const std::string> message) = 0;
  // The first one counts. What is being sent goes before the status, for kLastWords.
  virtual void Finish(base::Status status) = 0;
};

// What the user makes of a call; runs on the connection's thread.
class Handler {
 public:
  virtual ~Handler() = default;
  // At most ServerOptions::most_request_bytes; read it during the call only.
  virtual void OnMessage(std::string_view message) = 0;
  virtual void OnSent() {}       // of the message given to Send
  virtual void OnHalfClose() {}  // the peer will send no more
  virtual void OnEnd() {}        // once, the last: finished, cancelled or cut
};

// Begins a call; never answers nullptr.
using Method = std::function<std::shared_ptr<Handler>(std::shared_ptr<Call> call)>;

// A method of one request and one answer: `answer` is called with the request and calls
// Reply (or Finish with an error) on the call, then or later, on any thread.
using Answer = std::function<void(std::shared_ptr<Call> call, std::string_view request)>;
Method Unary(Answer answer);
void Reply(Call& call, std::string message);  // and finishes it with OK

struct ServerOptions {
  std::string address = "127.0.0.1:0";  // host:port, [v6]:port; port 0 picks a free one
  int threads = 1;
  bool client_certificates =
      false;  // verified against the roots; without one there is no handshake
  std::size_t most_connections = 1024;
  // On each thread. As long as there are fewer, a handshake may take handshake_deadline; then
  // kCrowdedHandshake, and whoever comes waits in the kernel's queue.
  std::size_t most_handshakes = 256;
  std::chrono::seconds handshake_deadline{20};
  std::chrono::seconds most_age{0};  // then a connection takes no new calls; 0: no bound
  std::size_t most_request_bytes = 64 << 10;
  std::size_t most_answer_bytes = 4 << 20;
  // Of messages that are not whole and of HTTP/2's own state, all connections together. Beside it
  // TLS takes some 20 kB a connection and 60 kB a handshake, and what a peer does not read 32 kB.
  std::size_t quota_bytes = 64 << 20;
};

class Server {
 public:
  // Errors: InvalidArgument (address).
  static base::StatusOr<std::unique_ptr<Server>> New(const ServerOptions& options);
  virtual ~Server() = default;
  virtual void Handle(std::string path, Method method) = 0;  // before Start
  // Errors: InvalidArgument (not PEM, certificate and key do not match).
  virtual base::Status SetCertificate(const base::KeyPair& pair,
                                      const std::string& client_roots_pem) = 0;
  // After SetCertificate. Errors: Unavailable when the address cannot be bound.
  virtual base::Status Start() = 0;
  virtual int port() const = 0;  // after Start
  virtual std::size_t connections() const = 0;
  virtual void Stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace sluice::rpc
