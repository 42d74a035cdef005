// Asks another system what it thinks: one question, one small answer (a verdict and a reason). Over
// HTTP that is a GET answered with JSON {"verdict", "reason"}; over gRPC sluice.check.v1.Check
// (api/check/v1). Only hosts on the controller's allow-list are asked, redirects and proxies are
// not followed, and neither the time nor the size of an answer is the other system's to choose.
//
// Thread rule: any thread; Ask blocks at most for the question's `timeout`.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "reconcilers/gates/governance.h"

namespace sluice::http {
struct Url;
}  // namespace sluice::http

namespace sluice::gates {

struct ExternalQuestion {
  std::string url;    // with $site and $stage filled in
  std::string site;   // that wants to advance
  std::string stage;  // that it wants to enter
  std::chrono::milliseconds timeout{0};
};

class ExternalAsker {
 public:
  virtual ~ExternalAsker() = default;
  // An answer, or `error` in it when there was none. Errors: InvalidArgument when the address
  // cannot or must not be asked: the gate is Misconfigured.
  virtual base::StatusOr<ExternalFacts> Ask(const ExternalQuestion& question,
                                            std::stop_token stop) = 0;
};

// How addresses of one kind are asked, once it is decided that they may be. `ca_pem` empty: the
// system's roots.
class ExternalTransport {
 public:
  virtual ~ExternalTransport() = default;
  virtual ExternalFacts Ask(const ExternalQuestion& question, const http::Url& address,
                            const std::string& ca_pem, std::stop_token stop) = 0;
};

struct ExternalOptions {
  // "host" (its scheme's own port: 443 for https and grpcs, 80 for http and grpc) or "host:port".
  std::vector<std::string> allowed;
  std::string ca_file;  // PEM; read at every question. Empty: the system's roots
};

class ExternalCheck final : public ExternalAsker {
 public:
  // `grpc` (may be null: then grpc:// and grpcs:// are Misconfigured) must outlive this.
  explicit ExternalCheck(ExternalOptions options, ExternalTransport* grpc = nullptr)
      : options_(std::move(options)), grpc_(grpc) {}
  base::StatusOr<ExternalFacts> Ask(const ExternalQuestion& question,
                                    std::stop_token stop) override;

 private:
  const ExternalOptions options_;
  ExternalTransport* const grpc_;
};

// What a verdict ("pass", "hold" or "fail"; anything else is none) and a reason say. Pure.
ExternalFacts AnswerFacts(const std::string& url, std::string verdict, std::string_view reason);
// What an HTTP answer's status and body say. Pure.
ExternalFacts ReadExternalAnswer(const std::string& url, int status, std::string_view body);

}  // namespace sluice::gates
