// The HTTP pages of the process: /healthz, /readyz (all checks, and /readyz/NAME for one),
// /metrics, /debug and /debug/pprof/profile?seconds=N. Text as Kubernetes' own components write it,
// so that people and probes know it.
//
// Thread rule: AddReadyCheck before Start; handlers run on the servers' threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "controller/base/metrics.h"
#include "controller/base/status.h"
#include "controller/http/server.h"

namespace sluice::runtime {

struct ReadyCheck {
  std::string name;
  std::function<base::Status()> check;
};

struct PagesOptions {
  std::string health_address;
  std::string metrics_address;
  std::string debug_address;
};

class Pages {
 public:
  Pages(PagesOptions options, base::metrics::Registry& registry);
  ~Pages();  // Stop()
  void AddReadyCheck(std::string name, std::function<base::Status()> check);
  // Text of /debug, made when it is asked for.
  void SetDebug(std::function<std::string()> debug) { debug_ = std::move(debug); }

  // Errors: InvalidArgument or Unavailable naming the address.
  base::Status Start();
  void Stop();
  int metrics_port() const { return metrics_port_; }
  int health_port() const { return health_port_; }
  int debug_port() const { return debug_port_; }

 private:
  http::ServerResponse Ready(const http::ServerRequest& request) const;
  http::ServerResponse Profile(const http::ServerRequest& request) const;
  base::Status StartOne(const std::string& address, const char* what,
                        const std::vector<std::pair<std::string, http::Handler>>& handlers,
                        std::unique_ptr<http::Server>& server);

  const PagesOptions options_;
  base::metrics::Registry& registry_;
  std::vector<ReadyCheck> checks_;
  std::function<std::string()> debug_;
  std::stop_source stop_;  // ends a profile under way
  std::unique_ptr<http::Server> health_, metrics_, debug_server_;
  std::atomic<int> health_port_{0}, metrics_port_{0},
      debug_port_{0};  // read by anyone while Start runs
};

}  // namespace sluice::runtime
