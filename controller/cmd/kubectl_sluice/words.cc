#include "controller/cmd/kubectl_sluice/words.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/base/check.h"
#include "controller/base/time_format.h"
#include "controller/client/impersonation.h"

namespace sluice::kubectl {
namespace {

using base::InvalidArgument;
using base::OkStatus;
using base::Status;

const std::vector<Output> kAllOutputs = {Output::kText, Output::kWide, Output::kJson,
                                         Output::kYaml};
const std::vector<Output> kManifest = {Output::kJson, Output::kYaml};

template <std::string Options::*kField>
Status SetText(const std::string& value, Options& options) {
  options.*kField = value;
  return OkStatus();
}

template <bool Options::*kField>
Status SetSwitch(const std::string&, Options& options) {
  options.*kField = true;
  return OkStatus();
}

Status SetNothing(const std::string&, Options&) { return OkStatus(); }

Status SetOutput(const std::string& value, Options& options) {
  for (const Output output : kAllOutputs) {
    if (value == OutputName(output)) {
      options.output = output;
      return OkStatus();
    }
  }
  return InvalidArgument(fmt::format("\"{}\" is none of text, wide, json, yaml", value));
}

Status SetRole(const std::string& value, Options& options) {
  options.role = value;
  const auto& roles = FlagNamed("--role")->values;
  if (std::find(roles.begin(), roles.end(), value) != roles.end()) return OkStatus();
  return InvalidArgument(
      fmt::format("\"{}\" is none of Recommend, Agree, Perform, Input, Decide", value));
}

Status AddGroup(const std::string& value, Options& options) {
  options.groups.push_back(value);
  return OkStatus();
}

Status CheckIdentity(const std::string& value) {
  if (client::IsHeaderSafe(value)) return OkStatus();
  return InvalidArgument("takes a name without control characters or blanks around it");
}

template <std::string Options::*kField>
Status SetIdentity(const std::string& value, Options& options) {
  options.*kField = value;
  return CheckIdentity(value);
}

Status AddAsGroup(const std::string& value, Options& options) {
  options.as_groups.push_back(value);
  return CheckIdentity(value);
}

Status AddAsUserExtra(const std::string& text, Options& options) {
  const auto equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) {
    return InvalidArgument(fmt::format("\"{}\" is not KEY=VALUE", text));
  }
  options.as_user_extra.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  return CheckIdentity(options.as_user_extra.back().second);
}

Status SetWithin(const std::string& value, Options& options) {
  const auto within = base::ParseDuration(value);
  if (!within.ok() || *within < std::chrono::hours(1) || *within > std::chrono::hours(24 * 366)) {
    return InvalidArgument(fmt::format("\"{}\" is not a duration from 1h to 366d, as 14d", value));
  }
  options.within = std::chrono::duration_cast<std::chrono::hours>(*within);
  return OkStatus();
}

Status SetTimeout(const std::string& value, Options& options) {
  const auto timeout = base::ParseDuration(value);
  if (!timeout.ok() || *timeout < std::chrono::seconds(1)) {
    return InvalidArgument(fmt::format("\"{}\" is not a duration of 1s or more, as 15s", value));
  }
  options.request_timeout = std::chrono::duration_cast<std::chrono::seconds>(*timeout);
  return OkStatus();
}

}  // namespace

const std::vector<CommandSpec>& Commands() {
  static const std::vector<CommandSpec> commands = {
      {Command::kWhy, "why", "", {"site", "tenant", "promotion", "rollout"}, kAllOutputs},
      {Command::kCanAdvance, "can-advance", "", {"site", "rollout"}, kAllOutputs},
      {Command::kStatus, "status", "", {}, kAllOutputs},
      {Command::kAgenda, "agenda", "", {}, kAllOutputs},
      {Command::kPropose, "propose", "", {"site", "rollout"}, kManifest},
      {Command::kVote, "vote", "", {"decision"}, kManifest},
      {Command::kSloImport, "slo", "import", {}, kManifest, true},
      {Command::kSloExport, "slo", "export", {}, {Output::kYaml}},
      {Command::kAuditVerify, "audit", "verify", {}, kAllOutputs, true},
      {Command::kAuditReplay, "audit", "replay", {}, kAllOutputs, true},
      {Command::kVersion, "version", "", {}, kAllOutputs},
      {Command::kCompletion, "completion", "", {}, {}},
      {Command::kHelp, "help", "", {}, {}}};
  return commands;
}

const std::vector<FlagSpec>& Flags() {
  using C = Command;
  static const std::vector<FlagSpec> flags = {
      {"--output", "-o", true, {}, &SetOutput, {"text", "wide", "json", "yaml"}},
      {"--kubeconfig", "", true, {}, &SetText<&Options::kubeconfig>},
      {"--context", "", true, {}, &SetText<&Options::context>},
      {"--as", "", true, {}, &SetIdentity<&Options::as>},
      {"--as-group", "", true, {}, &AddAsGroup},
      {"--as-uid", "", true, {}, &SetIdentity<&Options::as_uid>},
      {"--as-user-extra", "", true, {}, &AddAsUserExtra},
      {"--namespace", "-n", true, {}, &SetText<&Options::namespace_name>},
      {"--request-timeout", "", true, {}, &SetTimeout},
      {"--help", "-h", false, {}, &SetNothing},
      {"--evidence", "", false, {C::kWhy}, &SetSwitch<&Options::evidence>},
      {"--dry-run", "", false, {C::kCanAdvance}, &SetNothing},  // nothing it does is anything else
      {"--within", "", true, {C::kAgenda, C::kPropose}, &SetWithin},
      {"--calendar", "", true, {C::kAgenda}, &SetText<&Options::calendar>},
      {"--print-calendar", "", false, {C::kAgenda}, &SetSwitch<&Options::print_calendar>},
      {"--agree", "", false, {C::kVote}, &SetSwitch<&Options::agree>},
      {"--disagree", "", false, {C::kVote}, &SetSwitch<&Options::disagree>},
      {"--role",
       "",
       true,
       {C::kVote},
       &SetRole,
       {"Recommend", "Agree", "Perform", "Input", "Decide"}},
      {"--group", "", true, {C::kVote}, &AddGroup},
      {"--comment", "", true, {C::kVote}, &SetText<&Options::comment>},
      {"--subject", "", true, {C::kSloImport}, &SetText<&Options::subject>},
      {"--checkpoint", "", true, {C::kAuditVerify}, &SetText<&Options::checkpoint>},
      {"--ca", "", true, {C::kAuditVerify}, &SetText<&Options::authority>},
      {"--partial", "", false, {C::kAuditVerify}, &SetSwitch<&Options::partial>}};
  return flags;
}

const std::vector<KindSpec>& Kinds() {
  static const std::vector<KindSpec> kinds = {{"site", "", &Options::site},
                                              {"tenant", "", &Options::tenant},
                                              {"promotion", "promo", &Options::promotion},
                                              {"rollout", "ro", &Options::rollout},
                                              {"decision", "", &Options::decision}};
  return kinds;
}

const CommandSpec& SpecOf(Command command) {
  for (const CommandSpec& spec : Commands()) {
    if (spec.command == command) return spec;
  }
  SLUICE_CHECK(false);
}

const FlagSpec* FlagNamed(std::string_view name) {
  for (const FlagSpec& flag : Flags()) {
    if (name == flag.name || (!flag.letter.empty() && name == flag.letter)) return &flag;
  }
  return nullptr;
}

const KindSpec* KindOf(const CommandSpec& command, std::string_view word) {
  const std::size_t dot = std::min(word.find('.'), word.size());
  const std::string_view group = word.substr(dot);
  if (!group.empty() && group != ".sluice.dev" && group != ".v1alpha1.sluice.dev") return nullptr;
  word = word.substr(0, dot);
  for (const KindSpec& spec : Kinds()) {
    const bool taken =
        std::find(command.kinds.begin(), command.kinds.end(), spec.kind) != command.kinds.end();
    const bool named = word == spec.kind || word == std::string(spec.kind) + "s" ||
                       (!spec.short_name.empty() && word == spec.short_name);
    if (taken && named) return &spec;
  }
  return nullptr;
}

bool Takes(const CommandSpec& command, const FlagSpec& flag) {
  if (flag.name == "--output") return !command.outputs.empty();
  return flag.commands.empty() || std::find(flag.commands.begin(), flag.commands.end(),
                                            command.command) != flag.commands.end();
}

std::string_view OutputName(Output output) {
  switch (output) {
    case Output::kText:
      return "text";
    case Output::kWide:
      return "wide";
    case Output::kJson:
      return "json";
    case Output::kYaml:
      break;
  }
  return "yaml";
}

std::string FullName(const CommandSpec& command) {
  return command.second.empty() ? std::string(command.word)
                                : fmt::format("{} {}", command.word, command.second);
}

std::string OneOf(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    out += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace sluice::kubectl
