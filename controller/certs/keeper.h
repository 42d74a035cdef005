// Keeps the authority and the serving certificate of a webhook server in one Secret, issued and
// rotated by ourselves, for clusters without cert-manager. Every replica reads the Secret and
// serves what it says; the one that leads also writes it and the caBundles.
//
//   certs::Keeper keeper({.secret = {ns, "x-webhook-tls"},
//                         .policy = {.common_name = "x webhook", .dns_names = {"x." + ns +
//                         ".svc"}}, .targets = {{Target::Kind::kValidatingWebhook, "x"}},
//                         .field_manager = "x", .leading = [&] { return manager.leading(); },
//                         .take = [&](const auto& pair) { return server->SetCertificate(pair); }},
//                        client, clock, registry);
//   keeper.Start();
//
// Secret (type kubernetes.io/tls): tls.crt and tls.key as served, ca.crt the bundle to trust;
// authority.crt, authority.key, next.crt, next.key, previous.crt as in plan.h's State. Other keys
// and foreign labels are left alone. Rights needed: get, create, update on it; get, patch on the
// targets by name.
//
// Degraded: when the Secret or a target cannot be written the old certificate goes on being served,
// the other targets get their bundle, and no new authority signs;
// sluice_certificates_failures_total grows, and the served one's end (the server's own metric)
// comes nearer.
//
// Thread rule: Look from one thread at a time (after Start: the keeper's own); `leading` and `take`
// are called there. Stop: Stop() or the destructor joins after the look under way.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/base/status.h"
#include "controller/certs/plan.h"
#include "controller/certs/target.h"
#include "controller/client/client.h"

namespace sluice::certs {

struct Options {
  meta::Key secret;
  Policy policy;
  std::vector<Target> targets;  // at most kMaxTargets
  std::string field_manager;    // nobody else applies to the targets by this name
  // How long a bundle must have been in place before anything is served under its newest authority:
  // longer than `period` and than the API servers need to see a changed configuration.
  base::Duration settle = kSettle;
  base::Duration period = kPeriod;
  std::function<bool()> leading;
  // A serving pair that this replica has not taken yet. An error is tried again at the next look.
  std::function<base::Status(const base::KeyPair&)> take;
};

class Keeper {
 public:
  // All three outlive it.
  Keeper(Options options, client::Client& client, base::Clock& clock,
         base::metrics::Registry& registry);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Reads the Secret, does what is due, gives on what is new. Errors: the client's; DataLoss naming
  // the Secret and its part; Unavailable: there is no Secret yet and another replica leads; of
  // several targets that cannot be written, the first one's, naming it.
  base::Status Look();
  void Start();  // looks now and every `period`
  void Stop();

 private:
  base::StatusOr<State> Kept();
  base::StatusOr<State> Write(const std::optional<meta::ObjectPtr>& kept, const State& state);
  base::Status InjectAll(const std::string& bundle);
  bool Settled(const State& state) const;
  void Loop();

  const Options options_;
  client::Client& client_;
  base::Clock& clock_;
  base::metrics::Counter& failures_;
  base::metrics::Counter& writes_;
  base::metrics::Gauge& authority_end_;
  // Of the looking thread:
  std::string taken_;  // the serving certificate
  std::string in_place_;
  base::MonoTime in_place_since_{};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::certs
