// Evidence: everything a verdict rests on, gathered before the evaluator is asked. It is plain data
// with one canonical text, whose SHA-256 identifies it: the same evidence gives the same verdict.
// Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/decimal.h"
#include "reconcilers/gates/governance.h"
#include "reconcilers/gates/slo.h"

namespace sluice::gates {

// One query's answer. `error` set means nothing else counts.
struct Reading {
  std::string query;       // with everything filled in
  std::string value;       // the first series' value as it was sent ("0.5", "NaN"); empty when none
  int series = 0;          // how many series it gave
  std::string error;       // the provider's error or warning, in its words
  bool bad_query = false;  // the provider says that the query itself is wrong
  friend bool operator==(const Reading&, const Reading&) = default;
};

// The value over one window, and how many samples or events it rests on (asked only when a minimum
// was set).
struct WindowEvidence {
  base::Duration window{0};  // zero: a query without a window
  Reading value;             // for slo and burnRate: the share of bad events
  std::optional<Reading> samples;
  std::optional<base::WallTime> start = {};  // of the calendar's period; left out: it rolls
  friend bool operator==(const WindowEvidence&, const WindowEvidence&) = default;
};

// The objective as it was when it was asked about.
struct SloFacts {
  std::string name;
  Decimal target;
  std::int64_t min_events = 0;
  // Its policy (slo.h); zero: no such line.
  Decimal caution_below;
  Decimal freeze_below;
  std::vector<ChangeClass> exceptions = {ChangeClass::kP0, ChangeClass::kSecurity};
  friend bool operator==(const SloFacts&, const SloFacts&) = default;
};

SloFacts FactsOf(const Slo& slo);  // as it stands

struct SoakFacts {
  std::string stage;                         // the stage that is soaked in
  std::optional<base::WallTime> entered_at;  // unknown while the stage was not entered
  friend bool operator==(const SoakFacts&, const SoakFacts&) = default;
};

struct Evidence {
  std::string gate;
  base::WallTime observed_at;  // the time the queries were asked about
  base::Duration scrape_interval{0};
  std::vector<WindowEvidence> windows;  // the long one first
  // burnRate: the share of bad events over the objective's whole window, for its budget's policy.
  std::optional<WindowEvidence> budget;
  std::vector<Reading> freshness;  // newest raw sample (Unix seconds) per selector
  // Whether the query returned data within its learning window; asked only when it gave none.
  std::optional<bool> ever_returned;
  std::string misconfigured;  // why gathering could not begin; then nothing else counts
  std::optional<SloFacts> slo;
  std::optional<SoakFacts> soak;
  // What people and other systems said; of a gate's kind one is set (gpuIdle has windows too).
  std::optional<ReadinessFacts> readiness;
  std::optional<Ballot> ballot;
  std::optional<IncidentList> incidents;
  std::optional<CapacityFacts> capacity;
  std::optional<ExternalFacts> external;
  friend bool operator==(const Evidence&, const Evidence&) = default;
};

// The time of the data behind it, in whole seconds as a status keeps it: the oldest of the
// selectors' newest samples, or `observed_at` for evidence that is not a query; nullopt when
// nothing answered.
std::optional<base::WallTime> DataTime(const Evidence& evidence);

// At most `bytes` bytes of `text`, cut between characters (UTF-8).
std::string Bounded(std::string text, std::size_t bytes);

// Canonical JSON (sorted keys, no spaces), and its hash in hex.
std::string CanonicalText(const Evidence& evidence);
std::string EvidenceHash(const Evidence& evidence);

}  // namespace sluice::gates
