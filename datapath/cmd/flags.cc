#include "datapath/cmd/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace sluice::cmd {
namespace {

struct Option {
  std::string_view name;
  std::string_view argument;
  std::string_view help;
  base::Status (*take)(Flags& flags, std::string value);
};

template <std::string Flags::*kMember>
base::Status TakeText(Flags& flags, std::string value) {
  flags.*kMember = std::move(value);
  return base::OkStatus();
}

template <std::vector<std::string> Flags::*kMember>
base::Status TakeList(Flags& flags, std::string value) {
  std::size_t begin = 0;
  while (begin <= value.size()) {
    const std::size_t comma = std::min(value.find(',', begin), value.size());
    if (comma > begin) (flags.*kMember).push_back(value.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return base::OkStatus();
}

base::Status TakeSeconds(Flags& flags, std::string value) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || end != value.data() + value.size() || seconds < 0 || seconds > 3600)
    return base::InvalidArgument(
        fmt::format("--drain-seconds must be 0 to 3600, not \"{}\"", value));
  flags.drain = std::chrono::seconds(seconds);
  return base::OkStatus();
}

base::Status TakePoller(Flags& flags, std::string value) {
  using ring::PollerKind;
  for (const PollerKind kind : {PollerKind::kAuto, PollerKind::kEpoll, PollerKind::kIoUring}) {
    if (value != ring::PollerKindName(kind)) continue;
    flags.poller = kind;
    return base::OkStatus();
  }
  return base::InvalidArgument(
      fmt::format("--poller must be auto, epoll or io_uring, not \"{}\"", value));
}

base::Status TakeWord(std::string_view name, std::string_view value, std::string_view usual,
                      std::string_view other, bool* is_other) {
  *is_other = value == other;
  if (*is_other || value == usual) return base::OkStatus();
  return base::InvalidArgument(
      fmt::format("{} must be {} or {}, not \"{}\"", name, usual, other, value));
}

constexpr std::array<Option, 14> kOptions = {{
    {"--config", "FILE", "configuration as YAML; runs without a controller",
     TakeText<&Flags::config>},
    {"--control", "HOST:PORT", "the controller's stream", TakeList<&Flags::control>},
    {"--enrolment", "HOST:PORT", "where the agent proves itself", TakeList<&Flags::enrolment>},
    {"--ca-file", "FILE", "authorities of the controller", TakeText<&Flags::ca_file>},
    {"--token-file", "FILE", "projected service-account token", TakeText<&Flags::token_file>},
    {"--state-dir", "DIR", "last good configuration (/var/lib/sluice)",
     TakeText<&Flags::state_dir>},
    {"--run-dir", "DIR", "credentials, on tmpfs (/run/sluice)", TakeText<&Flags::run_dir>},
    {"--site", "NAME", "with --control: the site", TakeText<&Flags::site>},
    {"--node", "NAME", "with --control: this node", TakeText<&Flags::node>},
    {"--metrics", "ADDRESS", "metrics and health, instead of the configuration's",
     TakeText<&Flags::metrics>},
    {"--drain-seconds", "N", "how long answers may take to end at the stop (25)", TakeSeconds},
    {"--poller", "auto|epoll|io_uring", "how loops wait; epoll where io_uring is refused (auto)",
     TakePoller},
    {"--log-format", "text|json", "default text",
     [](Flags& flags, std::string value) {
       return TakeWord("--log-format", value, "text", "json", &flags.log_json);
     }},
    {"--log-level", "info|debug", "default info",
     [](Flags& flags, std::string value) {
       return TakeWord("--log-level", value, "info", "debug", &flags.log_debug);
     }},
}};

}  // namespace

std::string HelpText() {
  std::string text =
      "sluice-agent: the S3 cache of a GPU node\n\n"
      "  sluice-agent --config FILE                serve, configured by a file\n"
      "  sluice-agent --control HOST:PORT ...      serve, configured by the controller\n"
      "  sluice-agent check [--config FILE]        look at this machine, say what is missing\n"
      "  sluice-agent status --metrics ADDRESS     ask a running agent how it is (or --config "
      "FILE)\n"
      "  sluice-agent --version | --help\n\n";
  for (const Option& option : kOptions)
    text += fmt::format("  {:<30} {}\n", fmt::format("{} {}", option.name, option.argument),
                        option.help);
  text += "\nSIGTERM and SIGINT drain and end it; SIGHUP reads the file again.\n";
  return text;
}

base::StatusOr<Flags> ParseFlags(std::span<const char* const> arguments) {
  Flags flags;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "check" && i == 0) {
      flags.action = Flags::Action::kCheck;
      continue;
    }
    if (argument == "status" && i == 0) {
      flags.action = Flags::Action::kStatus;
      continue;
    }
    if (argument == "--help" || argument == "-h") {
      flags.action = Flags::Action::kHelp;
      return flags;
    }
    if (argument == "--version") {
      flags.action = Flags::Action::kVersion;
      return flags;
    }
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const auto option = std::find_if(kOptions.begin(), kOptions.end(),
                                     [&](const Option& known) { return known.name == name; });
    if (option == kOptions.end())
      return base::InvalidArgument(
          fmt::format("unknown argument \"{}\"; see sluice-agent --help", argument));
    std::string value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (++i == arguments.size()) {
      return base::InvalidArgument(fmt::format("{} needs a value", name));
    } else {
      value = arguments[i];
    }
    SLUICE_RETURN_IF_ERROR(option->take(flags, std::move(value)));
  }
  if (flags.action == Flags::Action::kCheck) return flags;
  if (flags.action == Flags::Action::kStatus) {
    if (flags.config.empty() && flags.metrics.empty())
      return base::InvalidArgument("status needs --metrics ADDRESS or --config FILE");
    return flags;
  }
  if (flags.config.empty() == flags.control.empty())
    return base::InvalidArgument(
        "give either --config FILE or --control HOST:PORT; see sluice-agent --help");
  return flags;
}

}  // namespace sluice::cmd
