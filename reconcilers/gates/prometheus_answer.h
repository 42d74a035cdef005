// Prometheus' HTTP API answers, parsed: bytes in, values out, no I/O (fuzzed).
//
// Format: prometheus.io/docs/prometheus/latest/querying/api (v1, instant and range queries). Sample
// values stay text, as they were sent: NaN and infinities are not numbers here. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"

namespace sluice::gates {

struct Point {
  std::int64_t time_ms = 0;  // Unix time
  std::string value;         // "0.5", "NaN", "+Inf"
  friend bool operator==(const Point&, const Point&) = default;
};

struct Series {
  std::map<std::string, std::string> labels;  // empty for a scalar
  std::vector<Point> points;                  // one for an instant query
  friend bool operator==(const Series&, const Series&) = default;
};

struct PrometheusAnswer {
  std::vector<Series> series;
  std::vector<std::string> warnings;  // not empty means the answer may be partial
  friend bool operator==(const PrometheusAnswer&, const PrometheusAnswer&) = default;
};

// `http_status` is the response's status code. Errors:
//  InvalidArgument (reason "BadQuery")  Prometheus says the query itself is wrong (bad_data)
//  ResourceExhausted                    longer than the bounds in limits.h
//  Unavailable / DeadlineExceeded       Prometheus says it could not answer
//  DataLoss                             not an answer of this API (a proxy's page, cut JSON)
base::StatusOr<PrometheusAnswer> ParseAnswer(int http_status, std::string_view body);

}  // namespace sluice::gates
