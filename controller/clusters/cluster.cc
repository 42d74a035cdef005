#include "controller/clusters/cluster.h"

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/cache/debug.h"
#include "controller/clusters/limits.h"

namespace sluice::clusters {

using base::Status;

namespace {

bool SamePart(const cache::InformerOptions& a, const cache::InformerOptions& b) {
  return a.resource == b.resource && a.ns == b.ns && a.label_selector == b.label_selector &&
         a.field_selector == b.field_selector && a.metadata_only == b.metadata_only;
}

// The word a condition shows.
std::string ReasonOf(const Status& status) {
  if (status.code() == base::Code::kUnauthenticated) return "CredentialsRefused";
  return status.reason().empty() ? std::string(base::CodeName(status.code())) : status.reason();
}

}  // namespace

Cluster::Cluster(std::string name, std::unique_ptr<client::Client> client, base::Clock& clock,
                 base::Duration period, Observer observer)
    : name_(std::move(name)),
      client_(std::move(client)),
      clock_(clock),
      period_(period),
      observer_(std::move(observer)),
      guard_("cluster " + name_),
      state_{Health::kConnecting, "Connecting", "not reached yet", clock.Wall()} {}

Cluster::~Cluster() { Stop(); }

base::StatusOr<cache::Informer*> Cluster::InformerOf(const cache::InformerOptions& options) {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_) {
    if (SamePart(entry.options, options)) return entry.informer.get();
  }
  if (stopping_) return base::Cancelled("cluster " + name_ + " is stopped");
  if (entries_.size() >= kMaxInformers) {
    return base::ResourceExhausted("cluster " + name_ + " has too many caches");
  }
  SLUICE_ASSIGN_OR_RETURN(auto informer, cache::Informer::New(*client_, clock_, options));
  if (comparable_) informer->UseComparableVersions();
  informer->Start();
  entries_.push_back({options, std::move(informer)});
  return entries_.back().informer.get();
}

void Cluster::Expect(const meta::Resource& resource, const meta::Object& written) {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_) entry.informer->Expect(resource, written);
}

State Cluster::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

nlohmann::json Cluster::Debug() const {
  const std::lock_guard lock(mutex_);
  nlohmann::json caches = nlohmann::json::array();
  for (const Entry& entry : entries_) {
    caches.push_back(
        cache::DebugOf(cache::NameOf(entry.options), entry.informer->Stats(), clock_.Mono()));
  }
  return {{"cluster", name_},
          {"reachable", state_.health == Health::kReachable},
          {"reason", state_.reason},
          {"message", state_.message},
          {"since", base::FormatRfc3339(state_.since)},
          {"caches", caches}};
}

void Cluster::Start() {
  const std::lock_guard lock(mutex_);
  if (stopping_ || thread_.joinable()) return;  // removed or replaced before it was begun
  thread_ = std::thread([this] { Loop(); });
}

void Cluster::Stop() {
  std::call_once(stopped_, [this] {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_all();
    }
    client_->Stop();
    for (Entry& entry : entries_) entry.informer->Stop();  // none is added any more
    if (thread_.joinable()) thread_.join();
  });
}

void Cluster::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    // Says that it is there, and 401 when it does not know us.
    const auto version = client::GetServerVersion(*client_);
    if (version.ok()) Learn(*version);
    Took(version.ok() ? base::OkStatus() : version.status());
    lock.lock();
    clock_.WaitUntil(lock, wake_, clock_.Mono() + period_, [&] { return stopping_; });
  }
}

void Cluster::Learn(const client::ServerVersion& version) {
  const std::lock_guard lock(mutex_);
  if (comparable_ || !version.ComparableVersions()) return;
  comparable_ = true;
  for (Entry& entry : entries_) entry.informer->UseComparableVersions();
}

void Cluster::Took(const Status& answer) {
  State told;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;  // Cancelled says nothing about the cluster
    failures_ = answer.ok() ? 0 : failures_ + 1;
    // One answer that was lost is no news of a cluster that was reached before.
    if (!answer.ok() && state_.health == Health::kReachable &&
        failures_ < kFailuresUntilUnreachable) {
      return;
    }
    const Health health = answer.ok() ? Health::kReachable : Health::kUnreachable;
    const std::string reason = answer.ok() ? "Reachable" : ReasonOf(answer);
    if (health == state_.health && reason == state_.reason) return;
    if (health != state_.health) state_.since = clock_.Wall();
    state_.health = health;
    state_.reason = reason;
    state_.message = answer.ok() ? "answers" : answer.message();
    told = state_;
  }
  if (observer_) guard_.Call("on_state", nullptr, [&] { observer_(told); });
}

}  // namespace sluice::clusters
