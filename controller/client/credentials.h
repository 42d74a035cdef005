// Who we are to one API server, kept fresh: token and certificate files are read again as they
// rotate, exec plugins are run when their credential has expired.
//
// Each file counts for itself, certificate and key as a pair: what cannot be read, or is empty,
// leaves what it said last. A token's file wins over its text, which stands while the file was
// never read (as with client-go).
//
// Thread rule: all methods from any thread; one thread refreshes, others wait at most until their
// deadline. A refresh that fails keeps what it had, and logs; the server decides whether it is
// still good. A plugin that failed is not run again for kExecRetry. Errors: InvalidArgument naming
// the file (first load only), DeadlineExceeded, Unauthenticated when a plugin gives nothing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/client/config.h"
#include "controller/http/client.h"

namespace sluice::client {

// What a plugin answered.
struct ExecCredential {
  std::string token;
  std::string cert_pem;
  std::string key_pem;
  base::WallTime expires = base::WallTime::max();
};
// Parses an ExecCredential (client.authentication.k8s.io/v1). Errors: InvalidArgument. Pure.
base::StatusOr<ExecCredential> ParseExecCredential(std::string_view json);
// Runs the plugin without a terminal, kills it and what it started at the time limit; the end of
// what it complains of (standard error) is part of the error. An interactive one has our terminal
// and complains there; at the limit it alone is killed. What a plugin prints is never logged.
// `config.exec` is set. Blocks; any thread.
base::StatusOr<ExecCredential> RunExecPlugin(const Config& config,
                                             std::chrono::milliseconds timeout);

class Credentials {
 public:
  struct Material {
    std::string token;          // empty: none
    std::string authorization;  // the header's value with it; empty: none
    std::shared_ptr<const http::TlsOptions> tls;
    std::uint64_t tls_version = 0;  // changes when *tls does
  };

  // Reads the files once. Errors: as above.
  static base::StatusOr<std::unique_ptr<Credentials>> Make(const Config& config,
                                                           base::Clock& clock);
  // What is good now, never nullptr.
  base::StatusOr<std::shared_ptr<const Material>> Current(base::MonoTime deadline) {
    return CurrentUnless(nullptr, deadline);
  }
  // The same after the server refused `refused`, which Current gave: files are read and the plugin
  // is run even when it is too early for that, unless another thread did so since: of all whom one
  // revoked token stops, one asks for the next.
  base::StatusOr<std::shared_ptr<const Material>> CurrentUnless(
      const std::shared_ptr<const Material>& refused, base::MonoTime deadline);

 private:
  // What the configuration says, or its files said last. Each of the readers leaves it as it was
  // when it fails. Errors: of base::ReadFile; InvalidArgument when there is no text.
  struct Texts {
    explicit Texts(const Config& config)
        : cert_pem(config.cert_pem), key_pem(config.key_pem), token(config.token) {
      if (!config.ca_pem.empty()) ca_pem = config.ca_pem;
    }
    base::Status ReadCa(const Config& config);
    base::Status ReadPair(const Config& config);  // a certificate without its key is of no use
    base::Status ReadToken(const Config& config);
    std::optional<std::string> ca_pem;
    std::string cert_pem;
    std::string key_pem;
    std::string token;
  };

  Credentials(const Config& config, base::Clock& clock)
      : config_(config), clock_(clock), texts_(config) {}
  void ReadFiles();
  void Put();  // texts_ into material_
  base::Status ReadExec(base::MonoTime deadline);
  void SetTls(http::TlsOptions tls);
  base::StatusOr<std::shared_ptr<const Material>> InTurn(
      const std::shared_ptr<const Material>& refused, base::MonoTime deadline);

  const Config config_;
  base::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable free_;
  bool taken_ = false;  // guarded by mutex_; who took the turn has what follows to itself
  Texts texts_;
  Material material_;
  std::shared_ptr<const Material> shared_;  // material_ as callers have it; one for each plugin run
  base::MonoTime read_at_{};
  bool exec_ran_ = false;
  base::WallTime exec_expires_{};
  base::Status exec_failed_;  // of the last run; OK: it gave a credential
  base::MonoTime exec_failed_at_{};
};

}  // namespace sluice::client
