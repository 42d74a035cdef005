#include "reconcilers/gates/slo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/promql.h"
#include "reconcilers/gates/slo_series.h"

namespace sluice::gates {
namespace {

using base::Duration;
using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

std::string Seconds(Duration d) {
  return (Decimal::FromInt(duration_cast<milliseconds>(d).count()) / Decimal::FromInt(1000))
      .ToString();
}

std::string Resolve(const std::string& query, Duration window) {
  auto filled = FillIn(query, {{"window", base::FormatDuration(window)}});
  // Validate() has shown that every variable is known.
  SLUICE_CHECK(filled.ok());
  return *std::move(filled);
}

Decimal One() { return Decimal::FromInt(1); }

// The share of good events over `window`; a missing good series beside a total is no good events.
std::string GoodRatio(const Slo& slo, Duration window, std::string_view total_filter) {
  const Indicator& i = slo.indicator;
  const std::string total = Resolve(i.total, window);
  if (!i.bad.empty()) {
    return fmt::format("1 - ({}) / (({}){})", Resolve(i.bad, window), total, total_filter);
  }
  return fmt::format("(({0}) or (0 * ({1}))) / (({1}){2})", Resolve(i.good, window), total,
                     total_filter);
}

std::string ErrorRatio(const Slo& slo, Duration window) {
  const Indicator& i = slo.indicator;
  if (i.bad.empty()) return fmt::format("1 - {}", GoodRatio(slo, window, ""));
  return fmt::format("({}) / ({})", Resolve(i.bad, window), Resolve(i.total, window));
}

// Whole slices inside a window, at least one.
std::int64_t SlicesIn(const Slo& slo, Duration window) {
  return std::max<std::int64_t>(1, window / slo.slice);
}

// Whole slices only: the subquery reaches back to the end of the first whole one.
std::string OverSlices(const char* function, const std::string& slice, const Slo& slo,
                       Duration window) {
  const std::int64_t slices = SlicesIn(slo, window);
  SLUICE_CHECK(slices > 1);
  return fmt::format("{}(({})[{}:{}])", function, slice,
                     base::FormatDuration((slices - 1) * slo.slice),
                     base::FormatDuration(slo.slice));
}

WindowQueries SliceQueries(const Slo& slo, Duration window, const std::string& slice) {
  if (SlicesIn(slo, window) == 1) {
    return {fmt::format("{}", slice), fmt::format("count({})", slice)};
  }
  return {OverSlices("avg_over_time", slice, slo, window),
          OverSlices("count_over_time", slice, slo, window)};
}

Duration Scaled(Duration base_window, Duration slo_window, Duration scrape) {
  const auto month = duration_cast<milliseconds>(hours(24 * 30)).count();
  const auto wanted = static_cast<__int128>(duration_cast<milliseconds>(base_window).count()) *
                      duration_cast<milliseconds>(slo_window).count() / month;
  const auto step = std::max<std::int64_t>(duration_cast<milliseconds>(scrape).count(), 1);
  const auto steps = std::max<std::int64_t>(kMinWindowScrapes,
                                            static_cast<std::int64_t>((wanted + step / 2) / step));
  return milliseconds(steps * step);
}

base::Status CheckQuery(std::string_view field, const std::string& query) {
  const auto filled = FillIn(query, {{"window", "5m"}});
  if (!filled.ok()) return filled.status().Annotate(field);
  const auto selectors = RawSelectors(*filled);
  return selectors.ok() ? base::OkStatus() : selectors.status().Annotate(field);
}

}  // namespace

std::string_view MethodName(BudgetingMethod method) {
  switch (method) {
    case BudgetingMethod::kOccurrences:
      return "Occurrences";
    case BudgetingMethod::kTimeslices:
      return "Timeslices";
    case BudgetingMethod::kRatioTimeslices:
      return "RatioTimeslices";
  }
  SLUICE_CHECK(false);
  return {};
}

std::optional<BudgetingMethod> MethodFromName(std::string_view name) {
  for (const auto method : {BudgetingMethod::kOccurrences, BudgetingMethod::kTimeslices,
                            BudgetingMethod::kRatioTimeslices}) {
    if (MethodName(method) == name) return method;
  }
  return std::nullopt;
}

namespace {
struct ComparisonRow {
  Comparison op;
  std::string_view name;
  std::string_view symbol;
};
constexpr std::array<ComparisonRow, 4> kComparisons = {{{Comparison::kLt, "lt", "<"},
                                                        {Comparison::kLte, "lte", "<="},
                                                        {Comparison::kGt, "gt", ">"},
                                                        {Comparison::kGte, "gte", ">="}}};
}  // namespace

std::optional<Comparison> ComparisonFromName(std::string_view name) {
  for (const auto& row : kComparisons) {
    if (row.name == name) return row.op;
  }
  return std::nullopt;
}

std::string_view ComparisonName(Comparison op) {
  return kComparisons[static_cast<std::size_t>(op)].name;
}

std::string_view ComparisonSymbol(Comparison op) {
  return kComparisons[static_cast<std::size_t>(op)].symbol;
}

bool Holds(Decimal value, Comparison op, Decimal limit) {
  switch (op) {
    case Comparison::kLt:
      return value < limit;
    case Comparison::kLte:
      return value <= limit;
    case Comparison::kGt:
      return value > limit;
    case Comparison::kGte:
      return value >= limit;
  }
  SLUICE_CHECK(false);
  return false;
}

base::Status Validate(const Slo& slo) {
  if (slo.target <= Decimal() || slo.target >= One()) {
    return base::InvalidArgument("target: must be above 0 and below 1");
  }
  if (slo.window <= Duration(0)) return base::InvalidArgument("window: must be above 0");
  if (slo.scrape_interval <= Duration(0)) {
    return base::InvalidArgument("scrapeIntervalSeconds: must be above 0");
  }
  if (slo.window < kMinWindowScrapes * slo.scrape_interval) {
    return base::InvalidArgument(fmt::format("window: shorter than {} scrape intervals of {}",
                                             kMinWindowScrapes,
                                             base::FormatDuration(slo.scrape_interval)));
  }
  if (slo.method != BudgetingMethod::kOccurrences &&
      (slo.slice <= Duration(0) || slo.slice > slo.window)) {
    return base::InvalidArgument("timeSliceWindow: must be above 0 and at most the window");
  }
  for (const WindowPair& pair : slo.alert_windows) {
    if (pair.short_window <= Duration(0) || pair.short_window >= pair.long_window) {
      return base::InvalidArgument("alertWindows: shortWindow must be shorter than longWindow");
    }
    if (pair.short_window < kMinWindowScrapes * slo.scrape_interval) {
      return base::InvalidArgument(
          fmt::format("alertWindows: {} is shorter than {} scrape intervals of {}",
                      base::FormatDuration(pair.short_window), kMinWindowScrapes,
                      base::FormatDuration(slo.scrape_interval)));
    }
  }
  const Indicator& i = slo.indicator;
  if (!i.CountsEvents()) {
    if (slo.method == BudgetingMethod::kOccurrences) {
      return base::InvalidArgument("budgetingMethod: the indicator has no events to count");
    }
    return i.raw.empty() ? CheckQuery("indicator.threshold.query", i.query)
                         : CheckQuery("indicator.rawRatio.query", i.raw);
  }
  SLUICE_RETURN_IF_ERROR(CheckQuery("indicator.ratio.total", i.total));
  if (!i.bad.empty()) return CheckQuery("indicator.ratio.bad", i.bad);
  return CheckQuery("indicator.ratio.good", i.good);
}

std::vector<WindowPair> ScaledWindows(Duration slo_window, Duration scrape_interval,
                                      Decimal target) {
  struct Row {
    Severity severity;
    Duration long_window, short_window;
    const char* factor;
  };
  static const std::array<Row, 4> kRows = {{
      {Severity::kPage, hours(1), minutes(5), "14.4"},
      {Severity::kPage, hours(6), minutes(30), "6"},
      {Severity::kTicket, hours(24), hours(2), "3"},
      {Severity::kTicket, hours(72), hours(6), "1"},
  }};
  const Decimal highest = One() / (One() - target);
  std::vector<WindowPair> out;
  for (const Row& row : kRows) {
    WindowPair pair{row.severity, Scaled(row.long_window, slo_window, scrape_interval),
                    Scaled(row.short_window, slo_window, scrape_interval),
                    *Decimal::Parse(row.factor)};
    // Both at the floor: the long window is twelve times the short one again.
    if (pair.long_window == pair.short_window) {
      pair.long_window = std::min(12 * pair.short_window, std::max(slo_window, pair.short_window));
    }
    if (pair.factor >= highest) pair.factor = highest / Decimal::FromInt(2);
    const auto same = [&](const WindowPair& other) {
      return other.severity == pair.severity && other.long_window == pair.long_window &&
             other.short_window == pair.short_window;
    };
    if (std::none_of(out.begin(), out.end(), same)) out.push_back(pair);
  }
  return out;
}

std::vector<WindowPair> WindowsOf(const Slo& slo) {
  return slo.alert_windows.empty() ? ScaledWindows(slo.window, slo.scrape_interval, slo.target)
                                   : slo.alert_windows;
}

Decimal BurnRate(Decimal error_ratio, Decimal target) {
  return std::clamp(error_ratio, Decimal(), One()) / (One() - target);
}

Decimal BudgetRemaining(Decimal error_ratio, Decimal target) {
  return One() - BurnRate(error_ratio, target);
}

std::string_view BudgetStateName(BudgetState state) {
  switch (state) {
    case BudgetState::kNormal:
      return "Normal";
    case BudgetState::kCaution:
      return "Caution";
    case BudgetState::kFreeze:
      return "Freeze";
    case BudgetState::kExhausted:
      return "Exhausted";
  }
  SLUICE_CHECK(false);
  return {};
}

BudgetState StateOf(Decimal budget_remaining, Decimal caution_below, Decimal freeze_below) {
  if (budget_remaining <= Decimal()) return BudgetState::kExhausted;
  if (budget_remaining < freeze_below) return BudgetState::kFreeze;
  return budget_remaining < caution_below ? BudgetState::kCaution : BudgetState::kNormal;
}

bool NeedsRecording(Duration window) { return window > kDirectWindowLimit; }

WindowQueries DirectQueries(const Slo& slo, Duration window) {
  if (slo.method == BudgetingMethod::kOccurrences) {
    return {ErrorRatio(slo, window),
            fmt::format("({}) * {}", Resolve(slo.indicator.total, window), Seconds(window))};
  }
  return SliceQueries(slo, window, SliceErrorQuery(slo));
}

WindowQueries QueriesFor(const Slo& slo, Duration window) {
  if (!NeedsRecording(window)) return DirectQueries(slo, window);
  if (slo.method != BudgetingMethod::kOccurrences) {
    return SliceQueries(slo, window, RecordedSeries(kSliceErrorSeries, slo));
  }
  const std::string range = base::FormatDuration(window);
  const std::string bad = RecordedSeries(kBadEventsSeries, slo);
  const std::string total = RecordedSeries(kTotalEventsSeries, slo);
  return {fmt::format("sum_over_time({}[{}]) / sum_over_time({}[{}])", bad, range, total, range),
          fmt::format("avg_over_time({}[{}]) * {}", total, range, Seconds(window))};
}

namespace {

// Steps of a subquery stand at multiples of the step, so that steps of the length that each one
// looks back over tile the period: every event counts once.
WindowQueries PeriodQueries(const Slo& slo, const Period& period) {
  const bool events = slo.method == BudgetingMethod::kOccurrences;
  const Duration step = events ? BaseWindow(slo.scrape_interval) : slo.slice;
  const Duration length = period.end - period.start;
  // The first step whose whole look back is in the period.
  const std::string first = Seconds(period.start.time_since_epoch() + step);
  const auto sum = [&](const std::string& value) {
    return fmt::format("sum_over_time(({} * (time() >= bool {}))[{}:{}])", value, first,
                       base::FormatDuration(length), base::FormatDuration(step));
  };
  if (events) {
    const std::string total = sum(RecordedSeries(kTotalEventsSeries, slo));
    return {fmt::format("{} / {}", sum(RecordedSeries(kBadEventsSeries, slo)), total),
            fmt::format("{} * {}", total, Seconds(step))};
  }
  const std::string error = RecordedSeries(kSliceErrorSeries, slo);
  return {fmt::format("{} / {}", sum(error), SlicesIn(slo, length)),
          sum(fmt::format("({} * 0 + 1)", error))};
}

}  // namespace

BudgetWindow BudgetAt(const Slo& slo, base::WallTime now) {
  if (!slo.calendar) return {slo.window, std::nullopt, QueriesFor(slo, slo.window)};
  const Period period = slo.calendar->At(now);
  return {period.end - period.start, period.start, PeriodQueries(slo, period)};
}

std::string SliceErrorQuery(const Slo& slo) {
  const Indicator& i = slo.indicator;
  if (!i.query.empty()) {
    const std::string query = Resolve(i.query, slo.slice);
    // x == x drops NaN, which would otherwise compare as false and count as bad.
    return fmt::format("1 - ((({0}) == ({0})) {1} bool {2})", query, ComparisonSymbol(i.op),
                       i.value.ToString());
  }
  std::string good;
  if (i.raw.empty()) {
    good = GoodRatio(slo, slo.slice, " > 0");
  } else {
    // NaN and what is no share (a percentage) drop out: they must not count as good.
    good = fmt::format("{}(({}) >= 0 <= 1)", i.raw_is_failure ? "1 - " : "",
                       Resolve(i.raw, slo.slice));
  }
  if (slo.method == BudgetingMethod::kRatioTimeslices) return fmt::format("1 - ({})", good);
  return fmt::format("1 - (({}) >= bool {})", good, slo.slice_target.ToString());
}

WindowQueries BaseEventQueries(const Slo& slo) {
  const Duration window = BaseWindow(slo.scrape_interval);
  const std::string total = Resolve(slo.indicator.total, window);
  const std::string bad = slo.indicator.bad.empty()
                              ? fmt::format("({0}) - (({1}) or (0 * ({0})))", total,
                                            Resolve(slo.indicator.good, window))
                              : Resolve(slo.indicator.bad, window);
  return {bad, total};
}

Duration BaseWindow(Duration scrape_interval) {
  return std::max<Duration>(kMinWindowScrapes * scrape_interval, std::chrono::minutes(1));
}

std::string RecordedSeries(std::string_view series, const Slo& slo) {
  return fmt::format("{}{{slo=\"{}\"}}", series, slo.name);
}

base::StatusOr<std::vector<std::string>> SelectorsOf(const Slo& slo) {
  const Indicator& i = slo.indicator;
  std::vector<std::string> out;
  for (const std::string* query : {&i.total, &i.good, &i.bad, &i.query, &i.raw}) {
    if (query->empty()) continue;
    SLUICE_ASSIGN_OR_RETURN(const std::string filled, FillIn(*query, {{"window", "5m"}}));
    SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> found, RawSelectors(filled));
    for (const std::string& selector : found) {
      if (std::find(out.begin(), out.end(), selector) == out.end()) out.push_back(selector);
    }
  }
  return out;
}

}  // namespace sluice::gates
