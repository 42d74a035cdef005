#include "reconcilers/site/reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "api/v1alpha1/site.pb.h"
#include "controller/base/log.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/teardown.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using reconcile::Result;

constexpr const char* kNamespaceTaken = "NamespaceTaken";

// The condition of that type in a status; null when it is not there.
json ConditionOf(const json& status, const std::string& type) {
  for (const json& condition : status.value("conditions", json::array())) {
    if (condition.value("type", "") == type) return condition;
  }
  return nullptr;
}

}  // namespace

SiteReconciler::SiteReconciler(Stores stores, OwnedStores owned, ReleaseStores release_stores,
                               common::SecretReader& secrets, client::Client& api,
                               agents::ConfigPublisher& publisher, agents::FleetView& fleet,
                               DerivedConfigs& derived, std::function<AgentOptions()> options,
                               recorder::Recorder& recorder, base::metrics::Registry& registry,
                               base::Clock& clock, SiteClusters* clusters)
    : stores_(stores),
      owned_(owned),
      release_stores_(release_stores),
      secrets_(secrets),
      api_(api),
      publisher_(publisher),
      fleet_(fleet),
      derived_(derived),
      options_(std::move(options)),
      recorder_(recorder),
      metrics_(registry),
      clock_(clock),
      clusters_(clusters),
      applier_(api, kFieldManager) {}

Result SiteReconciler::Reconcile(const reconcile::Request& request, std::stop_token) {
  SweepRecord();
  const meta::ObjectPtr site = stores_.sites.Get(request.key);
  if (site == nullptr) {
    metrics_.Remove(request.key.name);
    applier_.Forget(common::kSites, request.key);
    return Result::Done();
  }
  if (site->deleting()) return TearDown(site);
  const Place place = PlaceOf(*site);
  if (!site->HasFinalizer(kFinalizer) && place.api != nullptr) {
    if (base::Status status = AddFinalizer(*site); !status.ok()) {
      return Result::Retry(std::move(status));
    }
  }
  auto in = ReadInputs(site, stores_, secrets_);
  if (!in.ok()) return Result::Terminal(in.status());
  ReadPlace(place, *in);
  ReadRelease(*in);

  Observed observed;
  observed.apply_error = Converge(*in, place, observed);
  metrics_.Set(*in, observed, clock_.Wall());
  const json status = BuildStatus(*in, derived_.Get(in->name), observed, clock_.Wall());
  const auto written = applier_.ApplyStatus(common::kSites, *site, status);
  if (!written.ok()) return Result::Retry(written.status());
  if (written->wrote) {
    RecordTransition(*site, site->ToJson().value("status", json::object()), status);
  }
  if (observed.apply_error.reason() == kNamespaceTaken) return Result::After(kTakenLook);
  if (!observed.apply_error.ok()) return Result::Retry(observed.apply_error);
  if (observed.awaits_echo) return Result::Later(kEchoWait);
  return NextLook(*in, observed);
}

void SiteReconciler::ReadRelease(Inputs& in) const {
  const v1alpha1::AgentRelease& release = in.site->spec().release();
  if (release.has_rollout_ref()) {
    in.partition = PartitionOf(*in.site, std::string(in.object->uid()),
                               release_stores_.rollouts.Get({"", release.rollout_ref().name()}));
  }
  if (release.has_release_ref()) {
    in.release = LifeOf(*in.site, release_stores_.releases.Get({"", release.release_ref().name()}));
  }
}

Result SiteReconciler::NextLook(const Inputs& in, const Observed& observed) const {
  using std::chrono::milliseconds;
  std::optional<milliseconds> again;
  if (in.partition.active && in.partition.problem.empty()) again = MoveLook(observed.agents.wanted);
  const base::WallTime now = clock_.Wall();
  for (const auto& end : {in.release.supported_until, in.release.end_of_life}) {
    if (!end || IsPast(end, now)) continue;
    const auto left = std::chrono::ceil<milliseconds>(*end - now);
    const milliseconds wait = std::min<milliseconds>(left, kLongestLifeLook);
    again = again ? std::min(*again, wait) : wait;
  }
  return again ? Result::After(*again) : Result::Done();
}

// A Site whose finalizer was taken off by hand leaves its entry behind.
void SiteReconciler::SweepRecord() {
  const agents::EpochRecord record = publisher_.record();
  if (!publisher_.leading() || swept_epoch_.exchange(record.epoch) == record.epoch) return;
  for (const auto& [name, published] : record.sites) {
    if (stores_.sites.Get({"", name}) != nullptr) continue;
    const auto live = LookLive(api_, common::kSites, {"", name});
    base::Status status = live.status();
    if (live.ok() && *live == nullptr) status = publisher_.Retire(name);
    if (status.ok()) continue;
    base::log::Warn("published configuration without a site not retired, will retry",
                    {{"site", name}, {"error", status}});
    swept_epoch_ = 0;
  }
}

Place SiteReconciler::PlaceOf(const meta::Object& site) {
  Place place;
  if (!IsElsewhere(site)) {
    place.api = &api_;
    place.applier = &applier_;
    place.nodes = &stores_.nodes;
    place.namespaces = &owned_.namespaces;
    place.accounts = &owned_.accounts;
    place.config_maps = &owned_.config_maps;
    place.daemon_sets = &owned_.daemon_sets;
    place.services = &owned_.services;
    return place;
  }
  if (clusters_ != nullptr) return clusters_->Of(site);
  place.elsewhere = true;
  place.state =
      base::FailedPrecondition("other clusters are not served").WithReason("OtherCluster");
  return place;
}

base::Status SiteReconciler::Converge(const Inputs& in, const Place& place, Observed& observed) {
  const meta::ObjectPtr daemon_set =
      place.daemon_sets == nullptr ? nullptr
                                   : place.daemon_sets->Get({NamespaceOf(in.name), kAgentName});
  if (daemon_set != nullptr) observed.agents = CountsOf(daemon_set->ToJson());
  observed.version = publisher_.OfferedVersion(in.name);
  const agents::EpochRecord record = publisher_.record();
  if (const auto found = record.sites.find(in.name); found != record.sites.end()) {
    observed.order = {record.lineage, found->second.epoch, found->second.revision};
  }
  observed.fleet = fleet_.Summarise(in.name, observed.version, observed.order);
  // What runs goes on; the status tells.
  if (in.site_class == nullptr) return base::OkStatus();
  if (place.api != nullptr) {
    SLUICE_RETURN_IF_ERROR(ClaimNamespace(in, place));
    SLUICE_RETURN_IF_ERROR(ApplyAll(WantedObjects(in, options_()), place, observed));
  }
  SLUICE_RETURN_IF_ERROR(ApplyAll(WantedObjectives(in), place, observed));
  SLUICE_RETURN_IF_ERROR(DropStaleObjectives(in));
  if (!in.partition.active || place.api == nullptr) return base::OkStatus();
  SLUICE_ASSIGN_OR_RETURN(observed.moved, MoveNodes(*place.api, in, clock_.Wall()));
  observed.agents.updated = observed.moved ? observed.moved->updated : 0;
  return base::OkStatus();
}

// By Create and not by apply, which would take over a namespace somebody made a moment before us.
base::Status SiteReconciler::ClaimNamespace(const Inputs& in, const Place& place) {
  const WantedObject wanted = WantedNamespace(in);
  const meta::ObjectPtr cached = place.namespaces->Get(wanted.key);
  if (cached != nullptr && IsControlledBy(*cached, *in.object)) return base::OkStatus();
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr live,
                          LookLive(*place.api, wanted.resource, wanted.key));
  if (live == nullptr) return place.api->Create(wanted.resource, json::parse(wanted.json)).status();
  if (IsControlledBy(*live, *in.object)) return base::OkStatus();
  const char* cure =
      live->deleting() ? "it is still being deleted" : "delete it, or give the Site another name";
  return base::FailedPrecondition(
             fmt::format("namespace {} exists and was not made for this Site: {}", wanted.key.name,
                         cure))
      .WithReason(kNamespaceTaken);
}

base::Status SiteReconciler::ApplyAll(const std::vector<WantedObject>& wanted, const Place& place,
                                      Observed& observed) {
  for (const WantedObject& each : wanted) {
    const cache::Store* store = StoreOf(each.resource, place);
    if (store != nullptr && store->IsStale(each.key)) {
      observed.awaits_echo = true;  // of our last write: the older state would be "repaired" again
      continue;
    }
    common::Applier& applier = each.resource == common::kObjectives ? applier_ : *place.applier;
    const auto written = applier.Apply(each.resource, json::parse(each.json),
                                       store == nullptr ? nullptr : store->Get(each.key));
    if (!written.ok()) {
      return written.status().Annotate(
          fmt::format("{} {}", each.resource.kind, each.key.ToString()));
    }
  }
  return base::OkStatus();
}

base::Status SiteReconciler::DropStaleObjectives(const Inputs& in) {
  std::set<std::string> wanted;
  for (const WantedObject& objective : WantedObjectives(in)) wanted.insert(objective.key.name);
  for (const meta::ObjectPtr& objective : owned_.objectives.List()) {
    if (objective->Label(common::kManagedByLabel) != common::kManagedBy ||
        objective->Label("sluice.dev/site") != in.name ||
        wanted.count(std::string(objective->name())) != 0) {
      continue;
    }
    const base::Status status =
        api_.Delete(common::kObjectives, objective->key(),
                    {{std::string(objective->uid()), ""}, client::Propagation::kBackground});
    if (!status.ok() && status.code() != base::Code::kNotFound) return status;
    applier_.Forget(common::kObjectives, objective->key());
  }
  return base::OkStatus();
}

base::Status SiteReconciler::AddFinalizer(const meta::Object& site) {
  const json body = {
      {"apiVersion", common::kSites.ApiVersion()},
      {"kind", common::kSites.kind},
      {"metadata",
       {{"name", site.name()}, {"uid", site.uid()}, {"finalizers", json::array({kFinalizer})}}}};
  client::ApplyOptions options;
  options.field_manager = kFieldManager;
  options.force = true;
  return api_.Apply(common::kSites, body, options).status();
}

// Not by apply: that gives up only what our field manager owns alone, and a Site put back from a
// backup brings its finalizers under another manager's name.
base::Status SiteReconciler::RemoveFinalizer(const meta::Object& site) {
  json finalizers = site.ToJson().value("/metadata/finalizers"_json_pointer, json::array());
  finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), kFinalizer), finalizers.end());
  const json patch = {
      {"metadata",
       {{"resourceVersion", site.resource_version()}, {"finalizers", std::move(finalizers)}}}};
  const auto answer = api_.Patch(common::kSites, site.key(), client::PatchType::kMerge, patch);
  if (answer.status().code() == base::Code::kNotFound) return base::OkStatus();
  return answer.status();
}

void SiteReconciler::ForgetApplied(common::Applier& applier, const std::string& site) {
  applier.ForgetNamespace(NamespaceOf(site));
  for (const meta::ObjectPtr& objective : owned_.objectives.List()) {
    if (objective->Label("sluice.dev/site") == site) {
      applier.Forget(common::kObjectives, objective->key());
    }
  }
}

Result SiteReconciler::TearDown(const meta::ObjectPtr& site) {
  if (!site->HasFinalizer(kFinalizer)) return Result::Done();
  const Place place = PlaceOf(*site);
  if (place.api == nullptr) {
    const Pending away{"WaitingForCluster",
                       fmt::format("what runs in the site's cluster cannot be taken away: {}; to "
                                   "leave it there, take the finalizer {} off the Site",
                                   place.state.message(), kFinalizer)};
    if (base::Status status = TellDeleting(*site, away); !status.ok()) {
      return Result::Retry(std::move(status));
    }
    return Result::After(kAwayLook);
  }
  const auto pending = TearDownObjects(*place.api, *site, clock_.Wall());
  if (!pending.ok()) return Result::Retry(pending.status());
  if (*pending) {
    if (base::Status status = TellDeleting(*site, **pending); !status.ok()) {
      return Result::Retry(std::move(status));
    }
    return Result::After(kTearDownLook);
  }
  const std::string name(site->name());
  if (base::Status status = publisher_.Retire(name); !status.ok()) {
    return Result::Retry(std::move(status));
  }
  for (const agents::NodeState& node : fleet_.Nodes(name)) fleet_.Forget(node.identity);
  metrics_.Remove(name);
  ForgetApplied(*place.applier, name);
  if (base::Status status = RemoveFinalizer(*site); !status.ok()) {
    return Result::Retry(std::move(status));
  }
  return Result::Done();
}

base::Status SiteReconciler::TellDeleting(const meta::Object& site, const Pending& pending) {
  const auto decoded = common::Decode<v1alpha1::Site>(site);
  if (!decoded.ok()) return base::OkStatus();  // the deletion goes on unseen
  const json status = BuildDeletingStatus(**decoded, site.generation(), pending, clock_.Wall());
  return applier_.ApplyStatus(common::kSites, site, status).status();
}

void SiteReconciler::RecordTransition(const meta::Object& site, const json& before,
                                      const json& after) {
  const json now = ConditionOf(after, "Ready");
  const json then = ConditionOf(before, "Ready");
  if (now.is_null()) return;
  if (!then.is_null() && then.value("status", "") == now.value("status", "") &&
      then.value("reason", "") == now.value("reason", "")) {
    return;
  }
  const bool ready = now.value("status", "") == "True";
  recorder_.Record(recorder::ReferenceTo(common::kSites, site),
                   ready ? recorder::Type::kNormal : recorder::Type::kWarning,
                   now.value("reason", "Unknown"), now.value("message", ""));
}

const cache::Store* SiteReconciler::StoreOf(const meta::Resource& resource,
                                            const Place& place) const {
  if (resource == common::kNamespaces) return place.namespaces;
  if (resource == common::kServiceAccounts) return place.accounts;
  if (resource == common::kConfigMaps) return place.config_maps;
  if (resource == common::kDaemonSets) return place.daemon_sets;
  if (resource == common::kServices) return place.services;
  if (resource == common::kObjectives) return &owned_.objectives;
  return nullptr;
}

}  // namespace sluice::site
