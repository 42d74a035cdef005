#include "controller/cmd/kubectl_sluice/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/cmd/kubectl_sluice/completion.h"
#include "controller/cmd/kubectl_sluice/words.h"

namespace sluice::kubectl {
namespace {

using base::InvalidArgument;
using base::Status;

struct Given {
  const FlagSpec* flag = nullptr;
  std::string as;  // how it was written: "-o"
  std::string value;
};

// The flag at `at`, which moves to its value's word: "--name value", "--name=value", "-o value" and
// "-ovalue".
base::StatusOr<Given> ReadFlag(const std::vector<std::string>& arguments, std::size_t& at) {
  const std::string& word = arguments[at];
  const bool is_long = word.starts_with("--");
  const auto equals = word.find('=');
  const bool joined = is_long ? equals != std::string::npos : word.size() > 2;
  Given out;
  out.as = is_long ? word.substr(0, equals) : word.substr(0, 2);
  out.flag = FlagNamed(out.as);
  if (out.flag == nullptr) {
    return InvalidArgument(
        fmt::format("{}: unknown flag; `kubectl sluice --help` lists them", out.as));
  }
  if (!out.flag->takes_value) {
    if (joined) return InvalidArgument(fmt::format("{}: takes no value; write {}", word, out.as));
    return out;
  }
  if (joined) {
    out.value = word.substr(is_long || equals == 2 ? equals + 1 : 2);
  } else {
    if (at + 1 == arguments.size()) {
      return InvalidArgument(fmt::format("{}: needs a value", out.as));
    }
    out.value = arguments[++at];
  }
  return out;
}

// The command that `words` begin with; its words are taken away. No words: help.
base::StatusOr<const CommandSpec*> TakeCommand(std::vector<std::string>& words, bool help) {
  if (words.empty()) return &SpecOf(Command::kHelp);
  const std::string word = words.front();
  words.erase(words.begin());
  std::vector<std::string> known, seconds;
  for (const CommandSpec& spec : Commands()) {
    if (known.empty() || known.back() != spec.word) known.emplace_back(spec.word);
    if (spec.word != word) continue;
    if (spec.second.empty() || help) return &spec;
    if (!words.empty() && words.front() == spec.second) {
      words.erase(words.begin());
      return &spec;
    }
    seconds.emplace_back(spec.second);
  }
  if (seconds.empty()) {
    return InvalidArgument(
        fmt::format("\"{}\": unknown command; there are {}", word, fmt::join(known, ", ")));
  }
  return InvalidArgument(
      fmt::format("{0} takes {1}; `kubectl sluice {0} --help` tells more", word, OneOf(seconds)));
}

bool IsObjectName(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
}

// One object of the command's kinds, as "KIND/NAME" or "KIND" "NAME".
Status TakeObject(const CommandSpec& command, const std::vector<std::string>& words,
                  Options& options) {
  std::vector<std::string> forms;
  for (const std::string_view kind : command.kinds) forms.push_back(fmt::format("{}/NAME", kind));
  const std::string usage =
      fmt::format("{0} takes one object: kubectl sluice {0} {1}", command.word, OneOf(forms));
  if (words.empty() || words.size() > 2) return InvalidArgument(usage);
  std::string kind = words[0];
  std::string name = words.size() == 2 ? words[1] : "";
  const auto slash = kind.find('/');
  if ((slash == std::string::npos) != (words.size() == 2)) return InvalidArgument(usage);
  if (slash != std::string::npos) {
    name = kind.substr(slash + 1);
    kind.resize(slash);
  }
  const KindSpec* spec = KindOf(command, kind);
  if (spec == nullptr) {
    return InvalidArgument(fmt::format("\"{}\" is not a kind it knows: {}", kind, usage));
  }
  if (!IsObjectName(name)) {
    return InvalidArgument(fmt::format(
        "\"{}\" is not an object's name: lower-case letters, digits, - and . make one", name));
  }
  options.*spec->name = std::move(name);
  return base::OkStatus();
}

Status TakeWords(const CommandSpec& command, const std::vector<std::string>& words,
                 Options& options) {
  if (!command.kinds.empty()) return TakeObject(command, words, options);
  if (command.takes_files && words.empty()) {
    return InvalidArgument(
        fmt::format("{0} takes files: kubectl sluice {0} FILE…", FullName(command)));
  }
  if (command.takes_files || command.command == Command::kSloExport) {
    options.files = words;
    return base::OkStatus();
  }
  if (command.command == Command::kCompletion) {
    const auto& shells = Shells();
    if (words.size() != 1 || std::find(shells.begin(), shells.end(), words[0]) == shells.end()) {
      return InvalidArgument(fmt::format("completion takes one of {}", OneOf(shells)));
    }
    options.shell = words[0];
    return base::OkStatus();
  }
  if (command.command == Command::kHelp) {
    std::vector<std::string> left = words;
    if (left.empty()) return base::OkStatus();
    SLUICE_ASSIGN_OR_RETURN(const CommandSpec* topic, TakeCommand(left, true));
    options.topic = topic->command == Command::kHelp ? "" : topic->word;
    return base::OkStatus();
  }
  if (words.empty()) return base::OkStatus();
  return InvalidArgument(fmt::format("\"{}\": {} takes no argument", words[0], command.word));
}

// What only flags together can break.
Status CheckTogether(const CommandSpec& command, const Options& options) {
  const auto both = [](const char* one, const char* other, const char* why) {
    return InvalidArgument(fmt::format("{} and {}: {}", one, other, why));
  };
  if (options.agree && options.disagree) {
    return both("--agree", "--disagree", "a vote is one of them");
  }
  if (options.print_calendar && !options.calendar.empty()) {
    return both("--calendar", "--print-calendar", "the second prints the default one; give one");
  }
  if (options.print_calendar && options.output.has_value()) {
    return both("--output", "--print-calendar", "a calendar is YAML; leave the first out");
  }
  if (options.partial && !(options.checkpoint.empty() && options.authority.empty())) {
    return both("--partial", options.checkpoint.empty() ? "--ca" : "--checkpoint",
                "a part of the log is not compared with a checkpoint; give one");
  }
  const auto& outputs = command.outputs;
  if (options.output.has_value() &&
      std::find(outputs.begin(), outputs.end(), *options.output) == outputs.end()) {
    std::vector<std::string> names;
    for (const Output output : outputs) names.emplace_back(OutputName(output));
    return InvalidArgument(fmt::format("-o {}: {} prints {}", OutputName(*options.output),
                                       FullName(command), OneOf(names)));
  }
  return base::OkStatus();
}

}  // namespace

base::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  std::vector<std::string> words;
  std::vector<Given> flags;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].size() < 2 || arguments[i][0] != '-') {
      words.push_back(arguments[i]);
      continue;
    }
    SLUICE_ASSIGN_OR_RETURN(Given given, ReadFlag(arguments, i));
    flags.push_back(std::move(given));
  }
  const bool help = std::any_of(flags.begin(), flags.end(),
                                [](const Given& given) { return given.flag->name == "--help"; });
  SLUICE_ASSIGN_OR_RETURN(const CommandSpec* command, TakeCommand(words, help));
  if (help) {
    options.topic = command->command == Command::kHelp ? "" : command->word;
    return options;
  }
  options.command = command->command;
  for (const Given& given : flags) {
    if (!Takes(*command, *given.flag)) {
      return InvalidArgument(
          fmt::format("{}: {} has no such flag; `kubectl sluice {} --help` lists "
                      "its flags",
                      given.as, FullName(*command), command->word));
    }
    if (Status set = given.flag->set(given.value, options); !set.ok())
      return set.Annotate(given.as);
  }
  SLUICE_RETURN_IF_ERROR(CheckTogether(*command, options));
  if (options.output == Output::kWide) options.evidence = true;
  SLUICE_RETURN_IF_ERROR(TakeWords(*command, words, options));
  return options;
}

Output OutputOf(const Options& options) {
  if (options.output.has_value()) return *options.output;
  const auto& outputs = SpecOf(options.command).outputs;
  return outputs.empty() ? Output::kText : outputs.front();
}

}  // namespace sluice::kubectl
