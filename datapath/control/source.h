// Where an agent's configuration comes from: a file (standalone) or the controller's stream. Both
// hand over whole, validated configurations, and whoever takes one answers whether it is in force.
//
//   auto source = control::MakeFileSource(path);      // or MakeStreamSource(options, clock)
//   const Status started = source->Start([&](ConfigPtr config) { return engine.Apply(config); });
//   ...
//   source->Stop();
//
// Thread rule: Start, Stop, Reload and the destructor belong to the owner's thread. OnConfig runs
// on one thread at a time, never after Stop() has returned, and must not call Stop().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/control/config.h"

namespace sluice::control {

class Source {
 public:
  // OK: the configuration is in force (the ack). Anything else: it changed nothing, and the message
  // tells why (the nack); it travels to the controller, so it holds no secret.
  using OnConfig = std::function<base::Status(ConfigPtr)>;

  virtual ~Source() = default;  // stops

  // Delivers what is there already before it returns: the file, or the last good configuration of
  // an earlier run. Errors: InvalidArgument (file, option or endpoint that can never work; exit
  // code 2); what OnConfig answered for a file. No controller and no last good configuration is not
  // an error: the stream goes on trying.
  virtual base::Status Start(OnConfig on_config) = 0;

  // Looks again at once (SIGHUP): reads the file, or reconnects. An error leaves the former
  // configuration in force.
  virtual base::Status Reload() = 0;

  // Ends every thread and connection; returns when OnConfig cannot run any more, which is at once
  // but for a name being resolved or a certificate being asked for (kCallDeadline). Idempotent.
  virtual void Stop() = 0;
};

// YAML as in docs/examples/agent-standalone.yaml. Its order is (lineage "file", epoch 0, revision
// counting loads), its version the hash of the text.
std::unique_ptr<Source> MakeFileSource(std::string path);

// How the listeners with TLS stand: the worst of them, in this order.
struct CertificateStanding {
  enum class State : std::uint8_t {
    kNone,  // no listener has TLS
    kShown,
    kEnded,     // shown, though clients refuse it
    kUnusable,  // what the files hold is no certificate with its key
    kMissing,   // a file is not there
  };
  State state = State::kNone;
  std::string problem;  // for people: which file, and what is wrong
  friend bool operator==(const CertificateStanding&, const CertificateStanding&) = default;
};

// What the agent tells the controller about itself.
struct Health {
  enum class State : std::uint8_t { kStarting, kServing, kDegraded, kDraining };
  State state = State::kStarting;
  std::vector<std::string> problems;  // for people, no secrets; at most kMaxProblems are sent
  CertificateStanding certificates;
  friend bool operator==(const Health&, const Health&) = default;
};

struct StreamOptions {
  std::string site;
  std::string node;
  std::string agent_version;
  // "host:port". A name with several addresses (a headless Service) is every replica: one stream is
  // kept to each, at most kMaxLinks in all.
  std::vector<std::string> endpoints;
  std::vector<std::string> enrolment_endpoints;
  std::string server_name = "sluice-controller";  // in the controller's certificate
  std::string token_file;                         // projected service-account token; read each time
  std::string ca_file;                            // the controller's CA bundle; read each time
  std::string state_dir;    // on disk: last good configuration and order, no secrets
  std::string secrets_dir;  // on a tmpfs: credentials and the agent's key, files of mode 0600
  // Reconnecting waits a random time up to a bound that doubles from the first to the second.
  std::chrono::milliseconds backoff_first{2000};
  std::chrono::milliseconds backoff_most{30000};
  std::function<Health()> health;  // any thread, quick; empty: serving once something is in force
  std::function<void(std::chrono::seconds grace)> on_drain;  // any thread; must not call Stop()
};

// What the stream does now; for /healthz, metrics and tests.
struct StreamState {
  int connected = 0;            // streams on which the controller said Welcome, a tick ago
  std::string applied_version;  // empty: nothing is in force
  Order applied_order;
  Order seen_order;        // the fence: nothing below it is taken
  std::string last_nack;   // why the last configuration was refused; empty once one was taken
  std::string last_error;  // of the last failure to enrol or connect; empty after a Welcome
  long enrolments = 0;
  long renewals = 0;
  base::WallTime certificate_not_after;
};

class StreamSource : public Source {
 public:
  virtual StreamState state() const = 0;  // any thread
};

// The controller's stream: enrols with the token, renews its certificate half-way, keeps a
// stream to every replica, and keeps the last good configuration and the order on disk. Without a
// controller it goes on with what it has, also once what was in its way at the start is gone. After
// a reboot without one the credentials are gone, and it delivers nothing: the agent serves nobody
// rather than everybody. Start's errors:
// InvalidArgument naming the option; PermissionDenied or the like when a directory cannot be used.
// Reload() tries all connections again at once.
std::unique_ptr<StreamSource> MakeStreamSource(StreamOptions options, base::Clock& clock);

}  // namespace sluice::control
