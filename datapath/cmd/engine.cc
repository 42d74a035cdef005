#include "datapath/cmd/engine.h"

#include <fmt/format.h>

#include "controller/base/log.h"

namespace sluice::cmd {

Engine::Engine(base::Clock& clock, std::string site, std::string metrics_address,
               ring::PollerKind poller)
    : clock_(clock),
      site_(std::move(site)),
      metrics_address_(std::move(metrics_address)),
      poller_(poller) {}

Engine::~Engine() { Stop(base::Duration::zero()); }

base::Status Engine::Start() {
  return metrics_address_.empty() ? base::OkStatus() : OpenPages(metrics_address_);
}

base::Status Engine::OpenPages(const std::string& address) {
  SLUICE_ASSIGN_OR_RETURN(const net::Address parsed, net::Address::Parse(address));
  SLUICE_ASSIGN_OR_RETURN(admin_, serve::Admin::Start(clock_, parsed,
                                                      {.metrics = [this] { return MetricsPage(); },
                                                       .health = [this] { return HealthPage(); },
                                                       .ready = [this] { return ReadyPage(); }}));
  base::log::Info("listening for scrapes", {{"address", admin_->bound().ToString()}});
  return base::OkStatus();
}

base::Status Engine::Take(control::ConfigPtr config) {
  std::lock_guard taking(take_mutex_);
  std::shared_ptr<serve::Server> server;
  {
    std::lock_guard lock(mutex_);
    server = server_;
    if (draining_) return base::FailedPrecondition("the agent is draining");
  }
  if (server != nullptr) return server->Apply(std::move(config));
  if (admin_ == nullptr && !config->metrics.address.empty())
    SLUICE_RETURN_IF_ERROR(OpenPages(config->metrics.address));
  auto created =
      serve::Server::Create(std::move(config), clock_, {.upstream = {}, .poller = poller_});
  if (!created.ok()) return created.status();
  std::lock_guard lock(mutex_);
  server_ = std::move(created).value();
  return base::OkStatus();
}

void Engine::Drain(base::Duration deadline) {
  std::lock_guard taking(take_mutex_);
  std::shared_ptr<serve::Server> server;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(draining_, true)) return;
    server = server_;
  }
  if (server != nullptr) server->Drain(deadline);
}

void Engine::Stop(base::Duration deadline) {
  Drain(deadline);
  std::lock_guard taking(take_mutex_);
  admin_.reset();
  std::lock_guard lock(mutex_);
  server_.reset();
}

control::Health Engine::health() const {
  std::lock_guard lock(mutex_);
  control::Health health;
  if (server_ != nullptr) {
    health.problems = server_->Problems();
    health.certificates = server_->Certificates();
    health.state = health.problems.empty() ? control::Health::State::kServing
                                           : control::Health::State::kDegraded;
  }
  if (draining_) health.state = control::Health::State::kDraining;
  return health;
}

std::string Engine::MetricsPage() const {
  std::shared_ptr<serve::Server> server;
  {
    std::lock_guard lock(mutex_);
    server = server_;
  }
  if (server != nullptr) return server->RenderMetrics();
  return fmt::format(
      "# HELP sluice_agent_ready 1 while requests are served.\n# TYPE sluice_agent_ready gauge\n"
      "sluice_agent_ready{{site=\"{}\"}} 0\n",
      site_);
}

serve::Admin::Page Engine::HealthPage() const {
  const control::Health now = health();
  std::string text = "ok\n";
  if (now.state == control::Health::State::kStarting) text += "waiting for a configuration\n";
  if (now.state == control::Health::State::kDraining) text += "draining\n";
  for (const std::string& problem : now.problems) text += "degraded: " + problem + "\n";
  return {.ok = true, .text = std::move(text)};
}

serve::Admin::Page Engine::ReadyPage() const {
  std::lock_guard lock(mutex_);
  const bool ready = server_ != nullptr && server_->Ready() && !draining_;
  return {.ok = ready, .text = ready ? "ok\n" : "not ready\n"};
}

}  // namespace sluice::cmd
