// Every metric of the agent by name, with handles that the hot path keeps: no label is looked up
// per request. Bounded labels: site, tenant (of the configuration), operation, outcome, origin,
// reason.
//
// Thread rule: ForTenant() and ForOrigin() while a configuration is compiled; counters anywhere.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "datapath/s3/operation.h"
#include "datapath/serve/metrics.h"

namespace sluice::serve {

enum class Outcome : std::uint8_t {
  kOk,
  kClientError,  // 4xx but for the two below
  kDenied,       // 401, 403
  kThrottled,    // 503 SlowDown of our own
  kServerError,  // 5xx
  kAborted,      // the client left, or an answer broke off in mid-body
  kCount
};
std::string_view OutcomeName(Outcome outcome);
Outcome OutcomeOf(int http_status);

// Operations as labels: those that are cached by name, the rest grouped.
enum class Verb : std::uint8_t { kGet, kHead, kList, kPut, kDelete, kMultipart, kOther, kCount };
std::string_view VerbName(Verb verb);
Verb VerbOf(s3::Operation operation);

struct TenantMetrics {
  std::array<std::array<Counter*, static_cast<std::size_t>(Outcome::kCount)>,
             static_cast<std::size_t>(Verb::kCount)>
      requests{};
  std::array<Histogram*, static_cast<std::size_t>(Verb::kCount)> duration{};
  Counter* bytes_dram = nullptr;  // sent, by where they lay when asked for
  Counter* bytes_nvme = nullptr;
  Counter* bytes_origin = nullptr;
  Counter* wait_ns = nullptr;  // time clients waited for data that was not in memory

  void Count(Verb verb, Outcome outcome) const {
    requests[static_cast<std::size_t>(verb)][static_cast<std::size_t>(outcome)]->Add();
  }
};

struct OriginMetrics {
  enum class Operation : std::uint8_t { kGet, kHead, kList, kWrite, kCount };
  enum class Result : std::uint8_t {
    kOk,
    kNotFound,
    kClientError,
    kServerError,
    kUnreachable,
    kCount
  };
  std::array<std::array<Counter*, static_cast<std::size_t>(Result::kCount)>,
             static_cast<std::size_t>(Operation::kCount)>
      requests{};
  Counter* bytes_in = nullptr;
  Counter* bytes_out = nullptr;
  void Count(Operation operation, Result result) const {
    requests[static_cast<std::size_t>(operation)][static_cast<std::size_t>(result)]->Add();
  }
};

class AgentMetrics {
  // First: the counters below are its children.
  const std::string site_;
  Registry registry_;

 public:
  AgentMetrics(std::size_t threads, std::string site);

  // Handles stay good for ever; beyond limits.h's number tenants share the label "other".
  const TenantMetrics& ForTenant(const std::string& name);
  const OriginMetrics& ForOrigin(const std::string& name);
  // Requests refused before anybody was identified.
  const TenantMetrics& nobody() { return *nobody_; }

  Counter& throttled_memory;
  Counter& throttled_connections;
  Counter& connections_accepted;
  Counter& accept_errors;
  Counter& bad_requests;  // not HTTP, or HTTP we refuse
  Counter& revalidations;
  Counter& stale_served;   // beyond the metadata TTL because the origin did not answer
  Counter& absent_served;  // NoSuchKey without asking the origin again
  Counter& aborted_bodies;
  Counter& throttled_tls;  // TLS connections: too many, or too many that shake hands
  Counter& tls_handshakes_done;
  Counter& tls_by_kernel;            // of these, answers encrypted by the kernel
  Counter& tls_handshakes_failed;    // refused by either side, or broken off
  Counter& tls_handshakes_too_slow;  // given up at their deadline
  Counter& tls_reload_failures;
  Registry& registry() { return registry_; }
  const std::string& site() const { return site_; }

 private:
  std::unique_ptr<TenantMetrics> MakeTenant(const std::string& name);

  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<TenantMetrics>> tenants_;  // guarded by mutex_
  std::map<std::string, std::unique_ptr<OriginMetrics>> origins_;  // guarded by mutex_
  std::unique_ptr<TenantMetrics> nobody_;
};

}  // namespace sluice::serve
