#include "controller/cmd/kubectl_sluice/options.h"

#include <fmt/format.h>

#include <optional>

#include "controller/base/time_format.h"

namespace sluice::kubectl {
namespace {

using base::InvalidArgument;
using base::Status;

constexpr const char* kCommands = "why, status, version, completion";

std::optional<Command> CommandOf(const std::string& word) {
  if (word == "why") return Command::kWhy;
  if (word == "status") return Command::kStatus;
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
  } else if (name == "-o" || name == "--output") {
    if (value != "text" && value != "json") {
      return InvalidArgument(fmt::format("{}: \"{}\" is neither text nor json", name, value));
    }
    options.output = value == "json" ? Output::kJson : Output::kText;
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
         name == "--request-timeout";
}

// "site/NAME", or "site" "NAME".
Status TakeSite(const std::vector<std::string>& words, Options& options) {
  const std::string usage = "why takes one site: kubectl sluice why site/NAME";
  if (words.empty()) return InvalidArgument(usage);
  std::string kind = words[0];
  std::string name;
  if (const auto slash = kind.find('/'); slash != std::string::npos) {
    name = kind.substr(slash + 1);
    kind.resize(slash);
    if (words.size() > 1) return InvalidArgument(usage);
  } else if (words.size() == 2) {
    name = words[1];
  } else {
    return InvalidArgument(usage);
  }
  if (kind != "site" && kind != "sites" && kind != "sites.sluice.dev") {
    return InvalidArgument(fmt::format("why: \"{}\" is not a kind it explains; use site", kind));
  }
  const bool valid =
      !name.empty() && name.size() <= 253 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
  if (!valid) return InvalidArgument(fmt::format("why: \"{}\" is not an object's name", name));
  options.site = name;
  return base::OkStatus();
}

Status TakeWords(const std::vector<std::string>& words, Options& options) {
  switch (options.command) {
    case Command::kWhy:
      return TakeSite(words, options);
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
    if (name == "--evidence") {
      options.evidence = true;
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

std::string HelpText(const std::string& topic) {
  constexpr const char* kFlags =
      "Flags:\n"
      "  -o, --output text|json      how to print (default text)\n"
      "      --kubeconfig FILE       default: $KUBECONFIG, then ~/.kube/config\n"
      "      --context NAME          of the kubeconfig\n"
      "      --request-timeout TIME  of each call to the API server (default 15s)\n"
      "  -h, --help\n";
  if (topic == "why") {
    return std::string(
               "Show what a site's next stage hangs on: each gate with its verdict, cause, "
               "numbers,\n"
               "since when it holds, who or what can unblock it, and when it is looked at next.\n\n"
               "Usage:\n  kubectl sluice why site/NAME [flags]\n\n"
               "  --evidence                  also show what each verdict rests on\n\n") +
           kFlags;
  }
  if (topic == "status") {
    return std::string(
               "Show all sites, one line each: stage, wanted stage, agents, first blocker.\n\n"
               "Usage:\n  kubectl sluice status [flags]\n\n") +
           kFlags;
  }
  if (topic == "version") {
    return std::string(
               "Show the plugin's version and the API server's.\n\n"
               "Usage:\n  kubectl sluice version [flags]\n\n") +
           kFlags;
  }
  if (topic == "completion") {
    return "Print a completion script.\n\n"
           "Usage:\n  kubectl sluice completion bash|zsh|fish\n";
  }
  return std::string(
             "Ask Sluice what is allowed, what is not, and why.\n\n"
             "Usage:\n  kubectl sluice COMMAND [flags]\n\n"
             "Commands:\n"
             "  why site/NAME     what a site's next stage hangs on\n"
             "  status            all sites, one line each\n"
             "  version           of the plugin and the API server\n"
             "  completion SHELL  a completion script for bash, zsh or fish\n"
             "  help [COMMAND]    more about a command\n\n") +
         kFlags + "\nExit codes: 0 answered, 1 could not be answered, 2 wrong command line.\n";
}

}  // namespace sluice::kubectl
