#include "controller/runtime/store_set.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/cache/debug.h"

namespace sluice::runtime {

namespace log = base::log;

struct StoreSet::Entry {
  meta::Resource resource;
  StoreOptions options;
  std::string name;
  std::unique_ptr<cache::Informer> informer;
  bool refused = false;  // never started
};

StoreSet::StoreSet(client::Client& client, base::Clock& clock, base::metrics::Registry& registry,
                   std::function<void()> on_synced, bool start_from_server_cache)
    : client_(client),
      clock_(clock),
      registry_(registry),
      on_synced_(std::move(on_synced)),
      start_from_server_cache_(start_from_server_cache),
      asker_(client, clock, [this](const client::ServerVersion& version) { Learn(version); }) {}

StoreSet::~StoreSet() { Stop(); }

// Called with mutex_ held.
StoreSet::Entry& StoreSet::Find(const meta::Resource& resource, const StoreOptions& options) {
  for (auto& entry : entries_) {
    if (entry->resource == resource && entry->options == options) return *entry;
  }
  cache::InformerOptions wanted;
  wanted.resource = resource;
  wanted.ns = options.ns;
  wanted.label_selector = options.label_selector;
  wanted.field_selector = options.field_selector;
  wanted.metadata_only = options.metadata_only;
  wanted.all_secrets_or_pods = options.all_secrets_or_pods;
  for (const auto& [pruned, function] : prunes_) {
    if (pruned == resource) wanted.prune = function;
  }
  wanted.on_synced = on_synced_;
  wanted.start_from_server_cache = start_from_server_cache_;
  const std::string name = cache::NameOf(wanted);
  auto informer = cache::Informer::New(client_, clock_, wanted);
  const bool refused = !informer.ok();
  if (refused) {
    // Whoever asked gets a store that stays empty; Run, or a page of a running process, says why.
    problem_ = informer.status().Annotate("store " + name);
    log::Error("store was refused", {{"error", problem_}});
    informer =
        cache::Informer::New(client_, clock_, {.resource = resource, .all_secrets_or_pods = true});
  }
  auto entry = std::make_unique<Entry>();
  entry->resource = resource;
  entry->options = options;
  entry->name = name;
  entry->informer = std::move(informer).value();
  registry_.AddGauge(
      "sluice_cache_objects", "Objects in a cache.", {{"store", entry->name}},
      [store = &entry->informer->store()] { return static_cast<double>(store->size()); });
  registry_.AddCounter("sluice_cache_failures_total",
                       "Lists and watches that failed since the start.", {{"store", entry->name}},
                       [informer_ptr = entry->informer.get()] {
                         return static_cast<double>(informer_ptr->Stats().failures);
                       });
  registry_.AddCounter("sluice_cache_exceptions_total",
                       "Exceptions of handlers, index and prune functions that were caught.",
                       {{"store", entry->name}}, [informer_ptr = entry->informer.get()] {
                         return static_cast<double>(informer_ptr->Stats().exceptions);
                       });
  if (comparable_) entry->informer->UseComparableVersions();
  entry->refused = refused;
  if (started_ && !refused) entry->informer->Start();
  entries_.push_back(std::move(entry));
  return *entries_.back();
}

void StoreSet::Prune(const meta::Resource& resource, cache::PruneFunction function) {
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) SLUICE_CHECK(entry->resource != resource);
  for (const auto& prune : prunes_) SLUICE_CHECK(prune.first != resource);
  prunes_.emplace_back(resource, std::move(function));
}

cache::Store& StoreSet::Of(const meta::Resource& resource, const StoreOptions& options) {
  const std::lock_guard lock(mutex_);
  return Find(resource, options).informer->store();
}

void StoreSet::AddIndex(const meta::Resource& resource, const StoreOptions& options,
                        std::string index, cache::IndexFunction function) {
  const std::lock_guard lock(mutex_);
  Find(resource, options).informer->AddIndex(std::move(index), std::move(function));
}

void StoreSet::Subscribe(const meta::Resource& resource, const StoreOptions& options,
                         cache::EventHandler handler) {
  cache::Informer* informer = nullptr;
  {
    const std::lock_guard lock(mutex_);
    informer = Find(resource, options).informer.get();
  }
  informer->Subscribe(std::move(handler));  // may call the handler at once
}

void StoreSet::Expect(const meta::Resource& resource, const meta::Object& written) {
  const std::lock_guard lock(mutex_);
  for (auto& entry : entries_) entry->informer->Expect(resource, written);
}

base::Status StoreSet::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void StoreSet::Learn(const client::ServerVersion& version) {
  const std::lock_guard lock(mutex_);
  comparable_ = version.ComparableVersions();
  if (!comparable_) return;
  for (auto& entry : entries_) entry->informer->UseComparableVersions();
}

void StoreSet::Start() {
  const std::lock_guard lock(mutex_);
  SLUICE_CHECK(!started_);
  started_ = true;
  for (auto& entry : entries_) {
    if (!entry->refused) entry->informer->Start();
  }
  asker_.Start();
}

void StoreSet::Stop() {
  asker_.Stop();
  std::vector<cache::Informer*> informers;
  {
    const std::lock_guard lock(mutex_);
    started_ = false;
    for (auto& entry : entries_) {
      informers.push_back(entry->informer.get());
      for (const char* name :
           {"sluice_cache_objects", "sluice_cache_failures_total", "sluice_cache_exceptions_total"})
        registry_.RemoveSeries(name, "store", entry->name);
    }
  }
  for (cache::Informer* informer : informers) informer->Stop();
}

std::vector<std::string> StoreSet::Unsynced() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& entry : entries_) {
    if (!entry->informer->store().synced()) out.push_back(entry->name);
  }
  return out;
}

bool StoreSet::AllSynced() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(entries_.begin(), entries_.end(),
                     [](const auto& entry) { return entry->informer->store().synced(); });
}

nlohmann::json StoreSet::Debug() const {
  const std::lock_guard lock(mutex_);
  nlohmann::json out = nlohmann::json::array();
  for (const auto& entry : entries_) {
    out.push_back(cache::DebugOf(entry->name, entry->informer->Stats(), clock_.Mono()));
  }
  return out;
}

}  // namespace sluice::runtime
