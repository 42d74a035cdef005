#include "controller/runtime/manager.h"

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/base/memory.h"
#include "controller/base/process_metrics.h"
#include "controller/cache/guard.h"
#include "controller/client/config.h"
#include "controller/leader/elector.h"
#include "controller/runtime/controller_entry.h"
#include "controller/runtime/debug_page.h"
#include "controller/runtime/fenced_client.h"
#include "controller/runtime/gather.h"
#include "controller/runtime/limits.h"
#include "controller/runtime/pages.h"
#include "controller/runtime/request_metrics.h"
#include "controller/runtime/stop_deadline.h"
#include "controller/runtime/store_set.h"

namespace sluice::runtime {

namespace log = base::log;
using base::Status;

namespace {

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

// Those that the Manager makes; nullptr where it was given one.
struct OwnClients {
  std::unique_ptr<client::Client> all;
  std::unique_ptr<client::Client> lease;
};

class ManagerImpl final : public Manager {
 public:
  ManagerImpl(Options options, client::Client& client, base::Clock& clock, OwnClients own = {})
      : own_clients_(std::move(own)),
        options_(std::move(options)),
        client_(client),
        clock_(clock),
        own_registry_(options_.registry == nullptr ? std::make_unique<base::metrics::Registry>()
                                                   : nullptr),
        registry_(options_.registry != nullptr ? *options_.registry : *own_registry_),
        fenced_(NewFencedClient(
            client, [this] { return MayWrite(); },
            [this](const meta::Resource& resource, const meta::Object& object) {
              stores_.Expect(resource, object);
            })),
        recorder_(recorder::EventRecorder::New({options_.name, options_.identity}, client, clock,
                                               registry_)),
        stores_(
            client, clock, registry_, [this] { Wake(); }, options_.start_from_server_cache),
        pages_({options_.health_address, options_.metrics_address, options_.debug_address},
               registry_) {
    pages_.AddReadyCheck("caches", [this] {
      const auto unsynced = stores_.Unsynced();
      return unsynced.empty() ? base::OkStatus()
                              : base::Unavailable("not synced: " + Joined(unsynced));
    });
    pages_.SetDebug([this] { return Debug(); });
    const client::RequestObserver observer = RequestMetrics(registry_);
    client_.Observe(observer);
    if (options_.lease_client != nullptr) options_.lease_client->Observe(observer);
    base::metrics::AddProcessMetrics(registry_);
  }

  ~ManagerImpl() override { SLUICE_CHECK(!running_); }

  void Prune(const meta::Resource& resource, cache::PruneFunction function) override {
    stores_.Prune(resource, std::move(function));
  }
  cache::Store& StoreOf(const meta::Resource& resource) override {
    return stores_.Of(resource, {});
  }
  cache::Store& StoreOf(const meta::Resource& resource, const StoreOptions& options) override {
    return stores_.Of(resource, options);
  }
  void AddIndex(const meta::Resource& resource, std::string index,
                cache::IndexFunction function) override {
    stores_.AddIndex(resource, {}, std::move(index), std::move(function));
  }
  void AddIndex(const meta::Resource& resource, const StoreOptions& options, std::string index,
                cache::IndexFunction function) override {
    stores_.AddIndex(resource, options, std::move(index), std::move(function));
  }

  ControllerBuilder& NewController(std::string name, const meta::Resource& resource,
                                   std::shared_ptr<reconcile::Reconciler> reconciler) override {
    return NewController(std::move(name), resource, {}, std::move(reconciler));
  }
  ControllerBuilder& NewController(std::string name, const meta::Resource& resource,
                                   const StoreOptions& options,
                                   std::shared_ptr<reconcile::Reconciler> reconciler) override {
    SLUICE_CHECK(!running_ && controllers_.size() < kMaxControllers && Find(name) == nullptr);
    ControllerEntry::Wiring wiring;
    wiring.store_of = [this](const auto& r, const auto& o) -> cache::Store& {
      return stores_.Of(r, o);
    };
    wiring.subscribe = [this](const auto& r, const auto& o, cache::EventHandler handler) {
      stores_.Subscribe(r, o, std::move(handler));
    };
    // Repeats are one Event: the recorder folds them.
    wiring.forbidden = [this](const auto& kind, const auto& object, const base::Status& error) {
      recorder_->Record(recorder::ReferenceTo(kind, object), recorder::Type::kWarning, "Forbidden",
                        error.message(), "Reconcile");
    };
    controllers_.push_back(std::make_unique<ControllerEntry>(std::move(name), resource, options,
                                                             std::move(reconciler),
                                                             std::move(wiring), clock_, registry_));
    controllers_.back()->Workers(options_.workers);
    return *controllers_.back();
  }

  Trigger TriggerOf(const std::string& controller) override {
    ControllerEntry* entry = Find(controller);
    SLUICE_CHECK(entry != nullptr);
    return [entry](const meta::Key& key) { entry->Enqueue(key); };
  }

  Trigger GatheringTriggerOf(const std::string& controller, base::Duration interval) override {
    ControllerEntry* entry = Find(controller);
    SLUICE_CHECK(entry != nullptr);
    return [entry, gather = std::make_shared<Gather>(interval, clock_)](const meta::Key& key) {
      if (entry->active()) entry->Enqueue(key, gather->WaitFor(key));
    };
  }

  void LookAtAll(const std::string& controller) override {
    ControllerEntry* entry = Find(controller);
    SLUICE_CHECK(entry != nullptr);
    entry->LookAtAll();
  }

  void AddReadyCheck(std::string name, std::function<Status()> check) override {
    pages_.AddReadyCheck(std::move(name), std::move(check));
  }

  void AddDebug(std::string name, DebugFunction show) override {
    debug_.push_back({std::move(name), std::move(show)});
  }

  // Until on_lead has passed (the epoch is raised) nobody may act as if we led.
  bool leading() const override { return leads_ && MayWrite(); }
  client::Client& fenced_client() override { return *fenced_; }
  recorder::Recorder& recorder() override { return *recorder_; }
  base::metrics::Registry& metrics() override { return registry_; }
  int metrics_port() const override { return pages_.metrics_port(); }
  int health_port() const override { return pages_.health_port(); }
  int debug_port() const override { return pages_.debug_port(); }

  Status Run(std::stop_token stop) override {
    SLUICE_CHECK(!running_.exchange(true));
    // From the wish on, which may find this thread in a call of on_lead.
    std::optional<StopDeadline> grace;
    const std::stop_callback wake(stop, [&] {
      grace.emplace(clock_, options_.call_grace, [this] { CallOff(); });
      Wake();
    });
    Status result = stores_.problem();
    if (result.ok()) result = pages_.Start();
    if (result.ok()) {
      recorder_->Start();
      stores_.Start();
      result = Lead(stop);
    }
    StopAll();
    running_ = false;
    return result;
  }

 private:
  std::shared_ptr<leader::Elector> CurrentElector() const {
    const std::lock_guard lock(mutex_);
    return elector_;
  }

  bool MayWrite() const {
    if (options_.lease_name.empty()) return true;
    const auto elector = CurrentElector();
    return elector != nullptr && elector->leading();
  }

  // An Elector leads at most once, so each candidacy has its own.
  void StandForElection() {
    client::Client& client = options_.lease_client != nullptr ? *options_.lease_client : client_;
    auto elector = std::make_shared<leader::Elector>(
        leader::Options{{options_.lease_namespace, options_.lease_name},
                        options_.identity,
                        options_.lease_duration,
                        options_.renew_deadline,
                        options_.retry_period},
        client, client, clock_, registry_,
        leader::Callbacks{[this] { Signal(&ManagerImpl::acquired_, base::OkStatus()); },
                          [this](const Status& why) { Signal(&ManagerImpl::lost_, why); },
                          [this] { EndProcess("the lease ran out before work had stopped"); }});
    {
      const std::lock_guard lock(mutex_);
      acquired_ = false;
      elector_ = elector;
    }
    elector->Start();
  }

  // Waits, and meanwhile gives back what the burst before it freed.
  template <typename Condition>
  void WaitTidily(std::unique_lock<std::mutex>& lock, const Condition& condition) {
    for (auto period = kFirstTidy; !wake_.wait_for(lock, period, condition); period = kTidyPeriod) {
      lock.unlock();
      base::ReturnFreeMemory();
      lock.lock();
    }
  }

  // OK: this replica leads, or stop came. Aborted: the lead was won and lost again.
  Status TakeLead(const std::stop_token& stop) {
    while (true) {
      if (!options_.lease_name.empty()) {
        StandForElection();
        std::unique_lock lock(mutex_);
        WaitTidily(lock, [&] { return stop.stop_requested() || acquired_ || lost_; });
        if (lost_) return base::Aborted("leadership lost: " + lost_why_.message());
      }
      if (stop.stop_requested()) return base::OkStatus();
      Status status;
      const auto on_lead = [&] { status = options_.on_lead(); };
      if (options_.on_lead && !guard_.Call("on_lead", nullptr, on_lead)) {
        status = base::Internal("on_lead threw");
      }
      if (status.ok()) return status;
      // Another replica may fare better; this one goes on serving and tries again later.
      log::Error("lead was not taken and is given up", {{"error", status}});
      if (const auto elector = CurrentElector()) elector->Stop();
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, options_.lease_duration, [&] { return stop.stop_requested() || lost_; });
      if (stop.stop_requested()) return base::OkStatus();
    }
  }

  // From warm caches to the end of the lead or of the process.
  Status Lead(std::stop_token stop) {
    if (!AwaitSync(stop)) return base::OkStatus();
    if (options_.on_synced) guard_.Call("on_synced", nullptr, options_.on_synced);
    base::ReturnFreeMemory();  // of kubeconfig, certificates, first answers
    for (auto& entry : controllers_) {
      if (!entry->needs_leader()) entry->Activate();
    }
    SLUICE_RETURN_IF_ERROR(TakeLead(stop));
    if (stop.stop_requested()) return base::OkStatus();
    leads_ = true;
    for (auto& entry : controllers_) {
      if (entry->needs_leader()) entry->Activate();
    }
    std::unique_lock lock(mutex_);
    WaitTidily(lock, [&] { return stop.stop_requested() || lost_; });
    if (lost_) return base::Aborted("leadership lost: " + lost_why_.message());
    return base::OkStatus();
  }

  // False when stop came first.
  bool AwaitSync(const std::stop_token& stop) {
    const base::MonoTime began = clock_.Mono();
    while (true) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, kSyncReport,
                       [&] { return stop.stop_requested() || stores_.AllSynced(); });
      }
      if (stop.stop_requested()) return false;
      const auto unsynced = stores_.Unsynced();
      if (unsynced.empty()) break;
      log::Warn("caches are not synced yet", {{"stores", Joined(unsynced)}});
    }
    log::Info("caches synced",
              {{"seconds", std::chrono::duration<double>(clock_.Mono() - began).count()}});
    return true;
  }

  void StopAll() {
    log::Info("stop began", {{"controller", options_.name}});
    const StopDeadline deadline(clock_, options_.stop_deadline,
                                [this] { EndProcess("the stop took longer than its deadline"); });
    for (auto& entry : controllers_) entry->RequestStop();
    for (auto& entry : controllers_) entry->Stop();
    leads_ = false;
    if (const auto elector = CurrentElector()) elector->Stop();
    recorder_->Stop();
    stores_.Stop();
    pages_.Stop();
    log::Info("stop ended", {{"controller", options_.name}});
  }

  void CallOff() {
    log::Warn("calls under way were called off: the stop takes too long", {});
    client_.Stop();
    if (options_.on_grace_over) options_.on_grace_over();
  }

  void Wake() {
    const std::lock_guard lock(mutex_);
    wake_.notify_all();
  }

  void Signal(bool ManagerImpl::*fact, Status why) {
    const std::lock_guard lock(mutex_);
    this->*fact = true;
    if (!why.ok()) lost_why_ = std::move(why);
    wake_.notify_all();
  }

  void EndProcess(std::string_view why) {
    log::Error("process ended by force", {{"why", why}});
    if (options_.end_process) {
      options_.end_process(why);
    } else {
      _exit(1);
    }
  }

  ControllerEntry* Find(const std::string& name) {
    for (auto& entry : controllers_) {
      if (entry->name() == name) return entry.get();
    }
    return nullptr;
  }

  std::string Debug() {
    const auto elector = CurrentElector();
    return DebugText(leading(), elector != nullptr ? elector->holder() : options_.identity,
                     stores_.Debug(), controllers_, debug_);
  }

  const OwnClients own_clients_;  // first: what follows uses them until it is destroyed
  const Options options_;
  client::Client& client_;
  base::Clock& clock_;
  const std::unique_ptr<base::metrics::Registry> own_registry_;
  base::metrics::Registry& registry_;
  const std::unique_ptr<client::Client> fenced_;
  const std::unique_ptr<recorder::EventRecorder> recorder_;
  StoreSet stores_;
  Pages pages_;
  std::vector<DebugPart> debug_;
  cache::Guard guard_{"manager"};
  std::deque<std::unique_ptr<ControllerEntry>> controllers_;
  std::atomic<bool> running_{false};
  std::atomic<bool> leads_{false};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_:
  std::shared_ptr<leader::Elector> elector_;
  bool acquired_ = false;
  bool lost_ = false;
  Status lost_why_;
};

}  // namespace

std::unique_ptr<Manager> Manager::New(Options options, client::Client& client, base::Clock& clock) {
  return std::make_unique<ManagerImpl>(std::move(options), client, clock);
}

base::StatusOr<std::unique_ptr<Manager>> Manager::New(Options options, const client::Config& config,
                                                      base::Clock& clock) {
  OwnClients own;
  SLUICE_ASSIGN_OR_RETURN(own.all, client::NewClient(config, clock));
  if (!options.lease_name.empty() && options.lease_client == nullptr) {
    SLUICE_ASSIGN_OR_RETURN(
        own.lease, NewLeaseClient(config, clock, options.renew_deadline, options.retry_period));
    options.lease_client = own.lease.get();
  }
  client::Client& client = *own.all;
  return std::unique_ptr<Manager>(
      std::make_unique<ManagerImpl>(std::move(options), client, clock, std::move(own)));
}

base::StatusOr<std::unique_ptr<client::Client>> NewLeaseClient(
    const client::Config& config, base::Clock& clock, std::chrono::milliseconds renew_deadline,
    std::chrono::milliseconds retry_period) {
  client::Config own = config;
  own.request_timeout = leader::RequestTimeout(renew_deadline, retry_period);
  return client::NewClient(own, clock);
}

}  // namespace sluice::runtime
