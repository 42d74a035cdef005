#include "reconcilers/rollout/reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/release.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/log.h"
#include "controller/base/time_format.h"
#include "reconcilers/audit/limits.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/status_write.h"
#include "reconcilers/rollout/limits.h"

namespace sluice::rollout {

using nlohmann::json;
using reconcile::Result;

struct RolloutReconciler::World {
  meta::ObjectPtr object;
  std::shared_ptr<const v1alpha1::Rollout> rollout;
  std::map<std::string, meta::ObjectPtr> sites;
  Observed observed;
};

namespace {

constexpr const char* kStopped = "sluice_rollout_stopped";
constexpr const char* kStoppedHelp =
    "1 while failures or the progress deadline stop a Rollout, 0 while it is open.";

base::StatusOr<ReleaseView> ViewOf(const std::string& name, const meta::ObjectPtr& object) {
  if (object == nullptr) {
    return base::NotFound(
        fmt::format("spec.releaseRef: there is no Release {}; make it, or another Rollout", name));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto release, common::Decode<v1alpha1::Release>(*object));
  const v1alpha1::ReleaseSpec& spec = release->spec();
  ReleaseView out;
  out.version = spec.version();
  out.image = spec.image();
  out.image_pull_policy =
      spec.image_pull_policy().empty() ? "IfNotPresent" : spec.image_pull_policy();
  out.upgrade_from.assign(spec.upgrade_from().begin(), spec.upgrade_from().end());
  if (const auto end = base::ParseRfc3339(spec.end_of_life()); end.ok()) out.end_of_life = *end;
  return out;
}

SiteView ViewOf(const meta::Object& object, const v1alpha1::Site& site,
                const DefaultImage& default_image) {
  const v1alpha1::AgentRelease& release = site.spec().release();
  const v1alpha1::AgentCounts& agents = site.status().agents();
  SiteView out;
  out.name = object.name();
  out.uid = object.uid();
  out.in_other_cluster = site.spec().has_cluster();
  out.current = site.status().observed_generation() == object.generation();
  out.release = release.release_ref().name();
  out.image = release.image().empty() ? default_image.image : release.image();
  out.image_pull_policy = release.image().empty()               ? default_image.pull_policy
                          : release.image_pull_policy().empty() ? "IfNotPresent"
                                                                : release.image_pull_policy();
  out.rollout = release.rollout_ref().name();
  out.nodes = agents.wanted();
  out.counted_image = agents.image();
  out.updated = agents.updated();
  out.updated_ready = agents.updated_ready();
  out.failed = agents.failed();
  out.failure = agents.failure();
  return out;
}

// What the other Rollout that the site names makes of it: it has not ended, or it ended on the way.
void ReadOther(const meta::ObjectPtr& object, SiteView& view) {
  if (object == nullptr) return;
  const auto other = common::Decode<v1alpha1::Rollout>(*object);
  const bool readable = other.ok();
  view.rollout_open = !readable || (*other)->status().outcome().empty();
  if (view.rollout_open) return;
  for (const v1alpha1::RolloutSite& site : (*other)->status().sites()) {
    const bool on_the_way = site.state() == "Moving" || site.state() == "Reverting";
    if (site.uid() != view.uid || !on_the_way || site.from().image().empty()) continue;
    view.left_behind =
        LeftBehind{site.from().release(), site.from().image(), site.from().image_pull_policy(), ""};
  }
}

std::string ActorOf(const Move& move, const v1alpha1::RolloutSpec& spec) {
  const std::string_view type = move.type;
  if (move.by_person) return spec.acted_by().empty() ? spec.requested_by() : spec.acted_by();
  const bool by_itself = type == kReverting || type == kAborted || type == kSiteLeft;
  return by_itself ? "controller" : spec.requested_by();
}

std::string TextOf(const Move& move) {
  std::string text;
  for (const auto& [key, value] : move.data) {
    text += (text.empty() ? "" : ", ") + key + " " + value;
  }
  return text;
}

}  // namespace

RolloutReconciler::RolloutReconciler(const Stores& stores, client::Client& api,
                                     common::SecretReader& secrets, audit::Appender& audit,
                                     recorder::Recorder& recorder, base::metrics::Registry& metrics,
                                     base::Clock& clock, DefaultImage default_image,
                                     gates::ExternalAsker* external)
    : stores_(stores),
      api_(api),
      audit_(audit),
      recorder_(recorder),
      metrics_(metrics),
      clock_(clock),
      default_image_(std::move(default_image)),
      gates_(stores, secrets, external, clock),
      gauges_(metrics, "Rollout") {}

Result RolloutReconciler::Reconcile(const reconcile::Request& request, std::stop_token stop) {
  const meta::ObjectPtr object = stores_.rollouts.Get(request.key);
  if (object == nullptr || object->deleting()) {
    Forget(request.key.name);
    return Result::Done();
  }
  if (stores_.rollouts.IsStale(request.key)) return Result::Later(kCacheWait);
  auto world = Read(object);
  if (!world.ok()) return Result::Terminal(world.status());
  for (const auto& [name, site] : world->sites) {
    if (stores_.sites.IsStale(site->key())) return Result::Later(kCacheWait);
  }
  std::optional<Round> round;
  Plan plan = Decide(*world, round, stop);
  if (stop.stop_requested()) return Result::Done();
  Show(*world, plan, round ? &*round : nullptr);
  bool wrote = false;
  base::Status status = WriteStatus(*world, plan, wrote);
  if (status.ok()) status = WriteSites(*world, plan);
  // Somebody else wrote between our reading and our writing: read again.
  if (status.code() == base::Code::kAborted && status.reason() == "Conflict") {
    return Result::Later(kCacheWait);
  }
  if (!status.ok()) return Result::Retry(std::move(status));
  using std::chrono::milliseconds;
  // What was moved may be ready for the next thing at once.
  if (wrote && !plan.moves.empty()) return Result::After(kCacheWait);
  if (plan.again == base::Duration::zero()) return Result::Done();
  return Result::After(std::chrono::ceil<milliseconds>(plan.again));
}

base::StatusOr<RolloutReconciler::World> RolloutReconciler::Read(
    const meta::ObjectPtr& object) const {
  World world;
  world.object = object;
  SLUICE_ASSIGN_OR_RETURN(world.rollout, common::Decode<v1alpha1::Rollout>(*object));
  Observed& observed = world.observed;
  observed.name = object->name();
  observed.generation = object->generation();
  observed.spec = &world.rollout->spec();
  observed.status = &world.rollout->status();
  observed.now = clock_.Wall();
  const std::string& release = observed.spec->release_ref().name();
  observed.release =
      AsBegun(ViewOf(release, stores_.releases.Get({"", release})), *observed.status);
  if (const base::Status ready = audit_.Ready(); !ready.ok()) {
    observed.audit_problem = "the audit log cannot be written: " + ready.message();
  }
  ReadSites(world);
  return world;
}

void RolloutReconciler::ReadSites(World& world) const {
  std::map<std::string, std::string> by_name, by_image;  // versions
  for (const meta::ObjectPtr& object : stores_.releases.List()) {
    const auto release = common::Decode<v1alpha1::Release>(*object);
    if (!release.ok()) continue;
    by_name[std::string(object->name())] = (*release)->spec().version();
    by_image[(*release)->spec().image()] = (*release)->spec().version();
  }
  for (const meta::ObjectPtr& object : stores_.sites.List()) {
    const auto site = common::Decode<v1alpha1::Site>(*object);
    if (!site.ok() || object->deleting()) continue;
    SiteView view = ViewOf(*object, **site, default_image_);
    if (!view.rollout.empty() && view.rollout != world.observed.name) {
      ReadOther(stores_.rollouts.Get({"", view.rollout}), view);
    }
    view.version = view.release.empty() ? by_image[view.image] : by_name[view.release];
    if (view.left_behind) {
      LeftBehind& left = *view.left_behind;
      left.version = left.release.empty() ? by_image[left.image] : by_name[left.release];
    }
    for (const v1alpha1::RolloutWave& wave : world.observed.spec->waves()) {
      if (gates::Selects(wave.sites(), *object)) {
        world.observed.members[wave.name()].push_back(view.name);
      }
    }
    world.sites[view.name] = object;
    world.observed.sites[view.name] = std::move(view);
  }
  for (auto& [wave, sites] : world.observed.members) std::sort(sites.begin(), sites.end());
}

Plan RolloutReconciler::Decide(World& world, std::optional<Round>& round, std::stop_token stop) {
  Observed& observed = world.observed;
  Plan plan = PlanRollout(observed);
  if (plan.question) {
    RoundInput input;
    input.rollout = observed.name;
    input.uid = world.object->uid();
    input.requested_by = observed.spec->requested_by();
    input.release = observed.spec->release_ref().name();
    input.plan_hash = plan.status->plan_hash();
    input.question = *plan.question;
    input.recorded = observed.status;
    input.gates = &observed.spec->revert_gates();
    for (const v1alpha1::RolloutWave& wave : observed.spec->waves()) {
      if (!input.question.revert && wave.name() == input.question.wave) {
        input.gates = &wave.gates();
      }
    }
    round = gates_.Ask(input, stop);
    observed.answer = round->answer;
    observed.now = clock_.Wall();
    plan = PlanRollout(observed);
  }
  if (stop.stop_requested() || !observed.audit_problem.empty()) return plan;
  const base::Status recorded = Record(world, plan, round ? &*round : nullptr);
  if (recorded.ok()) return plan;
  base::log::Error("audit log refused an entry, the rollout waits",
                   {{"rollout", observed.name}, {"error", recorded}});
  observed.audit_problem = "the audit log cannot be written: " + recorded.message();
  plan = PlanRollout(observed);
  plan.again = audit::kReopenEvery;
  return plan;
}

base::Status RolloutReconciler::Record(const World& world, const Plan& plan, const Round* round) {
  std::vector<audit::Entry> entries;
  if (round != nullptr) entries = round->entries;
  for (const Move& move : plan.moves) {
    json data = {{"release", world.observed.spec->release_ref().name()},
                 {"generation", world.observed.generation},
                 {"uid", world.object->uid()}};
    for (const auto& [key, value] : move.data) data[key] = value;
    entries.push_back({move.type, "Rollout/" + world.observed.name,
                       ActorOf(move, *world.observed.spec),
                       data.dump(-1, ' ', false, json::error_handler_t::replace)});
  }
  if (entries.empty()) return base::OkStatus();
  const bool moves = !plan.moves.empty() || (round != nullptr && round->waives);
  return audit_.Append(entries, moves ? audit::Anchor::kNow : audit::Anchor::kLater);
}

// The resourceVersion that was read is a precondition: a number planned from an older status is
// never written over a newer one.
base::Status RolloutReconciler::WriteStatus(const World& world, Plan& plan, bool& wrote) {
  if (types::ToJson(*plan.status) == types::ToJson(*world.observed.status)) {
    return base::OkStatus();
  }
  plan.status->set_audit_head(audit_.HeadHash());
  const auto answer = common::WriteStatus(api_, common::kRollouts, *world.object,
                                          types::ToJson(*plan.status).dump(), kFieldManager,
                                          common::StatusPrecondition::kSameVersion);
  if (!answer.ok()) return answer.status();
  stores_.rollouts.ExpectAtLeast(**answer);
  wrote = true;
  for (const Move& move : plan.moves) {
    base::log::Info(
        "rollout moved",
        {{"rollout", world.observed.name}, {"move", move.type}, {"what", TextOf(move)}});
    recorder_.Record(recorder::ReferenceTo(common::kRollouts, *world.object),
                     recorder::Type::kNormal, move.type, TextOf(move));
  }
  return base::OkStatus();
}

base::Status RolloutReconciler::WriteSites(const World& world, const Plan& plan) {
  for (const SiteRelease& wanted : WantedReleases(world.observed, *plan.status)) {
    const meta::Object& site = *world.sites.at(wanted.site);
    json release = {{"image", wanted.image}, {"imagePullPolicy", wanted.image_pull_policy}};
    if (!wanted.release.empty()) release["releaseRef"] = {{"name", wanted.release}};
    if (wanted.under_rollout) release["rolloutRef"] = {{"name", world.observed.name}};
    const json body = {{"apiVersion", common::kSites.ApiVersion()},
                       {"kind", common::kSites.kind},
                       {"metadata",
                        {{"name", site.name()},
                         {"uid", site.uid()},
                         {"resourceVersion", site.resource_version()}}},
                       {"spec", {{"release", std::move(release)}}}};
    client::ApplyOptions options;
    options.field_manager = kFieldManager;
    options.force = true;
    const auto answer = api_.Apply(common::kSites, body, options);
    if (!answer.ok()) return answer.status();
    stores_.sites.ExpectAtLeast(**answer);
    base::log::Info(
        "release of a site set",
        {{"site", wanted.site}, {"rollout", world.observed.name}, {"image", wanted.image}});
  }
  return base::OkStatus();
}

void RolloutReconciler::Show(const World& world, const Plan& plan, const Round* round) {
  const std::string& name = world.observed.name;
  const bool open = plan.status->outcome().empty();
  if (open && round != nullptr) {
    gauges_.Set(name, round->results, round->gates);
  } else {
    gauges_.Remove(name);
  }
  if (!plan.holds.empty()) gauges_.Block(name, plan.holds.front().cause);
  if (!open) {
    metrics_.RemoveSeries(kStopped, "name", name);
    return;
  }
  metrics_.GetGauge(kStopped, kStoppedHelp, {{"name", name}}).Set(plan.stopped ? 1 : 0);
}

void RolloutReconciler::Forget(const std::string& name) {
  gauges_.Remove(name);
  metrics_.RemoveSeries(kStopped, "name", name);
}

}  // namespace sluice::rollout
