// The bench's widget controller on this repository's runtime, through its public headers only. What
// it does and what its environment means: README.md beside this file.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "controller/base/log.h"
#include "controller/base/memory.h"
#include "controller/client/config.h"
#include "controller/client/status_text.h"
#include "controller/http/server.h"
#include "controller/runtime/manager.h"
#include "controller/runtime/process.h"
#include "tests/bench/controller/widget.h"

namespace sluice::bench {
namespace {

constexpr int kWorkers = 8;
constexpr char kFieldManager[] = "bench-controller";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class WidgetReconciler final : public reconcile::Reconciler {
 public:
  WidgetReconciler(const cache::Store& widgets, client::StatusWriter& writer, std::string salt)
      : widgets_(widgets), writer_(writer), salt_(std::move(salt)) {}

  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const reconcile::Result result = Look(request.key);
    if (result.kind() != reconcile::Result::Kind::kDone) ++errors_;
    ++reconciles_;
    return result;
  }

  std::string Stats() const {
    return fmt::format(R"({{"reconciles":{},"writes":{},"errors":{}}})", reconciles_.load(),
                       writes_.load(), errors_.load());
  }

 private:
  reconcile::Result Look(const meta::Key& key) {
    const meta::ObjectPtr object = widgets_.Get(key);
    if (object == nullptr) return reconcile::Result::Done();
    thread_local Widget widget;  // its vectors are used again
    auto read = ReadWidget(object->spec_json(), object->status_json(), &widget);
    if (!read.ok()) return reconcile::Result::Terminal(std::move(read));
    const std::string observed = Observed(salt_, widget);
    if (widget.observed.Is(observed) && widget.observed_generation == object->generation()) {
      return reconcile::Result::Done();
    }
    // Names of objects and hexadecimal digits need no escapes.
    const std::string wanted =
        fmt::format(R"({{"apiVersion":"bench.example.com/v1","kind":"Widget",)"
                    R"("metadata":{{"name":"{}","namespace":"{}"}},)"
                    R"("status":{{"observed":"{}","observedGeneration":{}}}}})",
                    key.name, key.ns, observed, object->generation());
    const auto written = client::ApplyStatusText(writer_, kWidgets, key, wanted, apply_);
    if (written.status().code() == base::Code::kNotFound) return reconcile::Result::Done();
    if (!written.ok()) return reconcile::Result::Retry(written.status());
    ++writes_;
    return reconcile::Result::Done();
  }

  const cache::Store& widgets_;
  client::StatusWriter& writer_;
  const std::string salt_;
  const client::ApplyOptions apply_{.field_manager = kFieldManager, .force = true};
  std::atomic<std::uint64_t> reconciles_{0};
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> errors_{0};
};

runtime::Options ManagerOptions() {
  runtime::Options options;
  options.name = kFieldManager;
  options.identity = fmt::format("widget-controller-{}", getpid());
  options.lease_namespace = "default";
  options.lease_name = Environment("BENCH_LEASE");
  options.metrics_address = "";
  options.health_address = "";
  options.start_from_server_cache = Environment("BENCH_CONSISTENT_START").empty();
  options.on_synced = [] {
    std::puts("READY");
    std::fflush(stdout);
  };
  return options;
}

base::Status Run(std::stop_token stop) {
  SLUICE_ASSIGN_OR_RETURN(const client::Config config,
                          client::DefaultConfig(client::Search::kPodFirst));
  base::RealClock clock;
  SLUICE_ASSIGN_OR_RETURN(const auto manager,
                          runtime::Manager::New(ManagerOptions(), config, clock));
  const cache::Store& widgets = manager->StoreOf(kWidgets);
  const auto reconciler = std::make_shared<WidgetReconciler>(widgets, manager->fenced_client(),
                                                             Environment("BENCH_SALT"));
  manager->NewController("widget", kWidgets, reconciler).Workers(kWorkers);

  SLUICE_ASSIGN_OR_RETURN(
      const auto server, http::Server::New({.address = Environment("BENCH_LISTEN"), .threads = 1}));
  server->Handle("/stats", [&](const http::ServerRequest&) {
    return http::ServerResponse{200, "application/json", reconciler->Stats()};
  });
  server->Handle("/resync", [&](const http::ServerRequest& request) {
    if (request.method != "POST") return http::ServerResponse{405};
    manager->LookAtAll("widget");
    return http::ServerResponse{};
  });
  SLUICE_RETURN_IF_ERROR(server->Start());
  const base::Status result = manager->Run(std::move(stop));
  server->Stop();
  return result;
}

}  // namespace
}  // namespace sluice::bench

int main() {
  namespace log = sluice::base::log;
  sluice::base::UseOneArena();
  log::Configure(log::Level::kWarn, log::Format::kText);
  const sluice::runtime::StopSignals signals;
  const sluice::base::Status status = sluice::bench::Run(signals.token());
  if (status.ok()) return 0;
  log::Error("widget controller ended", {{"error", status}});
  return 1;
}
