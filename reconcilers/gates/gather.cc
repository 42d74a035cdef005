#include "reconcilers/gates/gather.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/promql.h"
#include "reconcilers/gates/slo_series.h"

namespace sluice::gates {
namespace {

using base::Duration;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

// What one gate asks, before anything is asked.
struct Questions {
  struct Window {
    Duration window{0};
    std::string value;
    std::string samples;  // empty: not asked
    std::optional<base::WallTime> start = {};
  };
  std::vector<Window> windows;
  std::optional<Window> budget;  // of a burnRate gate whose objective has a policy
  std::vector<std::string> selectors;
  Duration learning = kLearningWindow;
};

base::StatusOr<Questions> AboutSlo(const Gate& gate, const Slo& slo, base::WallTime at) {
  Questions out;
  const BudgetWindow budget = BudgetAt(slo, at);
  bool recorded = false;
  if (gate.kind == GateKind::kSlo) {
    const bool counted = std::max(gate.min_samples, slo.min_events) > 0;
    out.windows.push_back({budget.length, budget.queries.error_ratio,
                           counted ? budget.queries.events : "", budget.start});
    recorded = slo.calendar.has_value() || NeedsRecording(slo.window);
  } else {
    const WindowPair first = WindowsOf(slo).front();
    const bool own = gate.long_window.count() != 0;
    const std::vector<Duration> windows = {own ? gate.long_window : first.long_window,
                                           own ? gate.short_window : first.short_window};
    if (windows[1] < kMinWindowScrapes * slo.scrape_interval) {
      return base::InvalidArgument(fmt::format("{} is shorter than {} scrape intervals",
                                               base::FormatDuration(windows[1]),
                                               kMinWindowScrapes));
    }
    for (const Duration window : windows) {
      const WindowQueries queries = QueriesFor(slo, window);
      out.windows.push_back(
          {window, queries.error_ratio, gate.min_samples > 0 ? queries.events : ""});
      recorded = recorded || NeedsRecording(window);
    }
  }
  const bool policy = slo.caution_below != Decimal() || slo.freeze_below != Decimal();
  if (gate.kind == GateKind::kBurnRate && policy) {
    out.budget = Questions::Window{budget.length, budget.queries.error_ratio, "", budget.start};
    recorded = recorded || slo.calendar || NeedsRecording(slo.window);
  }
  SLUICE_ASSIGN_OR_RETURN(out.selectors, SelectorsOf(slo));
  if (recorded) {
    out.selectors.push_back(RecordedSeries(
        slo.method == BudgetingMethod::kOccurrences ? kTotalEventsSeries : kSliceErrorSeries, slo));
  }
  return out;
}

base::StatusOr<Questions> AboutMetric(const Gate& gate, const std::string& site,
                                      Duration scrape_interval) {
  Questions out;
  out.learning = gate.learning_window;
  SLUICE_ASSIGN_OR_RETURN(const std::string selector,
                          FillIn(gate.freshness_selector, {{"site", site}}));
  SLUICE_ASSIGN_OR_RETURN(out.selectors, RawSelectors(selector));
  std::vector<Duration> windows = {gate.long_window};
  if (gate.short_window.count() != 0) windows.push_back(gate.short_window);
  for (const Duration window : windows) {
    if (window.count() != 0 && window < scrape_interval) {
      return base::InvalidArgument(
          fmt::format("the window {} is shorter than the scrape interval {}",
                      base::FormatDuration(window), base::FormatDuration(scrape_interval)));
    }
    std::map<std::string, std::string> variables = {{"site", site}};
    if (window.count() != 0) variables["window"] = base::FormatDuration(window);
    SLUICE_ASSIGN_OR_RETURN(std::string query, FillIn(gate.query, variables));
    std::string samples;
    if (gate.min_samples > 0) {
      samples =
          fmt::format("sum(count_over_time({}[{}]))", out.selectors.front(),
                      base::FormatDuration(window.count() != 0 ? window : gate.learning_window));
    }
    out.windows.push_back({window, std::move(query), std::move(samples)});
  }
  return out;
}

void Answer(const Questions& questions, Asker& asker, Evidence& evidence) {
  bool nothing = false;
  for (const Questions::Window& window : questions.windows) {
    WindowEvidence out{.window = window.window,
                       .value = asker.Now(window.value),
                       .samples = {},
                       .start = window.start};
    if (!window.samples.empty()) out.samples = asker.Now(window.samples);
    nothing = nothing || (out.value.error.empty() && out.value.series == 0);
    evidence.windows.push_back(std::move(out));
  }
  if (questions.budget) {
    evidence.budget = WindowEvidence{.window = questions.budget->window,
                                     .value = asker.Now(questions.budget->value),
                                     .samples = {},
                                     .start = questions.budget->start};
  }
  for (const std::string& selector : questions.selectors) {
    evidence.freshness.push_back(asker.Now(NewestSampleQuery(selector)));
  }
  if (!nothing) return;
  // One query that never gave anything is enough to be misconfigured.
  for (const WindowEvidence& window : evidence.windows) {
    if (!window.value.error.empty() || window.value.series != 0) continue;
    const auto ever = asker.EverWithin(window.value.query, questions.learning);
    if (!ever) return;
    evidence.ever_returned = evidence.ever_returned.value_or(true) && *ever;
  }
}

// The questions of a gate that needs a provider; an error says what makes it Misconfigured.
base::StatusOr<Questions> QuestionsOf(const Gate& gate, const GatherInput& input,
                                      Evidence& evidence) {
  if (gate.kind == GateKind::kMetric || gate.kind == GateKind::kGpuIdle) {
    return AboutMetric(gate, input.site, input.scrape_interval);
  }
  const auto slo = input.slos.find(gate.slo_template);
  if (slo == input.slos.end()) {
    return base::NotFound(
        fmt::format("there is no objective {}-{}", input.site, gate.slo_template));
  }
  if (!slo->second.ok()) return slo->second.status();
  const Slo& found = *slo->second;
  SLUICE_RETURN_IF_ERROR(Validate(found).Annotate(found.name));
  evidence.slo = FactsOf(found);
  return AboutSlo(gate, found, evidence.observed_at);
}

// The same questions, all left unanswered for one reason.
void Unanswered(const Questions& questions, const std::string& error, Evidence& evidence) {
  const auto unanswered = [&](const Questions::Window& window) {
    return WindowEvidence{
        .window = window.window,
        .value = {.query = window.value, .value = {}, .series = 0, .error = error},
        .samples = {},
        .start = window.start};
  };
  for (const Questions::Window& window : questions.windows) {
    evidence.windows.push_back(unanswered(window));
  }
  if (questions.budget) evidence.budget = unanswered(*questions.budget);
}

void AskOutside(const Gate& gate, const GatherInput& input, std::chrono::milliseconds left,
                const std::stop_token& stop, Evidence& evidence) {
  const auto url = FillIn(gate.url, {{"site", input.site}, {"stage", input.stage}});
  if (!url.ok()) {
    evidence.misconfigured = Bounded(url.status().message(), kMaxMessageBytes);
  } else if (input.external == nullptr) {
    evidence.misconfigured = "this controller asks no external gates";
  } else if (left.count() <= 0) {
    evidence.external = ExternalFacts{*url, "", "", "no time left to ask"};
  } else {
    auto answer =
        input.external->Ask({.url = *url,
                             .site = input.site,
                             .stage = input.stage,
                             .timeout = std::min(left, duration_cast<milliseconds>(gate.timeout))},
                            stop);
    if (answer.ok()) {
      evidence.external = *std::move(answer);
    } else {
      evidence.misconfigured = Bounded(answer.status().message(), kMaxMessageBytes);
    }
  }
}

// Evidence that is no query, for the kinds that have such; false for the others.
bool GatherPeople(const Gate& gate, const GatherInput& input, Evidence& evidence) {
  switch (gate.kind) {
    case GateKind::kSoak:
      evidence.soak = input.soak;
      return true;
    case GateKind::kReadiness:
    case GateKind::kDrill:
      evidence.readiness = input.readiness;
      return true;
    case GateKind::kApproval:
      evidence.ballot = input.ballot;
      return true;
    case GateKind::kIncident:
      evidence.incidents = input.incidents;
      return true;
    case GateKind::kCapacity:
      evidence.capacity = input.capacity;
      return true;
    case GateKind::kGpuIdle:
      evidence.readiness = input.readiness;
      return false;
    default:
      return gate.kind == GateKind::kUnknown;
  }
}

}  // namespace

Asker::Asker(Provider& provider, base::Clock& clock, base::WallTime at, std::stop_token stop)
    : provider_(provider),
      clock_(clock),
      at_(at),
      limit_(clock.Mono() + duration_cast<base::MonoTime::duration>(kGatherTimeout)),
      stop_(std::move(stop)) {}

base::StatusOr<Ask> Asker::Next() const {
  if (!broken_.ok()) return broken_;
  const auto left = duration_cast<milliseconds>(limit_ - clock_.Mono());
  if (left.count() <= 0) return base::DeadlineExceeded("no time left to ask");
  return Ask{.timeout = std::min(left, duration_cast<milliseconds>(kQueryTimeout)), .stop = stop_};
}

void Asker::Note(const base::Status& error) {
  const bool unreachable =
      error.code() == base::Code::kUnavailable || error.code() == base::Code::kDeadlineExceeded ||
      error.code() == base::Code::kCancelled || error.code() == base::Code::kPermissionDenied;
  if (unreachable && broken_.ok()) broken_ = error;
}

Reading Asker::Now(const std::string& query) {
  if (const auto known = answers_.find(query); known != answers_.end()) return known->second;
  Reading reading{
      .query = Bounded(query, kMaxRecordedQueryBytes), .value = {}, .series = 0, .error = {}};
  const auto ask = Next();
  const auto answer =
      ask.ok() ? provider_.Query(query, at_, *ask) : base::StatusOr<PrometheusAnswer>(ask.status());
  if (!answer.ok()) {
    Note(answer.status());
    reading.error = Bounded(answer.status().message(), kMaxMessageBytes);
    if (reading.error.empty()) reading.error = answer.status().ToString();
    reading.bad_query = answer.status().code() == base::Code::kInvalidArgument;
  } else if (!answer->warnings.empty()) {
    reading.error = "warning: " + answer->warnings.front();
  } else {
    reading.series = static_cast<int>(answer->series.size());
    if (reading.series > 0) reading.value = answer->series.front().points.front().value;
  }
  answers_.emplace(query, reading);
  return reading;
}

std::optional<bool> Asker::EverWithin(const std::string& query, Duration window) {
  const auto ask = Next();
  if (!ask.ok()) return std::nullopt;
  const auto from = at_ - duration_cast<base::WallTime::duration>(window);
  const Duration step = std::max<Duration>(window / kLearningSteps, milliseconds(1000));
  const auto answer = provider_.QueryRange(query, from, at_, step, *ask);
  if (!answer.ok()) {
    Note(answer.status());
    return std::nullopt;
  }
  return std::any_of(answer->series.begin(), answer->series.end(),
                     [](const Series& series) { return !series.points.empty(); });
}

std::vector<Evidence> Gather(const GatherInput& input, Provider* provider, base::Clock& clock,
                             std::stop_token stop) {
  const base::WallTime at = std::chrono::floor<milliseconds>(clock.Wall());
  std::optional<Asker> asker;
  if (provider != nullptr) asker.emplace(*provider, clock, at, stop);
  const base::MonoTime limit =
      clock.Mono() + duration_cast<base::MonoTime::duration>(kGatherTimeout);
  std::vector<Evidence> out;
  for (const Gate& gate : input.gates) {
    Evidence evidence;
    evidence.gate = gate.name;
    evidence.observed_at = at;
    if (gate.kind == GateKind::kExternal) {
      AskOutside(gate, input, duration_cast<milliseconds>(limit - clock.Mono()), stop, evidence);
    } else if (!GatherPeople(gate, input, evidence)) {
      evidence.scrape_interval = input.scrape_interval;
      const auto questions = QuestionsOf(gate, input, evidence);
      if (!questions.ok()) {
        evidence.misconfigured = Bounded(questions.status().message(), kMaxMessageBytes);
      } else if (asker) {
        Answer(*questions, *asker, evidence);
      } else if (!input.misconfigured.empty()) {
        evidence.misconfigured = input.misconfigured;
      } else {
        const std::string& why = input.provider_error;
        Unanswered(*questions, why.empty() ? "no provider" : why, evidence);
      }
    }
    out.push_back(std::move(evidence));
  }
  return out;
}

}  // namespace sluice::gates
