#include "controller/cmd/kubectl_sluice/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "controller/base/time_format.h"

namespace sluice::kubectl {
namespace {

using base::InvalidArgument;
using base::Status;

constexpr const char* kCommands =
    "why, can-advance, status, agenda, propose, vote, slo, audit, version, completion";

std::optional<Command> CommandOf(const std::string& word) {
  if (word == "why") return Command::kWhy;
  if (word == "can-advance") return Command::kCanAdvance;
  if (word == "status") return Command::kStatus;
  if (word == "agenda") return Command::kAgenda;
  if (word == "propose") return Command::kPropose;
  if (word == "vote") return Command::kVote;
  if (word == "slo") return Command::kSloImport;      // or export: TakeSlo
  if (word == "audit") return Command::kAuditVerify;  // or replay: TakeAudit
  if (word == "version") return Command::kVersion;
  if (word == "completion") return Command::kCompletion;
  if (word == "help") return Command::kHelp;
  return std::nullopt;
}

Status SetFlag(const std::string& name, const std::string& value, Options& options) {
  if (name == "--kubeconfig") {
    options.kubeconfig = value;
  } else if (name == "--context") {
    options.context = value;
  } else if (name == "-n" || name == "--namespace") {
    options.namespace_name = value;
  } else if (name == "--subject") {
    options.subject = value;
  } else if (name == "--checkpoint") {
    options.checkpoint = value;
  } else if (name == "--ca") {
    options.authority = value;
  } else if (name == "-o" || name == "--output") {
    static const std::map<std::string, Output> kOutputs = {{"text", Output::kText},
                                                           {"wide", Output::kWide},
                                                           {"json", Output::kJson},
                                                           {"yaml", Output::kYaml}};
    const auto found = kOutputs.find(value);
    if (found == kOutputs.end()) {
      return InvalidArgument(
          fmt::format("{}: \"{}\" is none of text, wide, json, yaml", name, value));
    }
    options.output = found->second;
    if (found->second == Output::kWide) options.evidence = true;
  } else if (name == "--role") {
    constexpr const char* kRoles[] = {"Recommend", "Agree", "Perform", "Input", "Decide"};
    if (std::find(std::begin(kRoles), std::end(kRoles), value) == std::end(kRoles)) {
      return InvalidArgument(
          fmt::format("--role: \"{}\" is none of Recommend, Agree, Perform, Input, Decide", value));
    }
    options.role = value;
  } else if (name == "--group") {
    options.groups.push_back(value);
  } else if (name == "--comment") {
    options.comment = value;
  } else if (name == "--calendar") {
    options.calendar = value;
  } else if (name == "--within") {
    const auto within = base::ParseDuration(value);
    if (!within.ok() || *within < std::chrono::hours(1) || *within > std::chrono::hours(24 * 366)) {
      return InvalidArgument(
          fmt::format("--within: \"{}\" is not a duration from 1h to 366d, as 14d", value));
    }
    options.within = std::chrono::duration_cast<std::chrono::hours>(*within);
  } else {  // --request-timeout
    const auto timeout = base::ParseDuration(value);
    if (!timeout.ok() || *timeout < std::chrono::seconds(1)) {
      return InvalidArgument(
          fmt::format("--request-timeout: \"{}\" is not a duration of 1s or more, as 15s", value));
    }
    options.request_timeout = std::chrono::duration_cast<std::chrono::seconds>(*timeout);
  }
  return base::OkStatus();
}

bool TakesValue(const std::string& name) {
  return name == "--kubeconfig" || name == "--context" || name == "-o" || name == "--output" ||
         name == "--request-timeout" || name == "-n" || name == "--namespace" ||
         name == "--checkpoint" || name == "--ca" || name == "--subject" || name == "--role" ||
         name == "--group" || name == "--comment" || name == "--within" || name == "--calendar";
}

// "verify FILE…", "replay FILE…"
Status TakeAudit(const std::vector<std::string>& words, Options& options) {
  const bool known = !words.empty() && (words[0] == "verify" || words[0] == "replay");
  if (!known || words.size() < 2) {
    return InvalidArgument(
        "audit takes verify or replay, and files: kubectl sluice audit verify FILE…");
  }
  if (words[0] == "replay") options.command = Command::kAuditReplay;
  options.files.assign(words.begin() + 1, words.end());
  return base::OkStatus();
}

struct Named {
  std::string kind;
  std::string name;
};

// "KIND/NAME", or "KIND" "NAME"; anything else is answered with `usage`.
base::StatusOr<Named> ReadNamed(const std::vector<std::string>& words, const std::string& usage) {
  if (words.empty() || words.size() > 2) return InvalidArgument(usage);
  Named out{words[0], words.size() == 2 ? words[1] : ""};
  const auto slash = out.kind.find('/');
  if ((slash == std::string::npos) != (words.size() == 2)) return InvalidArgument(usage);
  if (slash != std::string::npos) {
    out.name = out.kind.substr(slash + 1);
    out.kind.resize(slash);
  }
  return out;
}

bool IsObjectName(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
}

// A site or a rollout; `why` takes a tenant and a promotion, too.
Status TakeSubject(const std::vector<std::string>& words, Options& options) {
  const bool why = options.command == Command::kWhy;
  const std::string usage =
      why ? "why takes one object: kubectl sluice why site/NAME, tenant/NAME, promotion/NAME or "
            "rollout/NAME"
          : "can-advance takes one site or rollout: kubectl sluice can-advance site/NAME or "
            "rollout/NAME";
  SLUICE_ASSIGN_OR_RETURN(Named named, ReadNamed(words, usage));
  std::string& kind = named.kind;
  kind = kind.substr(0, kind.find('.'));
  if (!kind.empty() && kind.back() == 's') kind.pop_back();
  std::string* target = kind == "site"                                    ? &options.site
                        : why && kind == "tenant"                         ? &options.tenant
                        : why && (kind == "promotion" || kind == "promo") ? &options.promotion
                        : kind == "rollout" || kind == "ro"               ? &options.rollout
                                                                          : nullptr;
  if (target == nullptr) {
    return InvalidArgument(fmt::format("\"{}\" is not a kind it explains: {}", kind, usage));
  }
  if (!IsObjectName(named.name)) {
    return InvalidArgument(fmt::format("\"{}\" is not an object's name", named.name));
  }
  *target = std::move(named.name);
  return base::OkStatus();
}

// "import FILE…", "export [NAME…]"
Status TakeSlo(const std::vector<std::string>& words, Options& options) {
  const bool import = !words.empty() && words[0] == "import";
  if (words.empty() || (!import && words[0] != "export") || (import && words.size() < 2)) {
    return InvalidArgument(
        "slo takes import FILE… or export [NAME…]: kubectl sluice slo import slo.yaml");
  }
  if (!import) options.command = Command::kSloExport;
  options.files.assign(words.begin() + 1, words.end());
  return base::OkStatus();
}

// One object of `kind`: `name` is set.
Status TakeObject(const std::string& command, const std::string& kind,
                  const std::vector<std::string>& words, std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(
      Named named, ReadNamed(words, fmt::format("{0} takes one {1}: kubectl sluice {0} {1}/NAME",
                                                command, kind)));
  if (named.kind != kind && named.kind != kind + "s" && named.kind != kind + "s.sluice.dev") {
    return InvalidArgument(
        fmt::format("{}: \"{}\" is not a kind it takes; use {}", command, named.kind, kind));
  }
  if (!IsObjectName(named.name)) {
    return InvalidArgument(fmt::format("{}: \"{}\" is not an object's name", command, named.name));
  }
  name = std::move(named.name);
  return base::OkStatus();
}

Status TakeWords(const std::vector<std::string>& words, Options& options) {
  switch (options.command) {
    case Command::kWhy:
    case Command::kCanAdvance:
      return TakeSubject(words, options);
    case Command::kPropose:
      if (!words.empty() && words[0].rfind("rollout", 0) == 0) {
        return TakeObject("propose", "rollout", words, options.rollout);
      }
      return TakeObject("propose", "site", words, options.site);
    case Command::kVote:
      return TakeObject("vote", "decision", words, options.decision);
    case Command::kSloImport:
    case Command::kSloExport:
      return TakeSlo(words, options);
    case Command::kAuditVerify:
    case Command::kAuditReplay:
      return TakeAudit(words, options);
    case Command::kCompletion:
      if (words.size() != 1 || (words[0] != "bash" && words[0] != "zsh" && words[0] != "fish")) {
        return InvalidArgument("completion takes one shell: bash, zsh or fish");
      }
      options.shell = words[0];
      return base::OkStatus();
    case Command::kHelp:
      if (!words.empty()) options.topic = words[0];
      return base::OkStatus();
    case Command::kStatus:
    case Command::kAgenda:
    case Command::kVersion:
      if (!words.empty()) {
        return InvalidArgument(fmt::format("\"{}\": the command takes no argument", words[0]));
      }
      return base::OkStatus();
  }
  return base::OkStatus();
}

}  // namespace

base::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  std::vector<std::string> words;
  std::string command;
  bool help = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    if (name.empty() || name[0] != '-') {
      (command.empty() ? command : words.emplace_back()) = name;
      continue;
    }
    if (name == "-h" || name == "--help") {
      help = true;
      continue;
    }
    if (name == "--agree" || name == "--disagree") {
      options.disagree = name == "--disagree";
      continue;
    }
    if (name == "--evidence") {
      options.evidence = true;
      continue;
    }
    if (name == "--dry-run") continue;  // nothing it does is anything else
    if (name == "--partial") {
      options.partial = true;
      continue;
    }
    if (name == "--print-calendar") {
      options.print_calendar = true;
      continue;
    }
    std::string value;
    const auto equals = name.find('=');
    const bool inline_value = equals != std::string::npos;
    if (inline_value) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (!TakesValue(name)) {
      return InvalidArgument(
          fmt::format("{}: unknown flag; `kubectl sluice --help` lists them", name));
    }
    if (!inline_value) {
      if (i + 1 == arguments.size()) return InvalidArgument(fmt::format("{}: needs a value", name));
      value = arguments[++i];
    }
    SLUICE_RETURN_IF_ERROR(SetFlag(name, value, options));
  }
  const auto found = CommandOf(command);
  if (!command.empty() && !found.has_value()) {
    return InvalidArgument(
        fmt::format("\"{}\": unknown command; there are {}", command, kCommands));
  }
  options.command = found.value_or(Command::kHelp);
  if (help) {
    options.topic = options.command == Command::kHelp ? "" : command;
    options.command = Command::kHelp;
    return options;
  }
  SLUICE_RETURN_IF_ERROR(TakeWords(words, options));
  return options;
}

}  // namespace sluice::kubectl
