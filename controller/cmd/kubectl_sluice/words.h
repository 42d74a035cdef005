// The words of the command line, one table each for commands, flags and kinds: what ParseOptions
// takes, what it names in a refusal, and what completion offers. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

struct CommandSpec {
  Command command;
  std::string_view word;
  std::string_view second;              // of a command of two words: "import"; empty: none
  std::vector<std::string_view> kinds;  // it takes one object of these, as KIND/NAME; empty: none
  std::vector<Output> outputs;  // the first is what it prints unless asked; empty: takes no -o
  bool takes_files = false;
};

struct FlagSpec {
  std::string_view name;    // "--output"
  std::string_view letter;  // "-o"; empty: none
  bool takes_value;
  std::vector<Command> commands;  // that take it; empty: all
  // Takes the value. Errors: InvalidArgument, the rule without the flag's name.
  base::Status (*set)(const std::string& value, Options& options);
  std::vector<std::string_view> values = {};  // all it may be; empty: anything `set` takes
};

struct KindSpec {
  std::string_view kind;        // "promotion"
  std::string_view short_name;  // "promo"; empty: none
  std::string Options::*name;   // where the object's name is put
};

const std::vector<CommandSpec>& Commands();
const std::vector<FlagSpec>& Flags();
const std::vector<KindSpec>& Kinds();

const CommandSpec& SpecOf(Command command);
// By "--name" or "-n"; nullptr: there is none.
const FlagSpec* FlagNamed(std::string_view name);
// The kind that `word` means, of those the command takes: "site", "sites", a short name, each also
// with ".sluice.dev" or ".v1alpha1.sluice.dev"; nullptr: none, or another group's.
const KindSpec* KindOf(const CommandSpec& command, std::string_view word);
bool Takes(const CommandSpec& command, const FlagSpec& flag);
std::string_view OutputName(Output output);
// "slo import"
std::string FullName(const CommandSpec& command);
// "a, b or c"
std::string OneOf(const std::vector<std::string>& words);

}  // namespace sluice::kubectl
