#include "controller/clusters/cluster_set.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "controller/base/digest.h"
#include "controller/base/log.h"
#include "controller/client/config.h"

namespace sluice::clusters {

namespace log = base::log;
using base::Status;

namespace {

constexpr const char* kReachable = "sluice_cluster_reachable";
constexpr const char* kReachableHelp =
    "Whether another cluster's API server answers us (1) or not.";

}  // namespace

ClusterSet::ClusterSet(Options options, base::Clock& clock, base::metrics::Registry& registry)
    : options_(std::move(options)), clock_(clock), registry_(registry) {
  reaper_ = std::thread([this] { Reap(); });
}

ClusterSet::~ClusterSet() { Stop(); }

Status ClusterSet::Set(const std::string& name, const std::string& kubeconfig) {
  const std::string digest = base::Sha256Hex(kubeconfig);
  std::uint64_t number = 0;
  bool in_use = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    in_use = found != entries_.end() && found->second.digest == digest;
    if (in_use && !std::exchange(found->second.refused, false)) return base::OkStatus();
    if (stopping_) return base::Cancelled("the clusters are stopped");
    if (found == entries_.end() && entries_.size() >= kMaxClusters) {
      return base::ResourceExhausted("too many clusters");
    }
    number = in_use ? found->second.number : ++made_;
  }
  if (in_use) {
    Tell(name, number);
    return base::OkStatus();
  }
  auto config = client::ParseKubeconfig(kubeconfig, {.inline_only = true});
  if (!config.ok()) return Refuse(name, config.status());
  config->request_timeout = kRequestTimeout;
  auto client = client::NewClient(*config, clock_);
  if (!client.ok()) return Refuse(name, client.status());
  auto cluster =
      std::make_shared<Cluster>(name, std::move(client).value(), clock_, options_.probe_period,
                                [this, name, number](const State&) { Tell(name, number); });
  if (options_.set_up) options_.set_up(*cluster);
  std::shared_ptr<Cluster> before;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return base::Cancelled("the clusters are stopped");  // the reaper may have gone
    Entry& entry = entries_[name];
    before = std::move(entry.cluster);
    entry = {digest, number, cluster};
    Show(name, false);
  }
  if (before) Retire(std::move(before));
  cluster->Start();
  log::Info("cluster was added", {{"cluster", name}});
  return base::OkStatus();
}

// Called with mutex_ held, by which the reaper takes the series away.
void ClusterSet::Show(const std::string& name, bool reachable) {
  registry_.GetGauge(kReachable, kReachableHelp, {{"cluster", name}}).Set(reachable ? 1 : 0);
}

Status ClusterSet::Refuse(const std::string& name, const Status& why) {
  log::Warn("kubeconfig was refused", {{"cluster", name}, {"error", why}});
  const std::lock_guard telling(telling_);
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found != entries_.end()) found->second.refused = true;
  }
  if (options_.on_state) {
    options_.on_state(name, {Health::kRefused, "KubeconfigRefused", why.message(), clock_.Wall()});
  }
  return base::InvalidArgument(why.message()).WithReason("KubeconfigRefused");
}

// What holds now, so that the last word is true whoever tells it.
void ClusterSet::Tell(const std::string& name, std::uint64_t number) {
  const std::lock_guard telling(telling_);
  State state;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end() || found->second.number != number) return;  // replaced or removed
    state = found->second.cluster->state();
    Show(name, state.health == Health::kReachable);
  }
  log::Info("cluster changed", {{"cluster", name}, {"reason", state.reason}});
  if (options_.on_state) options_.on_state(name, state);
}

void ClusterSet::Remove(const std::string& name) {
  std::shared_ptr<Cluster> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    gone = std::move(found->second.cluster);
    entries_.erase(found);
  }
  log::Info("cluster was removed", {{"cluster", name}});
  Retire(std::move(gone));
}

void ClusterSet::Retire(std::shared_ptr<Cluster> cluster) {
  const std::lock_guard lock(mutex_);
  retired_.push_back(std::move(cluster));
  wake_.notify_all();
}

// Stopping waits for a call under way to notice, and the end for a name look-up: whoever removes a
// cluster must not, nor who asks for another one.
void ClusterSet::Reap() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !retired_.empty(); });
    if (retired_.empty()) return;
    std::shared_ptr<Cluster> cluster = std::move(retired_.front());
    retired_.pop_front();
    lock.unlock();
    const std::string name = cluster->name();
    cluster->Stop();
    cluster.reset();
    lock.lock();
    // Its thread has ended, so nobody sets the series again; a successor keeps it.
    if (!entries_.contains(name)) registry_.RemoveSeries(kReachable, "cluster", name);
  }
}

std::shared_ptr<Cluster> ClusterSet::Find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second.cluster;
}

nlohmann::json ClusterSet::Debug() const {
  std::vector<std::shared_ptr<Cluster>> clusters;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, entry] : entries_) clusters.push_back(entry.cluster);
  }
  nlohmann::json out = nlohmann::json::array();
  for (const auto& cluster : clusters) out.push_back(cluster->Debug());
  return out;
}

void ClusterSet::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [name, entry] : entries_) retired_.push_back(std::move(entry.cluster));
    entries_.clear();
    wake_.notify_all();
  }
  if (reaper_.joinable()) reaper_.join();
}

cache::EventHandler FollowSecrets(ClusterSet& clusters, std::string key) {
  return [&clusters, key = std::move(key)](const cache::Event& event) {
    if (event.after == nullptr) {
      clusters.Remove(std::string(event.before->name()));
      return;
    }
    const nlohmann::json secret = event.after->ToJson();
    const auto data = secret.find("data");
    std::string text;
    if (data != secret.end() && data->is_object() && data->contains(key)) {
      if (auto decoded = base::Base64Decode((*data)[key].get<std::string>()); decoded.ok()) {
        text = std::move(decoded).value();
      }
    }
    // A refusal was logged and told; the next change of the Secret is looked at again.
    static_cast<void>(clusters.Set(std::string(event.after->name()), text));
  };
}

}  // namespace sluice::clusters
