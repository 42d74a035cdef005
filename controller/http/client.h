// A blocking HTTP/1.1 client for one server: kept connections, TLS 1.2+ with verification, client
// certificates, a proxy by CONNECT, streamed bodies, and a time limit on everything.
//
//   auto client = http::Client::New({.base_url = "https://prometheus:9090", .tls = {.ca_pem =
//   ca}}); auto answer = (*client)->Do({.target = "/api/v1/query?query=up", .total_timeout = 5s});
//
// Why our own: cpp-httplib's has no cancellation and no bound on the whole call
// (docs/adr/0060-http-client.md).
//
// Thread rule: all methods from any thread; a call blocks its thread until its answer, its
// deadline, its stop token or Stop(). Time limits are of the real clock, because poll(2) is.
// Stop: Stop() makes calls under way and later ones return Cancelled; the destructor must run after
// the last call returned.
//
// Errors of Do:
//   InvalidArgument    the request cannot be sent as it is (target, header characters)
//   DeadlineExceeded   connect, read or total limit passed; reason "Connect", "Read" or "Total"
//   Cancelled          stop token, Stop(); a sink's own error is returned as it is
//   Unavailable        name, connection or TLS failed, or was cut; reason "Resolve",
//                      "ConnectionRefused", "ConnectionCut", "Proxy"; before anything was sent:
//                      "CertificateInvalid", "Tls" (the handshake failed)
//   DataLoss           the peer does not speak HTTP/1.1;  ResourceExhausted  a bound of limits.h
// An answer of any status, 5xx too, is not an error: look at Response::status. Nor is a
// refusal (4xx, 5xx) that came before a long body was taken, from a peer that then closed.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/http/limits.h"
#include "controller/http/response_parser.h"
#include "controller/http/url.h"

namespace sluice::http {

// PEM texts, never paths: who reads files and when they rotate is the caller's affair.
struct TlsOptions {
  // Not given: the system's roots. Given without a certificate in it: an error, never those.
  std::optional<std::string> ca_pem;
  std::string cert_pem;  // client certificate chain; empty: none
  std::string key_pem;   // its key
  // Verified instead of the URL's host (and sent as SNI): one of the names or addresses the
  // certificate is for (subjectAltName), never its common name.
  std::string server_name;
  bool insecure_skip_verify = false;
  // How long after a full handshake connections may resume its session, which shows us no
  // certificate.
  std::chrono::milliseconds session_reuse = kSessionReuse;
};

struct ClientOptions {
  std::string base_url;   // scheme, host and port; a path becomes a prefix of every target
  TlsOptions tls;         // for https
  std::string proxy_url;  // http://[user:password@]host:port; empty: direct
  std::string user_agent = "sluice";
  std::chrono::milliseconds connect_timeout{5000};  // name, TCP, proxy and TLS together
};

// A header whose texts live elsewhere.
struct HeaderView {
  std::string_view name;
  std::string_view value;
};

struct Request {
  std::string method = "GET";
  std::string target = "/";                  // path and query, already encoded
  Headers headers;                           // without Host, Content-Length, Connection, User-Agent
  std::span<const HeaderView> more_headers;  // the same; these must live until Do returns
  std::string_view body;                     // must live until Do returns
  std::chrono::milliseconds read_timeout{30000};   // between two pieces of the answer
  std::chrono::milliseconds total_timeout{30000};  // the whole call
  // A streamed body that is silent for read_timeout is over, and no error: the answer is what came.
  bool silence_ends = false;
  std::size_t max_body_bytes = kMaxBodyBytes;  // of Response::body
  std::stop_token stop;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;  // empty when it was streamed
};

class Client {
 public:
  // Errors: InvalidArgument (URL, PEM texts).
  static base::StatusOr<std::unique_ptr<Client>> New(const ClientOptions& options);
  virtual ~Client() = default;

  virtual base::StatusOr<Response> Do(const Request& request) = 0;
  // Streams the body of a 2xx answer to `sink` as it arrives; other bodies are kept whole.
  virtual base::StatusOr<Response> Do(const Request& request, const BodySink& sink) = 0;

  // New connections use these from now on; kept ones are closed. Errors: InvalidArgument, and the
  // old ones stay.
  virtual base::Status SetTls(const TlsOptions& tls) = 0;
  virtual void Stop() = 0;
};

}  // namespace sluice::http
