// Serves admission and conversion webhooks to an API server, over TLS, as controller-runtime does.
//
//   auto server = webhook::Server::New({.address = "0.0.0.0:9443"}, clock, registry).value();
//   server->Validate("/validate-widgets", Judge);
//   server->Mutate("/default-widgets", Default);
//   server->Convert("/convert", ConvertWidget);
//   SLUICE_RETURN_IF_ERROR(server->SetCertificate(pair));     // again whenever it rotates
//   manager.AddReadyCheck("webhook", [&] { return server->Ready(); });
//   SLUICE_RETURN_IF_ERROR(server->Start());
//
// What a caller gets besides a decision: 400 for what is no review, 413 for one that is longer than
// its path takes (limits.h; told from its head, before it comes), 500 for a handler that threw, 503
// when all workers are busy and as many requests wait, 504 when the handler had not decided shortly
// before the API server stops waiting (?timeout=). None of these is a decision: the configuration's
// failurePolicy applies, and the API server's message names them.
//
// Thread rule: register before Start; handlers run on `workers` threads, several at once, and
// should look at their deadline. SetCertificate and Ready from any thread. Stop: Stop() (or the
// destructor) closes the port, lets requests under way be answered, and joins; idempotent. A
// handler that never returns keeps it waiting. Errors: Start: FailedPrecondition (no certificate
// yet), Unavailable (the address).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "controller/base/certificate.h"
#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/base/status.h"
#include "controller/webhook/admission.h"
#include "controller/webhook/conversion.h"

namespace sluice::webhook {

struct Options {
  std::string address = "0.0.0.0:9443";  // port 0 picks a free one
  int workers = 8;
};

using AdmissionHandler = std::function<AdmissionDecision(const AdmissionRequest&)>;

class Server {
 public:
  // `clock` and `registry` outlive the server. Errors: InvalidArgument (address, workers).
  static base::StatusOr<std::unique_ptr<Server>> New(const Options& options, base::Clock& clock,
                                                     base::metrics::Registry& registry);
  virtual ~Server() = default;

  virtual void Validate(std::string path, AdmissionHandler handler) = 0;
  virtual void Mutate(std::string path, AdmissionHandler handler) = 0;
  virtual void Convert(std::string path, Converter converter) = 0;

  // Used from the next handshake on. Errors: InvalidArgument, and the one before stays in use.
  virtual base::Status SetCertificate(const base::KeyPair& pair) = 0;
  // OK while it serves under a certificate that has not ended.
  virtual base::Status Ready() const = 0;

  virtual base::Status Start() = 0;
  virtual int port() const = 0;  // after Start
  virtual void Stop() = 0;
};

// How long the API server waits, from its ?timeout= ("10s", "1m0s"): kDefaultTimeout when it does
// not say or not so that we understand it, never more than kMaxTimeout. Pure.
std::chrono::milliseconds TimeoutOf(std::string_view text);

}  // namespace sluice::webhook
