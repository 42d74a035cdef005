// A small HTTP server for health, metrics and debug pages and, over TLS, for webhooks
// (controller/webhook): GET and POST by exact path (or a prefix ending in "/"), whole bodies,
// bounded everything, one connection a request (ADR 0140). Not for bulk.
//
//   auto server = http::Server::New({.address = "0.0.0.0:8080"});
//   (*server)->Handle("/metrics", [](const http::ServerRequest&) { ... });
//   SLUICE_RETURN_IF_ERROR((*server)->Start());
//
// One thread more reads what is asked (server_intake.h): clients that are silent or slow keep no
// other from an answer.
//
// Thread rule: Handle before Start; handlers run on the server's threads, several at once, and must
// not block for long unless there are threads for it. Stop: Stop() (or the destructor) closes the
// socket, lets handlers under way finish and joins; idempotent.
//
// Errors towards clients: 400, 411, 413, 431 for a request that is malformed, without a length or
// too long; 404 and 405; all of these from the head, before a body is read; 500 for a handler that
// threw. Who does not finish a request in time (limits.h), or a handshake, is cut off without an
// answer.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controller/base/status.h"
#include "controller/http/limits.h"
#include "controller/http/response_parser.h"
#include "controller/http/server_tls.h"

namespace sluice::http {

struct ServerOptions {
  std::string address = "127.0.0.1:0";  // host:port, [v6]:port; port 0 picks a free one
  int threads = 2;                      // that answer
  std::size_t max_body_bytes =
      kMaxServerBodyBytes;  // of paths that do not say; longer ones get 413
  // Set: TLS 1.2 and newer under the certificate it holds at each handshake.
  std::shared_ptr<ServerTls> tls;
};

struct ServerRequest {
  std::string method;  // GET, HEAD or POST
  std::string path;    // decoded, without the query
  Headers query;       // decoded parameters in order
  Headers headers;
  std::string body;
};

struct ServerResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

using Handler = std::function<ServerResponse(const ServerRequest&)>;

struct PathLimit {
  std::size_t max_body_bytes = kMaxServerBodyBytes;
  // A longer one came and got 413; its handler never sees it. From another thread than the
  // handler; must not wait.
  std::function<void()> refused = [] {};
};

class Server {
 public:
  // Errors: InvalidArgument (address).
  static base::StatusOr<std::unique_ptr<Server>> New(const ServerOptions& options);
  virtual ~Server() = default;
  // An exception in a handler becomes 500 without its text.
  virtual void Handle(std::string path, Handler handler) = 0;
  virtual void Handle(std::string path, Handler handler, PathLimit limit) = 0;
  // Binds and serves. Errors: Unavailable when the address cannot be bound.
  virtual base::Status Start() = 0;
  virtual int port() const = 0;  // after Start
  virtual void Stop() = 0;
};

}  // namespace sluice::http
