// Who may command agents, and which configuration of a site is the published one.
//
// One record, in one object of its own (a ConfigMap; never the Lease, which anybody may delete),
// holds the lineage, the fencing epoch, a revision counter and per site the order and digest of
// what is published. Every change of it is a compare-and-swap on the whole object, so:
//
//  1. Epoch and revision never fall within a lineage.
//  2. After a new leader has raised the epoch, no earlier leader can publish: its swap fails, and
//  the
//     record it then reads tells it that it was fenced off.
//  3. What a site's agents are sent is only what the record names (publisher.h), whoever sends it.
//
// A restore from backup would bring back a lower record: the restoring command calls StartLineage,
// and the new lineage names the old ones it supersedes, so agents of those may follow.
//
// The functions are pure. Thread rule: values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/status.h"

namespace sluice::agents {

struct PublishedSite {
  std::int64_t epoch = 0;
  std::int64_t revision = 0;
  std::string digest;
  friend bool operator==(const PublishedSite&, const PublishedSite&) = default;
};

struct EpochRecord {
  std::string lineage;
  std::vector<std::string> supersedes;  // newest last, at most kMaxSuperseded
  std::int64_t epoch = 0;
  std::int64_t revision = 0;  // of the last change by Publish, Retire or StartLineage
  std::string holder;         // who raised the epoch; for people
  // When, by whom and why the lineage was started, by the recorded command; empty: with the
  // cluster.
  std::string lineage_started;
  std::map<std::string, PublishedSite> sites;
  friend bool operator==(const EpochRecord&, const EpochRecord&) = default;
};

// The record with which `holder` takes the lead. Without one, the lineage is `cluster_uid`.
EpochRecord TakeOver(const std::optional<EpochRecord>& current, const std::string& cluster_uid,
                     const std::string& holder);

// The record that publishes `digest` for `site`; equal to `current` when it is published already.
// Errors: Aborted with reason "Fenced" (somebody raised the epoch above `epoch`: stop leading);
// ResourceExhausted.
base::StatusOr<EpochRecord> Publish(const EpochRecord& current, std::int64_t epoch,
                                    const std::string& site, const std::string& digest);

// The record without `site`; equal to `current` when it is not there. Errors: as Publish.
base::StatusOr<EpochRecord> Retire(const EpochRecord& current, std::int64_t epoch,
                                   const std::string& site);

// What the recorded restore command writes. Errors: InvalidArgument when `lineage` was used before.
base::StatusOr<EpochRecord> StartLineage(const EpochRecord& current, const std::string& lineage,
                                         const std::string& holder);

// What a leader leads.
struct Lead {
  std::string lineage;
  std::int64_t epoch = 0;
  friend bool operator==(const Lead&, const Lead&) = default;
};
// Whether `seen` shows that somebody took over since. Our own records do not, nor those of before,
// whenever a watch shows them: also between a write and its answer.
bool Deposes(const EpochRecord& seen, const Lead& lead);

// Whether `b` may replace `a` in a replica's memory: a watch may deliver late, never backwards.
bool Follows(const EpochRecord& a, const EpochRecord& b);

// The object's data: lineage, supersedes, epoch, revision, holder, lineage-started if there is any,
// and "site.NAME" -> "EPOCH/REVISION/DIGEST". Errors of Decode: DataLoss naming the key.
std::map<std::string, std::string> Encode(const EpochRecord& record);
base::StatusOr<EpochRecord> Decode(const std::map<std::string, std::string>& data);

// The object. Implemented over the API client; any thread.
class EpochStore {
 public:
  struct Versioned {
    EpochRecord record;
    std::string resource_version;
  };
  virtual ~EpochStore() = default;
  // From the API server, never from a cache. nullopt: there is none.
  virtual base::StatusOr<std::optional<Versioned>> Read() = 0;
  // Creates when `expected_resource_version` is empty, else replaces with that precondition.
  // Errors: Aborted or AlreadyExists (someone else was first: read again); others as the client's.
  virtual base::StatusOr<Versioned> Write(const EpochRecord& record,
                                          const std::string& expected_resource_version) = 0;
};

}  // namespace sluice::agents
