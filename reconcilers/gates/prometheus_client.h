// Where evidence comes from: a provider that answers PromQL, and Prometheus over HTTP as one.
//
// Thread rule: all methods from any thread; they block at most `timeout`, less when `stop` is
// requested (Cancelled). Errors: those of ParseAnswer (prometheus_answer.h) and of
// http::Client::Do.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/prometheus_answer.h"

namespace sluice::gates {

struct Ask {
  std::chrono::milliseconds timeout{5000};
  std::stop_token stop;
};

class Provider {
 public:
  virtual ~Provider() = default;
  // The query's value at `at`.
  virtual base::StatusOr<PrometheusAnswer> Query(std::string_view query, base::WallTime at,
                                                 const Ask& ask) = 0;
  // Its values from `from` to `to`, both included, a `step` apart.
  virtual base::StatusOr<PrometheusAnswer> QueryRange(std::string_view query, base::WallTime from,
                                                      base::WallTime to, base::Duration step,
                                                      const Ask& ask) = 0;
};

struct PrometheusOptions {
  std::string url;                    // http(s)://host:port[/prefix]
  std::optional<std::string> ca_pem;  // not given: the system's roots
  std::string bearer_token;           // empty: none; never logged
};
// Errors: InvalidArgument (URL, PEM text). No connection is made before the first query.
base::StatusOr<std::unique_ptr<Provider>> NewPrometheus(const PrometheusOptions& options);

}  // namespace sluice::gates
