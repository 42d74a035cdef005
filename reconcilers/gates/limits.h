// Every bound of reconcilers/gates in one place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "controller/base/clock.h"

namespace sluice::gates {

// A Prometheus answer longer than this is refused (ProviderError), before it is parsed.
inline constexpr std::size_t kMaxAnswerBytes = 4u << 20;
// Series and points kept from one answer; a gate's query means one series, a range a few hundred
// points.
inline constexpr std::size_t kMaxAnswerSeries = 1000;
inline constexpr std::size_t kMaxAnswerPoints = 12'000;
inline constexpr std::size_t kMaxWarnings = 8;

// A query, and the raw selectors looked for in it.
inline constexpr std::size_t kMaxQueryBytes = 8192;
inline constexpr std::size_t kMaxSelectors = 16;

// Gates of one stage; messages and queries as they are kept in a status (objects stay < 10 kB).
inline constexpr std::size_t kMaxGates = 32;
inline constexpr std::size_t kMaxMessageBytes = 256;
inline constexpr std::size_t kMaxRecordedQueryBytes = 512;

// What people said about one gate: more than this is not one question any more.
inline constexpr std::size_t kMaxDecisions = 32;
inline constexpr std::size_t kMaxVotes = 128;
inline constexpr std::size_t kMaxIncidents = 64;
inline constexpr std::size_t kMaxFreezes = 64;
inline constexpr std::size_t kMaxExemptions = 64;
// A verification may be this far in the future: people's clocks.
inline constexpr base::Duration kClockSkew = std::chrono::minutes(5);
// No exemption lasts longer.
inline constexpr base::Duration kLongestExemption = std::chrono::hours(24 * 90);
// The longest single freeze; how far a schedule is looked ahead (nine years hold a leap day even
// around 2100), and how many windows in a row are followed while they overlap.
inline constexpr base::Duration kLongestFreeze = std::chrono::hours(24 * 366);
inline constexpr std::chrono::hours kScheduleHorizon{24 * 366 * 9};
inline constexpr std::size_t kMaxWindows = 512;
// The longest period of a calendar window.
inline constexpr base::Duration kLongestPeriod = std::chrono::hours(24 * 366 * 5);
// Another system's answer; the file of authorities its certificate may come from.
inline constexpr std::size_t kMaxExternalAnswerBytes = 4096;
inline constexpr std::size_t kMaxExternalCaBytes = 1u << 20;

// One query may take this long; all queries of one promotion's look, this long together.
inline constexpr base::Duration kQueryTimeout = std::chrono::seconds(5);
inline constexpr base::Duration kGatherTimeout = std::chrono::seconds(20);

// How often a held gate is looked at again when nothing else says so, and the waits after a
// provider's error (doubling from the first to the last).
inline constexpr base::Duration kLookInterval = std::chrono::seconds(15);
inline constexpr base::Duration kProviderBackoffFirst = std::chrono::seconds(1);
inline constexpr base::Duration kProviderBackoffLast = std::chrono::seconds(60);

// Evidence gathered longer ago than this decides nothing (and never less than three scrapes).
inline constexpr base::Duration kEvidenceMaxAge = std::chrono::seconds(60);
// Samples older than this many scrape intervals are stale.
inline constexpr int kStaleScrapes = 3;
// No burn-rate window is shorter than this many scrape intervals.
inline constexpr int kMinWindowScrapes = 4;

// Windows longer than this are computed from recorded series, not from raw ones: raw samples of
// 5,000 nodes over days exceed Prometheus's own limit on samples a query.
inline constexpr base::Duration kDirectWindowLimit = std::chrono::hours(1);
// Steps of the range query that asks whether a query ever returned data.
inline constexpr int kLearningSteps = 300;
inline constexpr base::Duration kLearningWindow = std::chrono::hours(1);
inline constexpr base::Duration kValidFor = std::chrono::minutes(5);
inline constexpr base::Duration kScrapeInterval = std::chrono::seconds(30);

// Kept providers, one a site.
inline constexpr std::size_t kMaxProviders = 256;

}  // namespace sluice::gates
