// The server of a running agent, made from the first configuration that comes, and the pages that
// tell about it from before that on.
//
// Thread rule: Take(), Drain(), health() from any thread; Stop() once, by the owner, when no
// further configuration can come.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "controller/base/clock.h"
#include "datapath/control/source.h"
#include "datapath/serve/admin.h"
#include "datapath/serve/server.h"

namespace sluice::cmd {

class Engine {
 public:
  // `metrics_address`: where the pages are served from the start; empty: where the first
  // configuration says.
  Engine(base::Clock& clock, std::string site, std::string metrics_address,
         ring::PollerKind poller);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Opens the pages when an address was given. Errors: InvalidArgument, and those of listening.
  base::Status Start();
  // Puts a configuration in force. Errors: what made it impossible; then nothing changed.
  base::Status Take(control::ConfigPtr config);
  // No new connections; answers end within `deadline`. The pages stay.
  void Drain(base::Duration deadline);
  void Stop(base::Duration deadline);
  control::Health health() const;

 private:
  base::Status OpenPages(const std::string& address);
  std::string MetricsPage() const;
  serve::Admin::Page HealthPage() const;
  serve::Admin::Page ReadyPage() const;

  base::Clock& clock_;
  const std::string site_;
  const std::string metrics_address_;
  const ring::PollerKind poller_;
  mutable std::mutex mutex_;
  std::shared_ptr<serve::Server> server_;  // guarded by mutex_
  bool draining_ = false;                  // guarded by mutex_
  std::mutex take_mutex_;                  // one Take() or Drain() at a time
  std::unique_ptr<serve::Admin> admin_;    // guarded by take_mutex_
};

}  // namespace sluice::cmd
