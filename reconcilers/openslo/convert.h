// The mapping between OpenSLO v1 and our ServiceLevelObjective.
//
// An SLO becomes one object an objective (NAME, or NAME-1, NAME-2 … of several). Its subject is the
// annotation `sluice.dev/subject: Site/phoenix`, or the option's. `sluice.dev/min-events`,
// `sluice.dev/caution-below`, `sluice.dev/freeze-below`, `sluice.dev/budget-exceptions` (P0,
// Security or both with a comma, or None) and `sluice.dev/alert-labels` are ours too. A query
// counts over
// `$window` (`{{.window}}` is taken for it); a counter's plain selector becomes
// sum(rate(selector[$window])). An alert condition's lookbackWindow is the long window, its
// alertAfter the short one.
//
// Pure; any thread. Source of the rules: the OpenSLO specification, v1.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace sluice::openslo {

struct Document {
  std::string name;  // for people: "file.yaml, document 2"
  std::string json;  // as ReadYaml gives it, dumped
};

// What is wrong: in which document, at which field, and the rule.
struct Problem {
  std::string document;
  std::string field;
  std::string rule;
};

struct Imported {
  std::vector<std::string> objects;  // ServiceLevelObjectives, as JSON
  std::vector<Problem> problems;     // nothing is imported when there are any
  // What was left out on purpose. A DataSource travels in an object that many may read, so of its
  // connectionDetails only what is known to be no secret goes along (check.h, WithoutSecrets).
  std::vector<Problem> warnings;
};

struct ImportOptions {
  std::string subject;  // "Site/phoenix" for SLOs that name none
};

Imported Import(const std::vector<Document>& documents, const ImportOptions& options);

struct Exported {
  std::vector<std::string> documents;  // OpenSLO v1, as JSON; what they refer to comes first
  std::vector<Problem> problems;
};

// `objects` as JSON, in any order.
Exported Export(const std::vector<std::string>& objects);

}  // namespace sluice::openslo
