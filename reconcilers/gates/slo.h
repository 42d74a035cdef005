// An objective as the gates see it: its budget arithmetic, its burn-rate windows and its PromQL.
//
// Budgeting methods are OpenSLO v1's. Occurrences weighs every event alike. Timeslices calls a
// slice good when its ratio reaches a target. RatioTimeslices is the mean of the slices' ratios.
// Slices without traffic say nothing and are left out; slices stand at multiples of their length
// and only whole ones inside the window count.
//
// A raw ratio does not tell how many events it is of, and a threshold has none: the one is a mean
// over time, the other good or bad as a whole.
//
// The budget is over the last `window`, or over the calendar's period that runs now. There
// Occurrences has the budget of the events so far, since nobody knows how many will come; slices
// have that of the whole period.
//
// Burn rates and window pairs: Google's SRE Workbook, chapter 5 ("Alerting on SLOs"), for 30 days;
// other windows are scaled. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/calendar.h"
#include "reconcilers/gates/decimal.h"
#include "reconcilers/gates/governance.h"

namespace sluice::gates {

enum class BudgetingMethod : std::uint8_t { kOccurrences, kTimeslices, kRatioTimeslices };
enum class Comparison : std::uint8_t { kLt, kLte, kGt, kGte };
enum class Severity : std::uint8_t { kPage, kTicket };

std::string_view MethodName(BudgetingMethod method);
std::optional<BudgetingMethod> MethodFromName(std::string_view name);
std::optional<Comparison> ComparisonFromName(std::string_view name);  // lt, lte, gt, gte
std::string_view ComparisonName(Comparison op);
std::string_view ComparisonSymbol(Comparison op);  // "<", "<=", ">", ">="
bool Holds(Decimal value, Comparison op, Decimal limit);

struct WindowPair {
  Severity severity = Severity::kPage;
  base::Duration long_window{0};
  base::Duration short_window{0};
  Decimal factor;
  friend bool operator==(const WindowPair&, const WindowPair&) = default;
};

// Exactly one of ratio (total, and good or bad), threshold (query, op, value) and raw ratio is set.
// Queries have their subject's variables filled in; `$window` is left.
struct Indicator {
  std::string good;
  std::string bad;
  std::string total;
  std::string query;
  Comparison op = Comparison::kLte;
  Decimal value;
  std::string raw;              // a ratio as it stands,
  bool raw_is_failure = false;  // of bad events instead of good ones
  bool CountsEvents() const { return !total.empty(); }
};

struct Slo {
  std::string name;          // the object's
  std::string subject_kind;  // "Site"
  std::string subject;       // "phoenix"
  Indicator indicator;
  BudgetingMethod method = BudgetingMethod::kOccurrences;
  base::Duration slice{0};   // time slice; zero for Occurrences
  Decimal slice_target;      // Timeslices over a ratio only
  base::Duration window{0};  // a calendar's: its nominal length
  std::optional<Calendar> calendar;
  Decimal target;
  std::int64_t min_events = 0;
  // The budget's policy. Below these shares of the budget changes hold; zero: no such line. The
  // exceptions are the classes of change that go on while any budget is left.
  Decimal caution_below;
  Decimal freeze_below;
  std::vector<ChangeClass> exceptions = {ChangeClass::kP0, ChangeClass::kSecurity};
  std::vector<WindowPair> alert_windows;  // its own; empty: the defaults, scaled
  base::Duration scrape_interval{0};
};

// What makes an objective impossible to measure (a target of 1, a slice longer than the window, a
// query whose selectors cannot be read …): InvalidArgument naming the field. OK otherwise.
base::Status Validate(const Slo& slo);

// 14.4 over 1h/5m and 6 over 6h/30m page, 3 over 1d/2h and 1 over 3d/6h make a ticket, scaled by
// slo_window / 30d, rounded to whole scrape intervals and never shorter than four of them. Pairs
// that become equal are kept once per severity. A factor that even a total outage could not reach
// (1 / (1 - target)) becomes half of that.
std::vector<WindowPair> ScaledWindows(base::Duration slo_window, base::Duration scrape_interval,
                                      Decimal target);
// The objective's own pairs, or the scaled ones.
std::vector<WindowPair> WindowsOf(const Slo& slo);

// Shares of one. `error_ratio` outside [0, 1] (extrapolation) is taken as the nearer end.
Decimal BurnRate(Decimal error_ratio, Decimal target);
// 1 untouched, 0 used up, negative overspent.
Decimal BudgetRemaining(Decimal error_ratio, Decimal target);

// What the policy makes of a budget. Caution holds what is not excepted and can be waived; Freeze
// holds the same and cannot; Exhausted holds everything.
enum class BudgetState : std::uint8_t { kNormal, kCaution, kFreeze, kExhausted };
std::string_view BudgetStateName(BudgetState state);
BudgetState StateOf(Decimal budget_remaining, Decimal caution_below, Decimal freeze_below);

// Whether the window is computed from recorded series (kDirectWindowLimit).
bool NeedsRecording(base::Duration window);

// PromQL over `window`: the share of bad events (or slices), and how many events (or slices) it
// rests on. Windows beyond the limit read the series that the generated rules record.
struct WindowQueries {
  std::string error_ratio;
  std::string events;
};
WindowQueries QueriesFor(const Slo& slo, base::Duration window);
// The same from raw series whatever the window; what the recording rules of short windows contain.
WindowQueries DirectQueries(const Slo& slo, base::Duration window);

// The budget's window at `now`.
struct BudgetWindow {
  base::Duration length{0};
  std::optional<base::WallTime> start;  // of the calendar's period
  // The share of the budget's bad events (or slices), and how many it has had.
  WindowQueries queries;
};
BudgetWindow BudgetAt(const Slo& slo, base::WallTime now);

// Everything the indicator reads, once each, `$window` filled in.
base::StatusOr<std::vector<std::string>> SelectorsOf(const Slo& slo);

}  // namespace sluice::gates
