// The agent's server: loops, listeners, the cache, and the configuration in force.
//
// Life: Create() → Apply() (any number of times, any thread) → Drain() → destroy. The cache, the
// number of loops and the listeners come from the first configuration and stay; a later one that
// would change them is applied for the rest, and needs_restart() says so.
//
// Connections are accepted on the first loop and dealt out to the loop with the fewest
// (docs/adr/0036-one-listener.md).
//
// Thread rule: Apply(), Ready(), bound() from any thread; Drain() and the destructor from the
// owner's. Stop: Drain() closes the listeners, lets answers finish until the deadline, then closes
// everything; the destructor then stops loops, cache and resolver, in this order.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/control/config.h"
#include "datapath/net/listener.h"
#include "datapath/net/resolver.h"
#include "datapath/serve/agent_metrics.h"
#include "datapath/serve/lists.h"
#include "datapath/serve/origin_upstream.h"
#include "datapath/serve/tls_front.h"
#include "datapath/serve/tls_room.h"
#include "datapath/serve/worker.h"
#include "datapath/store/cache.h"

namespace sluice::serve {

class Server final : private Homes {
 public:
  struct Hooks {
    // Replaces the origin clients; for tests.
    std::function<std::unique_ptr<Upstream>(net::EventLoop&)> upstream;
    ring::PollerKind poller = ring::PollerKind::kAuto;
  };

  // Opens cache and listeners of `config` and starts to serve it.
  // Errors: what store::Cache::Open and net::Listener::Listen refuse; what Apply() refuses.
  static base::StatusOr<std::unique_ptr<Server>> Create(control::ConfigPtr config,
                                                        base::Clock& clock, Hooks hooks);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Puts `config` in force for requests that begin from now on; returns when every loop has it.
  // Errors: InvalidArgument (an origin that cannot be used): nothing changed.
  base::Status Apply(control::ConfigPtr config);
  void Drain(base::Duration deadline);

  std::string RenderMetrics() const { return metrics_->registry().Render(); }
  bool Ready() const { return ready_.load(); }
  bool needs_restart() const { return needs_restart_.load(); }
  std::vector<net::Address> bound() const;  // of the S3 listeners, in the configuration's order
  // What is degraded, for people; empty when nothing is. No secrets.
  std::vector<std::string> Problems() const;
  control::CertificateStanding Certificates() const;  // of all listeners
  AgentMetrics& metrics() { return *metrics_; }
  store::Cache& cache() { return *cache_; }

 private:
  struct LoopThread {
    std::unique_ptr<net::EventLoop> loop;
    std::unique_ptr<Worker> worker;
    std::thread thread;
    std::atomic<std::size_t> connections{0};
  };

  Server(control::ConfigPtr config, base::Clock& clock, Hooks hooks);
  base::Status Start();
  base::Status Listen();
  void RegisterGauges();
  void Deal(net::UniqueFd socket, const net::Address& peer, const TlsFront* front);
  void RunOnAll(const std::function<void(LoopThread&)>& task);  // waits

  // Homes:
  Worker& HomeOf(std::string_view cache_name) override;
  void ConnectionClosed(std::size_t worker) override;

  const control::ConfigPtr first_;
  base::Clock& clock_;
  const Hooks hooks_;
  std::unique_ptr<AgentMetrics> metrics_;
  std::unique_ptr<store::Cache> cache_;
  std::unique_ptr<TlsRoom> tls_room_;
  std::unique_ptr<ListCache> lists_;
  std::unique_ptr<net::Resolver> resolver_;
  Circuits circuits_;
  std::vector<std::unique_ptr<LoopThread>> loops_;
  std::vector<std::unique_ptr<TlsFront>> fronts_;          // of listeners with TLS
  std::vector<std::unique_ptr<net::Listener>> listeners_;  // of loops_[0]

  std::mutex apply_mutex_;  // one Apply() at a time
  std::atomic<std::int64_t> epoch_{0};
  std::atomic<std::int64_t> revision_{0};
  std::atomic<bool> ready_{false};
  std::atomic<bool> needs_restart_{false};
  std::atomic<std::size_t> open_connections_{0};
  std::atomic<std::size_t> next_loop_{0};
};

}  // namespace sluice::serve
