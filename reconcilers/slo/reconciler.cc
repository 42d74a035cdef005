#include "reconcilers/slo/reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/tenant.pb.h"
#include "controller/base/time_format.h"
#include "controller/meta/owner.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/gates/gather.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/slo/limits.h"

namespace sluice::slo {

using nlohmann::json;
using reconcile::Result;

namespace {

constexpr const char* kBudget = "sluice_slo_budget_remaining";
constexpr const char* kBudgetHelp = "Share of the error budget that is left, by objective.";
constexpr const char* kBurn = "sluice_slo_burn_rate";
constexpr const char* kBurnHelp = "How fast the budget burns over a window, by objective.";
constexpr const char* kMeasured = "sluice_slo_measurable";
constexpr const char* kMeasuredHelp = "1 while the objective can be measured.";

}  // namespace

SloReconciler::SloReconciler(const Stores& stores, client::Client& api,
                             common::SecretReader& secrets, recorder::Recorder& recorder,
                             base::metrics::Registry& metrics, base::Clock& clock)
    : stores_(stores),
      api_(api),
      recorder_(recorder),
      metrics_(metrics),
      clock_(clock),
      blocked_(metrics, "ServiceLevelObjective"),
      providers_(secrets),
      applier_(api, "sluice-slo") {}

base::StatusOr<std::shared_ptr<const v1alpha1::Site>> SloReconciler::SiteOf(
    const v1alpha1::ServiceLevelObjective& objective, std::string& name) const {
  const v1alpha1::SubjectRef& subject = objective.spec().subject_ref();
  name = subject.name();
  if (subject.kind() == "Tenant") {
    const meta::ObjectPtr object = stores_.tenants.Get({"", subject.name()});
    if (object == nullptr) {
      return base::NotFound(fmt::format("subjectRef: there is no Tenant {}", subject.name()));
    }
    SLUICE_ASSIGN_OR_RETURN(const auto tenant, common::Decode<v1alpha1::Tenant>(*object));
    if (tenant->spec().sites().empty()) {
      return base::NotFound(fmt::format("subjectRef: Tenant {} is at no site", subject.name()));
    }
    name = tenant->spec().sites(0);
  }
  const meta::ObjectPtr object = stores_.sites.Get({"", name});
  if (object == nullptr) {
    return base::NotFound(fmt::format("subjectRef: there is no Site {}", name));
  }
  return common::Decode<v1alpha1::Site>(*object);
}

Read SloReconciler::Measure(const meta::Object& object,
                            const v1alpha1::ServiceLevelObjective& objective,
                            base::Duration& scrape_interval, std::stop_token stop) {
  const std::string name(object.name());
  std::string site_name;
  const auto site = SiteOf(objective, site_name);
  if (!site.ok()) return {.slo = site.status(), .evidence = {}};
  const gates::Source source = providers_.Find(name, (*site)->spec());
  scrape_interval = source.scrape_interval;
  Read read{.slo = gates::SloFrom(name, objective.spec(), source.scrape_interval), .evidence = {}};
  if (!read.slo.ok()) return read;
  gates::GatherInput input;
  input.gates = ReadingGates(*read.slo);
  input.site = site_name;
  input.scrape_interval = source.scrape_interval;
  input.slos.emplace(name, *read.slo);
  input.misconfigured = source.misconfigured;
  input.provider_error = source.error;
  read.evidence = gates::Gather(input, source.provider.get(), clock_, stop);
  return read;
}

bool SloReconciler::HasPrometheusRules(bool otherwise) {
  {
    const std::lock_guard lock(mutex_);
    if (asked_at_ && clock_.Mono() - *asked_at_ < kRecheckRules) {
      return has_prometheus_rules_.value_or(otherwise);
    }
  }
  const auto answer = api_.Raw("GET", "/apis/monitoring.coreos.com/v1", "");
  const bool found =
      answer.ok() && answer->find("\"" + PrometheusRules().plural + "\"") != std::string::npos;
  const std::lock_guard lock(mutex_);
  // Anything but a clear answer leaves what was known.
  if (answer.ok() || answer.status().code() == base::Code::kNotFound) {
    has_prometheus_rules_ = found;
    asked_at_ = clock_.Mono();
  }
  return has_prometheus_rules_.value_or(otherwise);
}

bool SloReconciler::IsPlaced(const std::string& name, const std::string& rules) {
  const std::lock_guard lock(mutex_);
  const auto placed = placed_.find(name);
  return placed != placed_.end() && placed->second.rules == rules &&
         clock_.Mono() - placed->second.at < kRecheckRules;
}

base::Status SloReconciler::RemoveMap(const meta::Object& object, const meta::Key& key) {
  const meta::ObjectPtr map = stores_.config_maps.Get(key);
  if (map == nullptr) return base::OkStatus();
  const auto owner = meta::ControllerOf(*map);
  if (!owner || owner->uid != object.uid()) return base::OkStatus();  // somebody else's
  client::DeleteOptions options;
  options.preconditions.uid = std::string(map->uid());
  const base::Status gone = api_.Delete(common::kConfigMaps, key, options);
  return gone.code() == base::Code::kNotFound ? base::OkStatus() : gone;
}

void SloReconciler::ApplyRules(const meta::Object& object,
                               const v1alpha1::ServiceLevelObjective& objective, Read& read) {
  if (!read.slo.ok()) {
    read.rules_error = read.slo.status();
    return;
  }
  const std::string name(object.name());
  const std::map<std::string, std::string> labels(objective.spec().labels().begin(),
                                                  objective.spec().labels().end());
  const gates::RuleGroup group = gates::RulesFor(*read.slo, labels, clock_.Wall());
  const std::string& before = objective.status().rules_object();
  const bool was_rule = before.rfind(PrometheusRules().kind + " ", 0) == 0;
  const RulesObject wanted =
      MakeRulesObject(object, group, providers_.secrets_namespace(), HasPrometheusRules(was_rule));
  read.rules_hash = gates::RulesHash(group);
  const std::string rules = wanted.shown + " " + read.rules_hash;
  const bool in_cache = wanted.resource == common::kConfigMaps;
  // A PrometheusRule is in no cache (the kind may be missing): it is looked at when it changes, and
  // now and then.
  if (in_cache || !IsPlaced(name, rules)) {
    meta::ObjectPtr live;
    if (in_cache) {
      live = stores_.config_maps.Get(wanted.key);
    } else if (auto found = api_.Get(wanted.resource, wanted.key); found.ok()) {
      live = *found;
    } else if (found.status().code() != base::Code::kNotFound) {
      read.rules_error = found.status().Annotate(wanted.shown);
      return;
    }
    const auto written = applier_.Apply(wanted.resource, json::parse(wanted.json), live);
    if (!written.ok()) {
      read.rules_error = written.status().Annotate(wanted.shown);
      return;
    }
    const std::lock_guard lock(mutex_);
    placed_[name] = {rules, clock_.Mono()};
  }
  // The other way nothing is left: PrometheusRules go with their kind.
  const base::Status removed = in_cache ? base::OkStatus() : RemoveMap(object, wanted.key);
  if (!removed.ok()) {
    read.rules_object = before;
    read.rules_error = removed.Annotate("the rules are still in two places");
    return;
  }
  read.rules_object = wanted.shown;
}

Result SloReconciler::Reconcile(const reconcile::Request& request, std::stop_token stop) {
  const meta::ObjectPtr object = stores_.objectives.Get(request.key);
  if (object == nullptr) {
    Drop(request.key.name);
    return Result::Done();
  }
  if (object->deleting()) return Result::Done();
  if (stores_.objectives.IsStale(request.key)) return Result::Later(std::chrono::milliseconds(50));
  const auto objective = common::Decode<v1alpha1::ServiceLevelObjective>(*object);
  if (!objective.ok()) return Result::Terminal(objective.status());
  base::Duration scrape_interval = gates::kScrapeInterval;
  Read read = Measure(*object, **objective, scrape_interval, stop);
  if (stop.stop_requested()) return Result::Done();
  ApplyRules(*object, **objective, read);
  const v1alpha1::ServiceLevelObjectiveStatus& before = (*objective)->status();
  const auto status = BuildStatus(read, before, object->generation(), clock_.Wall());
  Export(request.key.name, read);
  if (WorthWriting(before, *status)) {
    const auto written = applier_.ApplyStatus(common::kObjectives, *object, types::ToJson(*status));
    if (!written.ok()) return Result::Retry(written.status());
    if (written->wrote) stores_.objectives.ExpectAtLeast(*written->object);
    if (before.budget_state() != status->budget_state() && !status->budget_state().empty()) {
      const bool normal = status->budget_state() == "Normal";
      recorder_.Record(recorder::ReferenceTo(common::kObjectives, *object),
                       normal ? recorder::Type::kNormal : recorder::Type::kWarning,
                       "Budget" + status->budget_state(),
                       fmt::format("{} of the error budget is left", status->budget_remaining()));
    }
  }
  const base::Duration again =
      std::clamp<base::Duration>(kLookScrapes * scrape_interval, kShortestLook, kLongestLook);
  return Result::After(std::chrono::duration_cast<std::chrono::milliseconds>(again));
}

void SloReconciler::Export(const std::string& name, const Read& read) {
  v1alpha1::ServiceLevelObjectiveStatus none;
  const auto status = BuildStatus(read, none, 0, clock_.Wall());
  const base::metrics::Labels labels = {{"slo", name}};
  const auto* measurable = types::FindCondition(status->conditions(), "Measurable");
  const bool measured = measurable != nullptr && measurable->status() == types::kTrue;
  blocked_.Set(name, measured || measurable == nullptr
                         ? std::nullopt
                         : gates::CauseFromName(measurable->reason()));
  metrics_.GetGauge(kMeasured, kMeasuredHelp, labels).Set(measured ? 1 : 0);
  // A number that is not known is absent, not zero.
  const bool burns_known = std::all_of(
      status->burn_rates().begin(), status->burn_rates().end(),
      [](const v1alpha1::BurnRate& b) { return b.has_long_burn() && b.has_short_burn(); });
  if (!status->has_budget_remaining()) metrics_.RemoveSeries(kBudget, "slo", name);
  if (!burns_known || status->burn_rates_size() == 0) metrics_.RemoveSeries(kBurn, "slo", name);
  const auto set = [&](const char* family, const char* help, const std::string& text,
                       const base::metrics::Labels& with) {
    const auto value = gates::Decimal::Parse(text);
    if (value.ok()) metrics_.GetGauge(family, help, with).Set(value->ToDouble());
  };
  if (status->has_budget_remaining()) {
    set(kBudget, kBudgetHelp, status->budget_remaining(), labels);
  }
  for (const v1alpha1::BurnRate& burn : status->burn_rates()) {
    if (burn.has_long_burn()) {
      set(kBurn, kBurnHelp, burn.long_burn(), {{"slo", name}, {"window", burn.long_window()}});
    }
    if (burn.has_short_burn()) {
      set(kBurn, kBurnHelp, burn.short_burn(), {{"slo", name}, {"window", burn.short_window()}});
    }
  }
}

void SloReconciler::Drop(const std::string& name) {
  blocked_.Set(name, std::nullopt);
  for (const char* family : {kBudget, kBurn, kMeasured}) metrics_.RemoveSeries(family, "slo", name);
  applier_.Forget(common::kObjectives, {"", name});
  const meta::Key rules = RulesKey(name, providers_.secrets_namespace());
  applier_.Forget(common::kConfigMaps, rules);
  applier_.Forget(PrometheusRules(), rules);
  providers_.Forget(name);
  const std::lock_guard lock(mutex_);
  placed_.erase(name);
}

}  // namespace sluice::slo
