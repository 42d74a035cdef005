// The plugin's command line. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/base/status.h"

namespace sluice::kubectl {

enum class Command {
  kHelp,
  kWhy,
  kCanAdvance,
  kStatus,
  kAgenda,
  kPropose,
  kVote,
  kSloImport,
  kSloExport,
  kAuditVerify,
  kAuditReplay,
  kVersion,
  kCompletion
};
enum class Output { kText, kWide, kJson, kYaml };

struct Options {
  Command command = Command::kHelp;
  std::string topic;  // of help: "" or a command
  std::string site;   // of why, can-advance and propose
  // Of why: the object that was named instead of a site; empty: none.
  std::string tenant;
  std::string promotion;
  std::string rollout;          // of propose, too
  std::string decision;         // of vote
  std::string role = "Decide";  // of vote
  bool agree = false;           // of vote, as is the next: neither means to agree
  bool disagree = false;
  std::vector<std::string> groups;  // of vote: those the voter speaks for
  std::string comment;              // of vote
  // agenda: what ends until then (default: as the calendar says); propose: open that long (14d)
  std::optional<std::chrono::hours> within;
  std::string calendar;         // agenda: a file; empty: the default calendar
  bool print_calendar = false;  // agenda: the default calendar instead
  std::string shell;            // of completion: one of Shells()
  std::string subject;          // of slo import: Site/NAME for documents that name none
  // Of audit and slo: files (or names of objectives). Of audit: a checkpoint's ConfigMap as JSON,
  // the authority's certificate, and whether the files are a part of the log on purpose.
  std::vector<std::string> files;
  std::string checkpoint;
  std::string authority;
  bool partial = false;
  std::string namespace_name = "sluice-system";  // the controller's
  std::optional<Output> output;                  // as asked for; see OutputOf()
  bool evidence = false;                         // why: what each verdict rests on
  std::string kubeconfig;
  std::string context;
  // The API server is asked to take us for this user, for these groups' member, and to know this
  // more of the user, which has a key each.
  std::string as;
  std::vector<std::string> as_groups;
  std::string as_uid;
  std::vector<std::pair<std::string, std::string>> as_user_extra;
  std::chrono::seconds request_timeout{15};
};

// `arguments` without the program's name. Errors: InvalidArgument, one line that names the word,
// the rule and the cure.
base::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments);
// What is printed: as asked for, or the command's own form.
Output OutputOf(const Options& options);

// Text of `--help` for a topic that ParseOptions accepted ("" is the whole).
std::string HelpText(const std::string& topic);

}  // namespace sluice::kubectl
