// Gathers what the evaluator needs: turns gates into queries, asks a provider, and writes down what
// it said. It decides nothing.
//
// Per gate: the value over each window, how many samples it rests on where a minimum is set, the
// newest raw sample of every selector it reads (freshness), and, when a query gave nothing, whether
// it gave anything within its learning window. A query that several gates share is asked once.
// After the provider could not be reached, or the time is up, the rest is not asked: it gets the
// same error.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/external_check.h"
#include "reconcilers/gates/gate.h"
#include "reconcilers/gates/prometheus_client.h"

namespace sluice::gates {

struct GatherInput {
  std::vector<Gate> gates;
  std::string site;  // what $site stands for
  base::Duration scrape_interval = kScrapeInterval;
  // Per template that the gates name; an error says why there is none (its message is shown).
  std::map<std::string, base::StatusOr<Slo>> slos;
  std::optional<SoakFacts> soak;
  // What people said, as the gates' objects have it; of each only what a gate asks for is used.
  std::string stage;  // what $stage stands for
  ReadinessFacts readiness;
  Ballot ballot;
  IncidentList incidents;
  CapacityFacts capacity;
  ExternalAsker* external = nullptr;  // not owned; null: no address is allowed
  // Why there is no provider, when none is given: Misconfigured when it is the user's omission,
  // else what keeps us from asking (ProviderError).
  std::string misconfigured;
  std::string provider_error;
};

// Blocks at most kGatherTimeout of `clock`. `provider` may be null when the input says why.
// One evidence per gate, in their order; `observed_at` is the clock's time, in milliseconds.
std::vector<Evidence> Gather(const GatherInput& input, Provider* provider, base::Clock& clock,
                             std::stop_token stop);

// Asks one query at a time within a common time limit, each query once. Any single thread.
class Asker {
 public:
  Asker(Provider& provider, base::Clock& clock, base::WallTime at, std::stop_token stop);
  Reading Now(const std::string& query);
  // Whether the query gave any series between `at - window` and `at`; nullopt when unanswered.
  std::optional<bool> EverWithin(const std::string& query, base::Duration window);

 private:
  // Why nothing more is asked, or the time for the next query.
  base::StatusOr<Ask> Next() const;
  void Note(const base::Status& error);

  Provider& provider_;
  base::Clock& clock_;
  const base::WallTime at_;
  const base::MonoTime limit_;
  const std::stop_token stop_;
  base::Status broken_;
  std::map<std::string, Reading> answers_;
};

}  // namespace sluice::gates
