#include "controller/reconcile/controller.h"

#include <algorithm>
#include <exception>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/reconcile/limits.h"

namespace sluice::reconcile {

namespace log = base::log;

namespace {

ControllerOptions Completed(ControllerOptions options) {
  options.queue.name = options.name;
  if (options.kind.empty()) options.kind = "object";
  return options;
}

base::metrics::Counter& ResultCounter(base::metrics::Registry& registry, const std::string& name,
                                      const char* result) {
  return registry.GetCounter("controller_runtime_reconcile_total",
                             "Total number of reconciliations per controller",
                             {{"controller", name}, {"result", result}});
}

// controller-runtime's buckets, so that its dashboards' quantiles compare.
const std::vector<double>& SecondsBounds() {
  static const std::vector<double> bounds = {
      0.005, 0.01, 0.025, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
      0.7,   0.8,  0.9,   1.0,  1.25, 1.5,  1.75, 2.0,  2.5, 3.0,  3.5, 4.0,  4.5, 5,
      6,     7,    8,     9,    10,   15,   20,   25,   30,  40,   50,  60};
  return bounds;
}

}  // namespace

Controller::Controller(ControllerOptions options, std::shared_ptr<Reconciler> reconciler,
                       base::Clock& clock, base::metrics::Registry& registry)
    : options_(Completed(std::move(options))),
      reconciler_(std::move(reconciler)),
      clock_(clock),
      queue_(options_.queue, clock, registry),
      id_base_(static_cast<std::uint64_t>(clock.Wall().time_since_epoch().count())),
      success_(ResultCounter(registry, options_.name, "success")),
      requeue_after_(ResultCounter(registry, options_.name, "requeue_after")),
      error_(ResultCounter(registry, options_.name, "error")),
      errors_total_(registry.GetCounter("controller_runtime_reconcile_errors_total",
                                        "Total number of reconciliation errors per controller",
                                        {{"controller", options_.name}})),
      terminal_errors_(
          registry.GetCounter("controller_runtime_terminal_reconcile_errors_total",
                              "Total number of terminal reconciliation errors per controller",
                              {{"controller", options_.name}})),
      exceptions_(registry.GetCounter("controller_runtime_reconcile_panics_total",
                                      "Total number of reconciliation panics per controller",
                                      {{"controller", options_.name}})),
      seconds_(registry.GetHistogram("controller_runtime_reconcile_time_seconds",
                                     "Length of time per reconciliation per controller",
                                     SecondsBounds(), {{"controller", options_.name}})),
      active_(registry.GetGauge("controller_runtime_active_workers",
                                "Number of currently used workers per controller",
                                {{"controller", options_.name}})),
      max_workers_(registry.GetGauge("controller_runtime_max_concurrent_reconciles",
                                     "Maximum number of concurrent reconciles per controller",
                                     {{"controller", options_.name}})) {
  // Go's fourth outcome, a retry without an error, which cannot happen here; stock dashboards ask.
  ResultCounter(registry, options_.name, "requeue");
}

Controller::~Controller() { Stop(); }

void Controller::Start(int least, int most) {
  SLUICE_CHECK(most <= kMaxWorkers && !stop_.stop_requested());
  max_workers_.Set(most);
  workers_.Start(least, most, [this](base::GrowingThreads::Self& self) { Work(self); });
  log::Info("controller started", {{"controller", options_.name}, {"workers", most}});
}

void Controller::RequestStop() {
  stop_.request_stop();
  queue_.ShutDownNow();
}

void Controller::Stop() {
  RequestStop();
  if (workers_.Join()) log::Info("controller stopped", {{"controller", options_.name}});
}

void Controller::Work(base::GrowingThreads::Self& self) {
  const log::ScopedContext context("controller", options_.name);
  while (auto item = queue_.Get()) {
    workers_.TookWork();
    Handle(*item);
    if (options_.refill) options_.refill();
    if (!workers_.StaysFree(self)) return;
  }
}

bool Controller::RunOne() {
  const log::ScopedContext context("controller", options_.name);
  const auto item = queue_.TryGet();
  if (!item.has_value()) return false;
  Handle(*item);
  if (options_.refill) options_.refill();
  return true;
}

void Controller::Handle(const workqueue::Item& item) {
  const meta::Key& key = item.key();
  if (options_.is_stale && options_.is_stale(key)) {
    queue_.AddAfter(key, kStaleWait, item.priority());
    queue_.Done(item);
    return;
  }
  active_.Add(1);
  workqueue::Backoff backoff{};
  {
    const log::ScopedContext key_context(options_.kind, key.name, key.ns);
    const log::ScopedContext id_context("reconcileID", id_base_ + ++sequence_);
    backoff = Settle(item, Call(Request{key}));
  }
  active_.Add(-1);
  seconds_.Observe(std::chrono::duration<double>(queue_.Done(item, backoff)).count());
  const std::uint64_t refused = queue_.refused();
  if (refused != refused_seen_ && options_.relist && queue_.depth() == 0) {
    refused_seen_ = refused;
    log::Warn("keys refused by the full queue were added again", {{"refused", refused}});
    options_.relist();
  }
}

Result Controller::Call(const Request& request) {
  try {
    return reconciler_->Reconcile(request, stop_.get_token());
  } catch (const std::exception& error) {
    exceptions_.Add();
    return Result::Retry(base::Internal(std::string("exception: ") + error.what()));
  } catch (...) {
    exceptions_.Add();
    return Result::Retry(base::Internal("exception of an unknown type"));
  }
}

// The one switch from outcome to queue action and metric.
workqueue::Backoff Controller::Settle(const workqueue::Item& item, const Result& result) {
  using workqueue::Backoff;
  const meta::Key& key = item.key();
  switch (result.kind()) {
    case Result::Kind::kDone:
      success_.Add();
      Remember(key, nullptr);
      return Backoff::kStartsOver;
    case Result::Kind::kAfter:
      queue_.AddAfter(key, result.wait());
      requeue_after_.Add();
      Remember(key, nullptr);
      return Backoff::kStartsOver;
    case Result::Kind::kLater:
      queue_.AddAfter(key, result.wait());
      requeue_after_.Add();
      return Backoff::kStays;
    case Result::Kind::kRetry:
      // Calls cut short by the stop are not errors.
      if (stop_.stop_requested()) return Backoff::kStays;
      queue_.AddRateLimited(key, item.priority(), result.error().retry_after());
      error_.Add();
      errors_total_.Add();
      Remember(key, &result.error());
      TellForbidden(key, result.error());
      // A lost race or an awaited cache is everyday work; it is counted, not shouted.
      if (result.error().code() == base::Code::kAborted) {
        log::Info("reconcile met a conflict, will retry", {{"error", result.error()}});
      } else {
        log::Error("reconcile failed, will retry",
                   {{"error", result.error()}, {"failures", queue_.Failures(key)}});
      }
      return Backoff::kStays;
    case Result::Kind::kTerminal:
      error_.Add();
      errors_total_.Add();
      terminal_errors_.Add();
      Remember(key, &result.error());
      TellForbidden(key, result.error());
      log::Error("reconcile failed, waits for a change", {{"error", result.error()}});
      return Backoff::kStartsOver;
  }
  return Backoff::kStays;
}

void Controller::Remember(const meta::Key& key, const base::Status* error) {
  if (error == nullptr && !has_errors_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(errors_mutex_);
  std::string name = key.ToString();
  std::erase_if(errors_, [&](const LastError& kept) { return kept.key == name; });
  if (error != nullptr) {
    if (errors_.size() >= kMaxLastErrors) errors_.erase(errors_.begin());
    errors_.push_back({std::move(name), error->ToString(), clock_.Wall()});
  }
  has_errors_ = !errors_.empty();
}

void Controller::TellForbidden(const meta::Key& key, const base::Status& error) const {
  if (error.code() == base::Code::kPermissionDenied && options_.on_forbidden) {
    options_.on_forbidden(key, error);
  }
}

std::vector<LastError> Controller::LastErrors() const {
  const std::lock_guard lock(errors_mutex_);
  return errors_;
}

}  // namespace sluice::reconcile
