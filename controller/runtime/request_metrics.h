// What a client's requests look like to Prometheus, by client-go's names, so that stock dashboards
// show them: rest_client_requests_total, rest_client_request_duration_seconds; and what throttled
// them: rest_client_throttled_total, rest_client_throttled_seconds_total, which stand at zero from
// the start.
//
// Series are looked up by their labels once and kept: a request afterwards costs a short search
// under a shared lock. Hosts and codes are few by nature; beyond kMaxKeptSeries they are looked up
// each time.
//
// Thread rule: the observer may be called from any thread; `registry` outlives it.
#pragma once

#include "controller/base/metrics.h"
#include "controller/client/client.h"

namespace sluice::runtime {

client::RequestObserver RequestMetrics(base::metrics::Registry& registry);

}  // namespace sluice::runtime
