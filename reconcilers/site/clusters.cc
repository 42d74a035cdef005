#include "reconcilers/site/clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/types/kinds.h"
#include "controller/meta/json_scanner.h"
#include "controller/runtime/fenced_client.h"
#include "controller/runtime/request_metrics.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/events.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/node_prune.h"

namespace sluice::site {
namespace {

using base::Status;
using nlohmann::json;

constexpr const char* kDefaultKey = "kubeconfig";

struct SecretRef {
  std::string name;
  std::string key;
};

std::string_view ClusterPart(const meta::Object& site) {
  return meta::FindMember(site.spec_json(), "cluster");
}

SecretRef RefOf(const meta::Object& site) {
  const std::string_view ref = meta::FindMember(ClusterPart(site), "kubeconfigSecretRef");
  SecretRef out{meta::StringMember(ref, "name"), meta::StringMember(ref, "key")};
  if (out.key.empty()) out.key = kDefaultKey;
  return out;
}

// Two Sites that name the same entry share a cluster.
std::string NameOf(const SecretRef& ref) {
  return ref.key == kDefaultKey ? ref.name : ref.name + "/" + ref.key;
}

Status NotYet(std::string message) {
  return base::Unavailable(std::move(message)).WithReason("Connecting");
}

std::array<cache::InformerOptions, 6> Cached() {
  std::array<cache::InformerOptions, 6> all;
  const meta::Resource* const resources[] = {&common::kNodes,           &common::kNamespaces,
                                             &common::kServiceAccounts, &common::kConfigMaps,
                                             &common::kDaemonSets,      &common::kServices};
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].resource = *resources[i];
    if (i > 0) all[i].label_selector = common::kManagedSelector;
  }
  all[0].prune = PruneNode;
  return all;
}

// Whether the caches are filled; why not.
Status Filled(clusters::Cluster& cluster, std::array<cache::Informer*, 6>* informers) {
  const auto cached = Cached();
  for (std::size_t i = 0; i < cached.size(); ++i) {
    SLUICE_ASSIGN_OR_RETURN((*informers)[i], cluster.InformerOf(cached[i]));
  }
  for (std::size_t i = 0; i < cached.size(); ++i) {
    if ((*informers)[i]->store().synced()) continue;
    const cache::InformerStats stats = (*informers)[i]->Stats();
    if (stats.failures == 0 || stats.last_error.ok()) {
      return NotYet(cached[i].resource.plural + " of the cluster are not known yet");
    }
    return base::Unavailable(cached[i].resource.plural + ": " + stats.last_error.message())
        .WithReason(stats.last_error.reason().empty() ? "Connecting"
                                                      : std::string(stats.last_error.reason()));
  }
  return base::OkStatus();
}

Status HealthOf(const clusters::Cluster& cluster) {
  const clusters::State state = cluster.state();
  if (state.health == clusters::Health::kReachable) return base::OkStatus();
  if (state.health == clusters::Health::kConnecting)
    return NotYet("the cluster was not reached yet");
  return base::Unavailable(state.message).WithReason(state.reason);
}

}  // namespace

// What a Place of another cluster holds on to.
struct SiteClusters::Hands {
  Hands(std::shared_ptr<clusters::Cluster> with, const std::function<bool()>& leading)
      : cluster(std::move(with)),
        fenced(runtime::NewFencedClient(
            cluster->client(), leading,
            [cluster = cluster.get()](const meta::Resource& resource, const meta::Object& object) {
              cluster->Expect(resource, object);
            })),
        applier(*fenced, kFieldManager) {}
  const std::shared_ptr<clusters::Cluster> cluster;
  const std::unique_ptr<client::Client> fenced;
  common::Applier applier;
};

bool IsElsewhere(const meta::Object& site) {
  const std::string_view part = ClusterPart(site);
  return !part.empty() && part.front() == '{';
}

SiteClusters::SiteClusters(Deps deps)
    : deps_(std::move(deps)), requests_(runtime::RequestMetrics(deps_.registry)) {
  clusters::Options options;
  options.set_up = [this](clusters::Cluster& cluster) { SetUp(cluster); };
  options.on_state = [this](const std::string& name, const clusters::State&) { Tell(name); };
  options.probe_period = deps_.probe_period;
  set_ = std::make_unique<clusters::ClusterSet>(std::move(options), deps_.clock, deps_.registry);
}

SiteClusters::~SiteClusters() { Stop(); }

void SiteClusters::Stop() {
  set_->Stop();
  std::map<std::string, std::shared_ptr<Hands>> hands;
  const std::lock_guard lock(mutex_);
  hands.swap(hands_);
}

void SiteClusters::OnChange(std::function<void(const meta::Key&)> changed) {
  changed_ = std::move(changed);
}

void SiteClusters::Tell(const std::string& cluster) const {
  std::vector<std::string> sites;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [site, named] : cluster_of_) {
      if (named == cluster) sites.push_back(site);
    }
  }
  if (!changed_) return;
  for (std::string& site : sites) changed_({"", std::move(site)});
}

nlohmann::json SiteClusters::Debug() const { return set_->Debug(); }

void SiteClusters::SetUp(clusters::Cluster& cluster) {
  cluster.client().Observe(requests_);
  const std::string name = cluster.name();
  for (cache::InformerOptions options : Cached()) {
    const bool nodes = options.resource == common::kNodes;
    options.on_synced = [this, name] { Tell(name); };
    const auto informer = cluster.InformerOf(options);
    if (!informer.ok()) continue;  // Filled tells
    (*informer)->Subscribe([this, name, nodes](const cache::Event& event) {
      if (!nodes) {
        const meta::Object& object = event.after != nullptr ? *event.after : *event.before;
        const auto site = object.Label(types::kSiteLabel);
        if (site && changed_) changed_({"", *site});
      } else if (NodeMatters(event)) {
        Tell(name);
      }
    });
  }
}

base::StatusOr<std::string> SiteClusters::Kubeconfig(const meta::Object& site) const {
  const SecretRef ref = RefOf(site);
  const std::string& ns = deps_.secrets.own_namespace();
  const auto secret = deps_.secrets.Get(ns, ref.name);
  if (!secret.ok()) {
    if (secret.status().code() != base::Code::kNotFound) return secret.status();
    return base::NotFound(
               fmt::format("Secret {}/{}, named by spec.cluster, does not exist", ns, ref.name))
        .WithReason("KubeconfigMissing");
  }
  if (!(*secret)->Label(kClusterLabel)) {
    return base::FailedPrecondition(
               fmt::format("Secret {}/{} has no label {}, so it is not taken as a kubeconfig", ns,
                           ref.name, kClusterLabel))
        .WithReason("KubeconfigMissing");
  }
  auto text = common::SecretValue(**secret, ref.key);
  if (!text.ok())
    return base::InvalidArgument(text.status().message()).WithReason("KubeconfigRefused");
  return text;
}

void SiteClusters::Follow(const meta::Object& site) {
  const std::string name(site.name());
  if (!IsElsewhere(site)) return Forget(name);
  const std::string cluster = NameOf(RefOf(site));
  bool moved = false;  // made anew under its name, with another cluster
  {
    const std::lock_guard lock(mutex_);
    const auto before = cluster_of_.find(name);
    moved = before != cluster_of_.end() && before->second != cluster;
  }
  if (moved) Forget(name);
  const auto turn = TurnOf(cluster);
  const auto text = Kubeconfig(site);
  {
    const std::lock_guard lock(mutex_);
    cluster_of_[name] = cluster;
  }
  Status problem = text.status();
  if (text.ok()) {
    problem = set_->Set(cluster, *text);
  } else if (problem.reason() == "KubeconfigMissing") {
    Remove(cluster);
  }
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    Status& before = problems_[cluster];
    news = before.reason() != problem.reason() || before.message() != problem.message();
    before = problem;
  }
  if (news) Tell(cluster);
}

void SiteClusters::Forget(const std::string& site) {
  std::string cluster;
  {
    const std::lock_guard lock(mutex_);
    const auto found = cluster_of_.find(site);
    if (found == cluster_of_.end()) return;
    cluster = found->second;
  }
  const auto turn = TurnOf(cluster);
  {
    const std::lock_guard lock(mutex_);
    cluster_of_.erase(site);
    const bool named = std::any_of(cluster_of_.begin(), cluster_of_.end(),
                                   [&](const auto& each) { return each.second == cluster; });
    if (named) return;
    problems_.erase(cluster);
  }
  Remove(cluster);
}

std::shared_ptr<void> SiteClusters::TurnOf(const std::string& cluster) {
  std::unique_lock lock(mutex_);
  turn_ended_.wait(lock, [&] { return turns_.insert(cluster).second; });
  return {this, [this, cluster](void*) {
            const std::lock_guard held(mutex_);
            turns_.erase(cluster);
            turn_ended_.notify_all();
          }};
}

void SiteClusters::Remove(const std::string& cluster) {
  std::shared_ptr<Hands> hands;
  {
    const std::lock_guard lock(mutex_);
    const auto found = hands_.find(cluster);
    if (found != hands_.end()) {
      hands = std::move(found->second);
      hands_.erase(found);
    }
  }
  hands.reset();  // while the set holds the cluster still, so that its end is the set's
  set_->Remove(cluster);
}

Place SiteClusters::Of(const meta::Object& site) const {
  Place place;
  place.elsewhere = true;
  const std::string name = NameOf(RefOf(site));
  {
    const std::lock_guard lock(mutex_);
    const auto found = problems_.find(name);
    if (found != problems_.end()) place.state = found->second;
  }
  const auto cluster = set_->Find(name);
  if (cluster == nullptr) {
    if (place.state.ok()) place.state = NotYet("the cluster was not looked at yet");
    return place;
  }
  std::array<cache::Informer*, 6> informers{};
  const Status filled = Filled(*cluster, &informers);
  if (filled.ok()) {
    const cache::Store** const stores[] = {&place.nodes,       &place.namespaces,  &place.accounts,
                                           &place.config_maps, &place.daemon_sets, &place.services};
    for (std::size_t i = 0; i < informers.size(); ++i) *stores[i] = &informers[i]->store();
  }
  Status usable = HealthOf(*cluster);
  if (usable.ok()) usable = filled;
  const auto control = meta::FindMember(site.spec_json(), "control");
  if (usable.ok() && meta::StringMember(control, "endpoint").empty()) {
    usable = base::FailedPrecondition(
                 "spec.control.endpoint is missing: agents of another cluster cannot reach the "
                 "controller by its Service")
                 .WithReason("EndpointMissing");
  }
  auto hands = HandsOf(cluster);
  if (usable.ok()) {
    place.api = hands->fenced.get();
    place.applier = &hands->applier;
  } else if (place.state.ok()) {  // a refused kubeconfig is told first: it may cure the rest
    place.state = usable;
  }
  place.held = std::move(hands);
  return place;
}

std::shared_ptr<SiteClusters::Hands> SiteClusters::HandsOf(
    const std::shared_ptr<clusters::Cluster>& cluster) const {
  std::shared_ptr<Hands> before;
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Hands>& hands = hands_[cluster->name()];
  if (hands == nullptr || hands->cluster != cluster) {
    before = std::exchange(hands, std::make_shared<Hands>(cluster, deps_.leading));
  }
  return hands;
}

std::shared_ptr<void> SiteClusters::Enter(const meta::Object& site) {
  const std::string name = NameOf(RefOf(site));
  {
    const std::lock_guard lock(mutex_);
    if (!inside_.insert(name).second) return nullptr;
  }
  return {this, [this, name](void*) {
            const std::lock_guard lock(mutex_);
            inside_.erase(name);
          }};
}

std::string SiteClusters::ClusterOf(const std::string& site) const {
  const meta::ObjectPtr object = deps_.sites.Get({"", site});
  return object != nullptr && IsElsewhere(*object) ? NameOf(RefOf(*object)) : "";
}

base::StatusOr<std::shared_ptr<client::Client>> SiteClusters::ReviewClient(
    const std::string& site) const {
  const meta::ObjectPtr object = deps_.sites.Get({"", site});
  if (object == nullptr || !IsElsewhere(*object)) return std::shared_ptr<client::Client>();
  const std::string name = NameOf(RefOf(*object));
  auto cluster = set_->Find(name);
  if (cluster == nullptr) return base::Unavailable("the site's cluster is not known");
  if (const Status health = HealthOf(*cluster); !health.ok()) {
    return base::Unavailable("the site's cluster: " + health.message());
  }
  return std::shared_ptr<client::Client>(cluster, &cluster->client());
}

}  // namespace sluice::site
