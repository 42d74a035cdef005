// Who we are to one API server, kept fresh: token and certificate files are read again as they
// rotate, exec plugins are run when their credential has expired.
//
// Each file counts for itself, certificate and key as a pair: what cannot be read, or is empty,
// leaves what it said last. A token's file wins over its text, which stands while the file was
// never read (as with client-go).
//
// Thread rule: all methods from any thread. One caller reads the files, others wait for it. The
// plugin runs on a thread of its own, once at a time and within its own limit: a caller waits for
// it at most until its own deadline, and a run that takes longer goes on for the next one. A
// refresh that fails keeps what it had, and logs; the server decides whether it is still good. A
// plugin that failed is not run again for kExecRetry.
//
// Stop: Stop() ends every wait (Cancelled) and kills the plugin; so does the destructor, which must
// run after the last call returned. Errors: InvalidArgument naming the file (first load only),
// DeadlineExceeded, Cancelled, Unauthenticated when a plugin gives nothing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

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
// Parses an ExecCredential of `api_version` (config.h). Errors: InvalidArgument. Pure.
base::StatusOr<ExecCredential> ParseExecCredential(std::string_view json,
                                                   std::string_view api_version);
// Runs the plugin without a terminal, kills it and what it started at the time limit or at `stop`
// (Cancelled); the end of what it complains of (standard error) is part of the error. It is done
// when its standard output is closed and it has ended: helpers it leaves behind live on. An
// interactive one has our terminal and complains there; at the limit it alone is killed. What a
// plugin prints is never logged. `config.exec` is set. Blocks; any thread.
base::StatusOr<ExecCredential> RunExecPlugin(const Config& config,
                                             std::chrono::milliseconds timeout,
                                             std::stop_token stop = {});

class Credentials {
 public:
  struct Material {
    std::string token;          // empty: none
    std::string authorization;  // the header's value with it; empty: none
    std::shared_ptr<const http::TlsOptions> tls;
    std::uint64_t tls_version = 0;   // changes when *tls does; 1: as the files were at first
    std::uint64_t exec_version = 0;  // of the plugin's answers the one this holds; 0: none
  };
  // Who was not known, and so what may cure it.
  enum class Unknown {
    kUser,       // by the server (401): the files, the plugin
    kServer,     // by us: the files, one of which is the CA
    kHandshake,  // it failed: the files; the plugin where the client certificate is its own
  };

  // Reads the files once. Errors: as above.
  static base::StatusOr<std::unique_ptr<Credentials>> Make(const Config& config,
                                                           base::Clock& clock);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // What is known without asking anybody, never nullptr.
  std::shared_ptr<const Material> Known() const;
  // What is good now, never nullptr.
  base::StatusOr<std::shared_ptr<const Material>> Current(base::MonoTime deadline,
                                                          const std::stop_token& stop = {}) {
    return CurrentUnless(nullptr, Unknown::kUser, deadline, stop);
  }
  // The same after `refused`, which Current gave, led to `unknown`: what may cure that is asked
  // even when it is too early for that, unless it was since: of all whom one revoked token stops,
  // one asks for the next.
  base::StatusOr<std::shared_ptr<const Material>> CurrentUnless(
      const std::shared_ptr<const Material>& refused, Unknown unknown, base::MonoTime deadline,
      const std::stop_token& stop = {});
  void Stop();

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

  // A call that waits: without its lock, and until when.
  struct Wait {
    std::unique_lock<std::mutex>& lock;
    base::MonoTime deadline;
    const std::stop_token& stop;
  };

  Credentials(const Config& config, base::Clock& clock)
      : config_(config), clock_(clock), texts_(config) {}
  // With mutex_ held; those with a Wait let go of it meanwhile.
  base::Status Until(const Wait& wait, const std::function<bool()>& ready);
  base::Status ReadFiles(const Wait& wait, const Material* refused);
  base::Status AskPlugin(const Wait& wait);
  bool NeedsPlugin(const Material* refused, Unknown unknown) const;
  void Publish();
  void RunPlugin(const std::stop_token& stop);  // runner_'s

  const Config config_;
  base::Clock& clock_;
  mutable std::mutex mutex_;         // guards what follows
  std::condition_variable changed_;  // of any of it that somebody waits for
  bool stopped_ = false;
  bool reading_ = false;  // somebody reads the files
  Texts texts_;
  base::MonoTime read_at_{};
  bool plugin_wanted_ = false;  // or running
  std::uint64_t plugin_runs_ = 0;
  std::optional<ExecCredential> given_;
  std::uint64_t exec_version_ = 0;  // of given_
  base::Status exec_failed_;        // of the last run; OK: it gave a credential
  base::MonoTime exec_failed_at_{};
  std::shared_ptr<const Material> shared_;  // of texts_ and given_

  std::jthread runner_;  // runs the plugin; none without one
};

}  // namespace sluice::client
