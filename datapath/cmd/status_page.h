// `sluice-agent status`: what a running agent says of itself, in a few lines for a person at the
// node. Read from its metrics address, so it needs no rights but to reach that.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::cmd {

struct PageAnswer {
  int http_status = 0;
  std::string body;
};

// One GET of `path` at `address` ("host:port" with a numeric host, or "unix:/path"), whole within
// 5 s and 16 MiB. An address that listens on every interface is asked on loopback.
// Errors: InvalidArgument (address), Unavailable, DeadlineExceeded, DataLoss (no HTTP answer).
base::StatusOr<PageAnswer> FetchPage(std::string_view address, std::string_view path);

// From /readyz and /metrics (Prometheus text). Pure. What a metric does not tell is left out.
std::string DescribeAgent(const PageAnswer& ready, std::string_view metrics);

}  // namespace sluice::cmd
