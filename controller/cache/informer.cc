#include "controller/cache/informer.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "controller/base/log.h"
#include "controller/cache/memory_store.h"
#include "controller/cache/reflector_machine.h"
#include "controller/cache/scope.h"
#include "controller/cache/watch_decoder.h"

namespace sluice::cache {
namespace {

using std::chrono::milliseconds;

class InformerImpl final : public Informer {
 public:
  InformerImpl(client::Client& client, base::Clock& clock, InformerOptions options, Scope scope)
      : client_(client),
        clock_(clock),
        options_(std::move(options)),
        scope_(std::move(scope)),
        store_(options_.resource, clock),
        machine_(options_.watch_list),
        random_(options_.seed != 0 ? options_.seed : std::random_device()()) {}
  ~InformerImpl() override { Stop(); }

  Store& store() override { return store_; }
  void UseComparableVersions() override { store_.UseComparableVersions(); }
  void Expect(const meta::Resource& resource, const meta::Object& written) override {
    if (resource != options_.resource) return;
    if (!written.deleting() && scope_.Shows(resource, written)) {
      store_.ExpectAtLeast(written);
    } else {
      store_.ExpectIfHeld(written);  // an event will take it out
    }
  }
  void AddIndex(std::string name, IndexFunction function) override {
    store_.AddIndex(std::move(name), std::move(function));
  }
  void Subscribe(EventHandler handler) override;
  void Start() override;
  void Stop() override;
  bool WaitUntilSynced(base::MonoTime deadline) override;
  InformerStats Stats() const override;

 private:
  using Step = ReflectorMachine::Step;

  void Loop(const std::stop_token& stop);
  base::Status Perform(const Step& step, const std::stop_token& stop);
  base::Status ReadPages(const Step& step, const std::stop_token& stop);
  base::Status ReadWatch(const Step& step, const std::stop_token& stop);
  // One line of a watch; an error ends it.
  base::Status OnLine(std::string_view line);
  // Unavailable: the state is older than what was seen, and is read anew.
  base::Status FinishState(std::string_view version);
  void Put(meta::ObjectPtr object);
  meta::ObjectPtr Pruned(meta::ObjectPtr object);
  void Tell(const Event& event);
  void Pause(milliseconds wait, const std::stop_token& stop);
  void Record(const base::Status& ended);
  double Random() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  client::Client& client_;
  base::Clock& clock_;
  const InformerOptions options_;
  const Scope scope_;
  MemoryStore store_;

  // The informer thread's own.
  ReflectorMachine machine_;
  std::mt19937_64 random_;
  base::MonoTime relist_at_{};
  int older_states_ = 0;  // in a row

  std::mutex handlers_mutex_;  // held while handlers run, so that late subscribers miss nothing
  std::vector<EventHandler> handlers_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  InformerStats stats_;
  bool stopped_ = false;

  std::mutex life_mutex_;  // Start and Stop
  std::jthread thread_;
};

void InformerImpl::Subscribe(EventHandler handler) {
  std::lock_guard lock(handlers_mutex_);
  for (meta::ObjectPtr& object : store_.List()) {
    store_.guard().Call("handler", object.get(), [&] { handler({nullptr, object, true}); });
  }
  handlers_.push_back(std::move(handler));
}

void InformerImpl::Start() {
  std::lock_guard lock(life_mutex_);
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

void InformerImpl::Stop() {
  std::lock_guard life(life_mutex_);
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  thread_.request_stop();
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool InformerImpl::WaitUntilSynced(base::MonoTime deadline) {
  std::unique_lock lock(mutex_);
  clock_.WaitUntil(lock, changed_, deadline, [this] { return stats_.synced || stopped_; });
  return stats_.synced;
}

InformerStats InformerImpl::Stats() const {
  std::lock_guard lock(mutex_);
  InformerStats stats = stats_;
  stats.objects = store_.size();
  stats.exceptions = store_.guard().exceptions();
  return stats;
}

void InformerImpl::Loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Step step = machine_.Next();
    if (step.wait.count() > 0) Pause(step.wait, stop);
    if (stop.stop_requested()) return;
    const base::MonoTime start = clock_.Mono();
    const base::Status status = Perform(step, stop);
    if (stop.stop_requested()) return;
    Record(status);
    machine_.OnEnded(status, std::chrono::duration_cast<milliseconds>(clock_.Mono() - start),
                     Random());
    if (machine_.has_state() && clock_.Mono() >= relist_at_) machine_.Forget();
  }
}

base::Status InformerImpl::Perform(const Step& step, const std::stop_token& stop) {
  {
    std::lock_guard lock(mutex_);
    switch (step.action) {
      case ReflectorMachine::Action::kStream:
        ++stats_.streams;
        break;
      case ReflectorMachine::Action::kList:
        ++stats_.lists;
        break;
      case ReflectorMachine::Action::kWatch:
        ++stats_.watches;
        break;
    }
  }
  if (step.action != ReflectorMachine::Action::kWatch) store_.BeginState();
  return step.action == ReflectorMachine::Action::kList ? ReadPages(step, stop)
                                                        : ReadWatch(step, stop);
}

base::Status InformerImpl::ReadPages(const Step& step, const std::stop_token& stop) {
  client::ListOptions list;
  list.ns = options_.ns;
  list.label_selector = options_.label_selector;
  list.field_selector = options_.field_selector;
  list.limit = step.whole ? 0 : options_.page_size;
  list.metadata_only = options_.metadata_only;
  list.stop = stop;
  const auto version = client_.ListPages(options_.resource, list, [&](client::ObjectList page) {
    for (meta::ObjectPtr& object : page.items) Put(std::move(object));
    return !stop.stop_requested();
  });
  if (!version.ok()) return version.status();
  return FinishState(*version);
}

base::Status InformerImpl::ReadWatch(const Step& step, const std::stop_token& stop) {
  client::WatchOptions watch;
  watch.ns = options_.ns;
  watch.label_selector = options_.label_selector;
  watch.field_selector = options_.field_selector;
  watch.resource_version = step.version;
  watch.send_initial_events = step.action == ReflectorMachine::Action::kStream;
  if (watch.send_initial_events && options_.start_from_server_cache && !store_.synced()) {
    watch.resource_version = "0";
  }
  watch.metadata_only = options_.metadata_only;
  watch.timeout =
      std::chrono::duration_cast<std::chrono::seconds>(options_.watch_timeout * (1.0 + Random()));
  base::Status told;  // by an event: more telling than "the line was not wanted further"
  const base::Status ended = client_.Watch(
      options_.resource, watch,
      [&](std::string_view line) {
        told = OnLine(line);
        return told.ok();
      },
      stop);
  return told.ok() ? ended : told;
}

base::Status InformerImpl::OnLine(std::string_view line) {
  SLUICE_ASSIGN_OR_RETURN(WatchEvent event, DecodeWatchLine(options_.resource, line));
  {
    std::lock_guard lock(mutex_);
    ++(event.type == WatchEvent::Type::kBookmark ? stats_.bookmarks : stats_.events);
    stats_.last_heard = clock_.Mono();
  }
  switch (event.type) {
    case WatchEvent::Type::kError:
      return event.error;
    case WatchEvent::Type::kBookmark:
      if (event.initial_events_end && !machine_.has_state()) {
        return FinishState(event.resource_version);
      }
      if (machine_.has_state()) store_.OnVersion(event.resource_version);
      machine_.OnVersion(event.resource_version);
      return base::OkStatus();
    case WatchEvent::Type::kAdded:
    case WatchEvent::Type::kModified:
      machine_.OnVersion(event.object->resource_version());
      Put(std::move(event.object));
      return base::OkStatus();
    case WatchEvent::Type::kDeleted:
      machine_.OnVersion(event.object->resource_version());
      if (const auto change = store_.Remove(Pruned(std::move(event.object)))) Tell(*change);
      return base::OkStatus();
  }
  return base::OkStatus();
}

void InformerImpl::Put(meta::ObjectPtr object) {
  if (const auto change = store_.Put(Pruned(std::move(object)))) Tell(*change);
}

meta::ObjectPtr InformerImpl::Pruned(meta::ObjectPtr object) {
  if (!options_.prune) return object;
  meta::ObjectPtr kept = object;
  store_.guard().Call("prune", object.get(), [&] { kept = options_.prune(object); });
  return kept;
}

base::Status InformerImpl::FinishState(std::string_view version) {
  if (older_states_ < kMaxOlderStates && store_.LagsBehind(version)) {
    ++older_states_;
    return base::Unavailable(fmt::format(
        "the server showed the state of version {}, older than what was seen before", version));
  }
  older_states_ = 0;
  for (const Event& change : store_.EndState(version)) Tell(change);
  machine_.OnInitialState(version);
  const double period_s = static_cast<double>(options_.relist_period.count()) * (1.0 + Random());
  relist_at_ = clock_.Mono() + std::chrono::seconds(static_cast<long>(period_s));
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = !std::exchange(stats_.synced, true);
    stats_.last_heard = clock_.Mono();
  }
  changed_.notify_all();
  if (first && options_.on_synced) store_.guard().Call("on_synced", nullptr, options_.on_synced);
  if (first) {
    base::log::Info("cache synced", {{"resource", options_.resource.GroupResource()},
                                     {"objects", store_.size()},
                                     {"watchList", machine_.uses_watch_list()}});
  }
  return base::OkStatus();
}

void InformerImpl::Tell(const Event& event) {
  std::lock_guard lock(handlers_mutex_);
  const meta::Object* object = (event.after != nullptr ? event.after : event.before).get();
  for (const EventHandler& handler : handlers_) {
    store_.guard().Call("handler", object, [&] { handler(event); });
  }
}

void InformerImpl::Pause(milliseconds wait, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  clock_.WaitUntil(lock, changed_, clock_.Mono() + wait,
                   [&] { return stopped_ || stop.stop_requested(); });
}

void InformerImpl::Record(const base::Status& ended) {
  if (ended.ok()) return;
  base::Status status = ended;
  if (status.code() == base::Code::kNotFound) {  // of a list or a watch: the kind itself
    status = status.Annotate(fmt::format("the API server does not serve {}; is its CRD applied?",
                                         options_.resource.GroupResource()));
  }
  {
    std::lock_guard lock(mutex_);
    ++stats_.failures;
    stats_.last_error = status;
  }
  base::log::Warn(machine_.has_state() ? "watch failed" : "list failed",
                  {{"resource", options_.resource.GroupResource()}, {"error", status}});
}

bool Sensitive(const meta::Resource& resource) {
  return resource.group.empty() && (resource.plural == "secrets" || resource.plural == "pods");
}

}  // namespace

base::StatusOr<std::unique_ptr<Informer>> Informer::New(client::Client& client, base::Clock& clock,
                                                        InformerOptions options) {
  SLUICE_ASSIGN_OR_RETURN(Scope scope, Scope::Of(options.resource, options.ns,
                                                 options.label_selector, options.field_selector));
  if (Sensitive(options.resource) && !scope.Narrows() && !options.all_secrets_or_pods) {
    return base::InvalidArgument(
        fmt::format("a cache of all {} of a cluster must be asked for: narrow it by namespace or "
                    "by what a label or field must be, or set all_secrets_or_pods",
                    options.resource.plural));
  }
  return std::unique_ptr<Informer>(
      new InformerImpl(client, clock, std::move(options), std::move(scope)));
}

}  // namespace sluice::cache
