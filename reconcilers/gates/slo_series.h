// Names and contents of the series that the generated rules record, shared by the rules and by the
// queries that read them back. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/clock.h"
#include "reconcilers/gates/slo.h"

namespace sluice::gates {

// Per-second rates of events over BaseWindow, and the error of one time slice; label slo=NAME.
inline constexpr std::string_view kBadEventsSeries = "slo:sluice_bad_events:rate";
inline constexpr std::string_view kTotalEventsSeries = "slo:sluice_total_events:rate";
inline constexpr std::string_view kSliceErrorSeries = "slo:sluice_slice_error:ratio";
// The share of bad events (or slices) per window; labels slo=NAME, window="1h", or "period" for the
// calendar's.
inline constexpr std::string_view kErrorRatioSeries = "slo:sluice_error_ratio:window";
// The share of the budget that is left; label slo=NAME.
inline constexpr std::string_view kBudgetSeries = "slo:sluice_error_budget_remaining:ratio";
inline constexpr std::string_view kObjectiveSeries = "slo:sluice_objective:ratio";

// `series{slo="NAME"}`.
std::string RecordedSeries(std::string_view series, const Slo& slo);

// The error of the time slice that ends now: 0 or 1 (Timeslices), or a ratio (RatioTimeslices).
// Empty for a slice without traffic.
std::string SliceErrorQuery(const Slo& slo);

// The shortest window that rates are recorded over: four scrapes, at least a minute.
base::Duration BaseWindow(base::Duration scrape_interval);
// Rates of bad (error_ratio) and of all events (events) over BaseWindow.
WindowQueries BaseEventQueries(const Slo& slo);

}  // namespace sluice::gates
