#include "reconcilers/gates/objects/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/digest.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/objects/people.h"
#include "reconcilers/gates/promql.h"
#include "reconcilers/gates/slo_series.h"

namespace sluice::gates {
namespace {

using base::Duration;

template <typename T>
base::StatusOr<T> In(const char* field, base::StatusOr<T> value) {
  if (value.ok()) return value;
  return value.status().Annotate(field);
}

base::StatusOr<Decimal> Number(const char* field, const std::string& text) {
  return In(field, Decimal::Parse(text));
}

// An empty text is zero: "left out".
base::StatusOr<Duration> Span(const char* field, const std::string& text) {
  if (text.empty()) return Duration(0);
  return In(field, base::ParseDuration(text));
}

base::StatusOr<Comparison> Op(const char* field, const std::string& text) {
  const auto op = ComparisonFromName(text);
  if (!op) return base::InvalidArgument(fmt::format("{}: unknown comparison {}", field, text));
  return *op;
}

Reaction ReactionFrom(const std::string& text) {
  if (text == "Revert") return Reaction::kRevert;
  return text == "Abort" ? Reaction::kAbort : Reaction::kHold;
}

base::Status Fill(const v1alpha1::SloGate& slo, Gate& gate) {
  gate.kind = GateKind::kSlo;
  gate.slo_template = slo.template_();
  SLUICE_ASSIGN_OR_RETURN(gate.min_budget_remaining,
                          Number("slo.minBudgetRemaining", slo.min_budget_remaining()));
  return base::OkStatus();
}

base::Status Fill(const v1alpha1::MetricGate& metric, Gate& gate) {
  gate.kind = GateKind::kMetric;
  gate.query = metric.query();
  gate.freshness_selector = metric.freshness_selector();
  SLUICE_ASSIGN_OR_RETURN(gate.op, Op("metric.op", metric.op()));
  SLUICE_ASSIGN_OR_RETURN(gate.threshold, Number("metric.threshold", metric.threshold()));
  SLUICE_ASSIGN_OR_RETURN(gate.long_window, Span("metric.longWindow", metric.long_window()));
  SLUICE_ASSIGN_OR_RETURN(gate.short_window, Span("metric.shortWindow", metric.short_window()));
  if (gate.short_window.count() != 0 && gate.short_window >= gate.long_window) {
    return base::InvalidArgument("metric.shortWindow: must be shorter than longWindow");
  }
  SLUICE_ASSIGN_OR_RETURN(const Duration learning,
                          Span("metric.learningWindow", metric.learning_window()));
  if (learning.count() != 0) gate.learning_window = learning;
  return base::OkStatus();
}

base::Status Fill(const v1alpha1::BurnRateGate& burn, Gate& gate) {
  gate.kind = GateKind::kBurnRate;
  gate.slo_template = burn.template_();
  SLUICE_ASSIGN_OR_RETURN(gate.burn_below, Number("burnRate.below", burn.below()));
  SLUICE_ASSIGN_OR_RETURN(gate.long_window, Span("burnRate.longWindow", burn.long_window()));
  SLUICE_ASSIGN_OR_RETURN(gate.short_window, Span("burnRate.shortWindow", burn.short_window()));
  if (gate.short_window > gate.long_window ||
      (gate.short_window.count() != 0 && gate.short_window == gate.long_window)) {
    return base::InvalidArgument("burnRate.shortWindow: must be shorter than longWindow");
  }
  return base::OkStatus();
}

base::Status Fill(const v1alpha1::GpuIdleGate& idle, Gate& gate) {
  gate.kind = GateKind::kGpuIdle;
  gate.query = idle.query();
  gate.freshness_selector = idle.freshness_selector();
  gate.items = {idle.baseline_item()};
  SLUICE_ASSIGN_OR_RETURN(gate.long_window, Span("gpuIdle.window", idle.window()));
  SLUICE_ASSIGN_OR_RETURN(gate.min_reduction, Number("gpuIdle.minReduction", idle.min_reduction()));
  return base::OkStatus();
}

// The kinds whose evidence is what people and other systems said.
void FillPeople(const v1alpha1::Gate& message, Gate& gate) {
  if (message.has_readiness()) {
    gate.kind = GateKind::kReadiness;
    gate.items.assign(message.readiness().items().begin(), message.readiness().items().end());
  } else if (message.has_approval()) {
    gate.kind = GateKind::kApproval;
    gate.roles = RulesFrom(message.approval().roles());
    gate.service_accounts = message.approval().service_accounts() == "Allowed";
  } else if (message.has_drill()) {
    gate.kind = GateKind::kDrill;
    gate.items = {message.drill().item()};
    gate.max_age = std::chrono::seconds(message.drill().max_age_seconds());
  } else if (message.has_capacity()) {
    gate.kind = GateKind::kCapacity;
    gate.min_ready_agents = message.capacity().min_ready_agents();
  } else if (message.has_incident()) {
    gate.kind = GateKind::kIncident;
    const std::string& severity = message.incident().at_or_above();
    gate.holds_from_severity = severity.empty() ? 4 : severity.back() - '0';
  } else if (message.has_external()) {
    gate.kind = GateKind::kExternal;
    gate.url = message.external().url();
    gate.timeout = std::chrono::seconds(std::max(1, message.external().timeout_seconds()));
  }
}

base::StatusOr<std::string> AboutSubject(const char* field, const std::string& query,
                                         const v1alpha1::ServiceLevelObjectiveSpec& spec) {
  if (query.empty()) return query;
  std::map<std::string, std::string> variables = {{"window", "$window"}};
  variables[spec.subject_ref().kind() == "Tenant" ? "tenant" : "site"] = spec.subject_ref().name();
  return In(field, FillIn(query, variables));
}

base::Status FillIndicator(const v1alpha1::ServiceLevelObjectiveSpec& spec, Indicator& out) {
  if (spec.indicator().has_ratio()) {
    const auto& ratio = spec.indicator().ratio();
    SLUICE_ASSIGN_OR_RETURN(out.good, AboutSubject("indicator.ratio.good", ratio.good(), spec));
    SLUICE_ASSIGN_OR_RETURN(out.bad, AboutSubject("indicator.ratio.bad", ratio.bad(), spec));
    SLUICE_ASSIGN_OR_RETURN(out.total, AboutSubject("indicator.ratio.total", ratio.total(), spec));
    return base::OkStatus();
  }
  if (spec.indicator().has_raw_ratio()) {
    const auto& raw = spec.indicator().raw_ratio();
    out.raw_is_failure = raw.type() == "failure";
    SLUICE_ASSIGN_OR_RETURN(out.raw, AboutSubject("indicator.rawRatio.query", raw.query(), spec));
    return base::OkStatus();
  }
  if (!spec.indicator().has_threshold()) {
    return base::InvalidArgument("indicator: neither ratio nor threshold nor rawRatio");
  }
  const auto& threshold = spec.indicator().threshold();
  SLUICE_ASSIGN_OR_RETURN(out.query,
                          AboutSubject("indicator.threshold.query", threshold.query(), spec));
  SLUICE_ASSIGN_OR_RETURN(out.op, Op("indicator.threshold.op", threshold.op()));
  SLUICE_ASSIGN_OR_RETURN(out.value, Number("indicator.threshold.value", threshold.value()));
  return base::OkStatus();
}

base::WallTime TimeOr(const std::string& text, base::WallTime otherwise) {
  if (text.empty()) return otherwise;
  const auto time = base::ParseRfc3339(text);
  return time.ok() ? *time : otherwise;
}

void AddEvidence(const WindowEvidence& window, const Evidence& evidence,
                 v1alpha1::GateStatus& status) {
  v1alpha1::GateEvidence& out = *status.add_evidence();
  out.set_query(window.value.query);
  if (window.window.count() != 0) out.set_window(base::FormatDuration(window.window));
  const auto value = window.value.error.empty() && window.value.series == 1
                         ? Decimal::Parse(window.value.value)
                         : base::StatusOr<Decimal>(base::NotFound("none"));
  if (value.ok()) out.set_value(ShortDecimal(value->ToString()));
  if (const auto time = DataTime(evidence)) out.set_sample_time(base::FormatRfc3339(*time));
  if (window.samples && window.samples->error.empty() && window.samples->series == 1) {
    const auto samples = Decimal::Parse(window.samples->value);
    if (samples.ok()) out.set_samples(samples->Floor());
  }
  if (!window.value.error.empty()) {
    out.set_error(window.value.error);
  } else if (window.value.series > 1) {
    out.set_error(fmt::format("{} series", window.value.series));
  } else if (window.value.series == 1 && !value.ok()) {
    out.set_error("the value is " + window.value.value);
  }
}

}  // namespace

base::StatusOr<Gate> GateFrom(const v1alpha1::Gate& message) {
  Gate gate;
  gate.name = message.name();
  gate.on_fail = ReactionFrom(message.on_fail());
  gate.on_no_data = ReactionFrom(message.on_no_data());
  gate.on_error = ReactionFrom(message.on_error());
  gate.waivable = message.waivable() == "ByExemption";
  if (message.valid_for_seconds() > 0) {
    gate.valid_for = std::chrono::seconds(message.valid_for_seconds());
  }
  gate.max_hold = std::chrono::seconds(message.max_hold_seconds());
  gate.min_samples = message.min_samples();
  switch (message.kind_case()) {
    case v1alpha1::Gate::kSlo:
      SLUICE_RETURN_IF_ERROR(Fill(message.slo(), gate));
      break;
    case v1alpha1::Gate::kBurnRate:
      SLUICE_RETURN_IF_ERROR(Fill(message.burn_rate(), gate));
      break;
    case v1alpha1::Gate::kMetric:
      SLUICE_RETURN_IF_ERROR(Fill(message.metric(), gate));
      break;
    case v1alpha1::Gate::kSoak:
      gate.kind = GateKind::kSoak;
      gate.soak = std::chrono::seconds(message.soak().seconds());
      break;
    case v1alpha1::Gate::kGpuIdle:
      SLUICE_RETURN_IF_ERROR(Fill(message.gpu_idle(), gate));
      break;
    case v1alpha1::Gate::kReadiness:
    case v1alpha1::Gate::kApproval:
    case v1alpha1::Gate::kDrill:
    case v1alpha1::Gate::kCapacity:
    case v1alpha1::Gate::kIncident:
    case v1alpha1::Gate::kExternal:
      FillPeople(message, gate);
      break;
    case v1alpha1::Gate::KIND_NOT_SET:
      break;  // a kind of a newer controller: the evaluator calls it Misconfigured
  }
  return gate;
}

base::StatusOr<Slo> SloFrom(const std::string& name,
                            const v1alpha1::ServiceLevelObjectiveSpec& spec,
                            Duration scrape_interval) {
  Slo slo;
  slo.name = name;
  slo.subject_kind = spec.subject_ref().kind();
  slo.subject = spec.subject_ref().name();
  slo.scrape_interval = scrape_interval;
  slo.min_events = spec.min_events();
  SLUICE_RETURN_IF_ERROR(FillIndicator(spec, slo.indicator));
  const auto method =
      MethodFromName(spec.budgeting_method().empty() ? "Occurrences" : spec.budgeting_method());
  if (!method) return base::InvalidArgument("budgetingMethod: " + spec.budgeting_method());
  slo.method = *method;
  if (spec.has_calendar()) {
    SLUICE_ASSIGN_OR_RETURN(
        slo.calendar,
        Calendar::Parse(spec.window(), spec.calendar().start_time(), spec.calendar().time_zone()));
    slo.window = slo.calendar->nominal();
  } else {
    SLUICE_ASSIGN_OR_RETURN(slo.window, Span("window", spec.window()));
  }
  SLUICE_ASSIGN_OR_RETURN(slo.target, Number("target", spec.target()));
  SLUICE_ASSIGN_OR_RETURN(slo.slice, Span("timeSliceWindow", spec.time_slice_window()));
  if (!spec.time_slice_target().empty()) {
    SLUICE_ASSIGN_OR_RETURN(slo.slice_target, Number("timeSliceTarget", spec.time_slice_target()));
  }
  // What has no events to count is read now and then, and each reading is an occurrence.
  if (slo.method == BudgetingMethod::kOccurrences && !slo.indicator.CountsEvents()) {
    slo.method = slo.indicator.raw.empty() ? BudgetingMethod::kTimeslices
                                           : BudgetingMethod::kRatioTimeslices;
    slo.slice = std::min(BaseWindow(scrape_interval), slo.window);
  }
  if (!spec.budget_policy().caution_below().empty()) {
    SLUICE_ASSIGN_OR_RETURN(slo.caution_below, Number("budgetPolicy.cautionBelow",
                                                      spec.budget_policy().caution_below()));
  }
  if (!spec.budget_policy().freeze_below().empty()) {
    SLUICE_ASSIGN_OR_RETURN(
        slo.freeze_below, Number("budgetPolicy.freezeBelow", spec.budget_policy().freeze_below()));
  }
  if (!spec.budget_policy().exceptions().empty()) {
    slo.exceptions.clear();
    for (const std::string& change : spec.budget_policy().exceptions()) {
      if (change == "P0") slo.exceptions.push_back(ChangeClass::kP0);
      if (change == "Security") slo.exceptions.push_back(ChangeClass::kSecurity);
    }
  }
  for (const v1alpha1::BurnRateWindow& window : spec.alert_windows()) {
    WindowPair pair;
    pair.severity = window.severity() == "Page" ? Severity::kPage : Severity::kTicket;
    SLUICE_ASSIGN_OR_RETURN(pair.long_window,
                            Span("alertWindows.longWindow", window.long_window()));
    SLUICE_ASSIGN_OR_RETURN(pair.short_window,
                            Span("alertWindows.shortWindow", window.short_window()));
    SLUICE_ASSIGN_OR_RETURN(pair.factor, Number("alertWindows.factor", window.factor()));
    slo.alert_windows.push_back(pair);
  }
  SLUICE_RETURN_IF_ERROR(Validate(slo));
  return slo;
}

v1alpha1::GateStatus StatusOf(const GateResult& result, const Evidence& evidence) {
  v1alpha1::GateStatus out;
  out.set_name(result.gate);
  out.set_verdict(std::string(VerdictName(result.verdict)));
  out.set_cause(std::string(CauseName(result.cause())));
  for (const CauseDetail& c : result.causes) out.add_causes(std::string(CauseName(c.cause)));
  out.set_message(result.message());
  if (!result.value.empty()) out.set_value(ShortDecimal(result.value));
  if (!result.threshold.empty()) out.set_threshold(ShortDecimal(result.threshold));
  out.set_evaluated_at(base::FormatRfc3339(result.evaluated_at));
  out.set_valid_until(base::FormatRfc3339(result.valid_until));
  out.set_since(base::FormatRfc3339(result.since));
  out.set_evidence_hash(result.evidence_hash);
  if (!result.exempted_by.empty()) out.set_exempted_by(result.exempted_by);
  for (const WindowEvidence& window : evidence.windows) AddEvidence(window, evidence, out);
  if (evidence.soak && evidence.soak->entered_at) {
    out.add_evidence()->set_sample_time(base::FormatRfc3339(*evidence.soak->entered_at));
  }
  return out;
}

base::StatusOr<GateResult> ResultFrom(const v1alpha1::GateStatus& status) {
  GateResult out;
  out.gate = status.name();
  const auto verdict = VerdictFromName(status.verdict());
  const auto first = CauseFromName(status.cause());
  if (!verdict || !first) {
    return base::InvalidArgument("not a gate's status: " + status.verdict() + "/" + status.cause());
  }
  out.verdict = *verdict;
  out.causes.push_back({*first, status.message()});
  for (const std::string& name : status.causes()) {
    const auto cause = CauseFromName(name);
    if (cause && *cause != *first) out.causes.push_back({*cause, "held before"});
  }
  out.value = status.value();
  out.threshold = status.threshold();
  SLUICE_ASSIGN_OR_RETURN(out.evaluated_at, base::ParseRfc3339(status.evaluated_at()));
  out.valid_until = TimeOr(status.valid_until(), out.evaluated_at);
  out.since = TimeOr(status.since(), out.evaluated_at);
  out.evidence_hash = status.evidence_hash();
  if (status.evidence_size() > 0 && !status.evidence(0).sample_time().empty()) {
    const auto time = base::ParseRfc3339(status.evidence(0).sample_time());
    if (time.ok()) out.data_time = *time;
  }
  out.exempted_by = status.exempted_by();
  if (*first == Cause::kExempted && out.causes.size() > 1) {
    out.raw_cause = out.causes[1].cause;
    out.raw_verdict = *out.raw_cause == Cause::kGateFailed ? Verdict::kFail : Verdict::kHold;
  }
  if (out.verdict != Verdict::kPass) out.unblocked_by = UnblockedBy(out.cause());
  return out;
}

v1alpha1::Blocker BlockerOf(const GateResult& result) {
  v1alpha1::Blocker out;
  out.set_gate(result.gate);
  out.set_cause(std::string(CauseName(result.cause())));
  out.set_message(result.message());
  out.set_since(base::FormatRfc3339(result.since));
  out.set_unblocked_by(Bounded(result.unblocked_by, 256));
  return out;
}

std::string PlanHash(const v1alpha1::StagePlanSpec& spec) {
  return base::Sha256Hex(
      types::ToJson(spec).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string ShortDecimal(const std::string& decimal) { return decimal.substr(0, 32); }

}  // namespace sluice::gates
