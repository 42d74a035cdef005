#include "controller/cmd/kubectl_sluice/completion.h"

#include <algorithm>

#include "controller/cmd/kubectl_sluice/words.h"

namespace sluice::kubectl {
namespace {

// Not compgen -W, which expands the words it is given: names come from a cluster or a file. Bash
// parts words at the signs in COMP_WORDBREAKS: the plugin is asked for what stands between blanks,
// and bash is given what follows the last such sign.
constexpr const char* kBash = R"sh(_kubectl_sluice() {
  local answer before directive i line=$COMP_LINE parts=() sign typed word
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if ((i == 0)) || [[ $line == [[:blank:]]* ]]; then
      parts+=("${COMP_WORDS[i]}")
    else
      parts[${#parts[@]}-1]+=${COMP_WORDS[i]}
    fi
    line=${line#"${line%%[![:blank:]]*}"}
    line=${line#"${COMP_WORDS[i]}"}
  done
  answer=$(kubectl-sluice __complete "${parts[@]:1}" 2>/dev/null) || return
  directive=${answer##*:}
  typed=${parts[${#parts[@]}-1]}
  word=$typed
  for sign in = :; do
    if [[ ${COMP_WORDBREAKS-} == *"$sign"* ]]; then word=${word##*"$sign"}; fi
  done
  before=${typed%"$word"}
  COMPREPLY=()
  while IFS= read -r word; do
    if [[ -n $word && $word == "$typed"* ]]; then
      COMPREPLY+=("$(printf %q "${word#"$before"}")")
    fi
  done <<< "${answer%:*}"
  if ((directive & 2)); then compopt -o nospace 2>/dev/null; fi
  if ((!(directive & 4))); then compopt -o default 2>/dev/null; fi
}
complete -F _kubectl_sluice kubectl-sluice
)sh";

constexpr const char* kFish =
    R"(complete -c kubectl-sluice -f -a '(kubectl-sluice __complete (commandline -opc)[2..] (commandline -ct | string collect --allow-empty) 2>/dev/null | string match -v ":*")'
complete -c kubectl-sluice -n '__fish_seen_subcommand_from slo audit' -F
)";

constexpr const char* kKubectl = R"(#!/bin/sh
# kubectl asks this for what follows `kubectl sluice`: keep it in PATH as kubectl_complete-sluice.
exec kubectl-sluice __complete "$@"
)";

// What the words before the typed one say.
struct Said {
  std::vector<std::string> words;  // without flags and their values
  const FlagSpec* open = nullptr;  // its value is typed now
};

Said ReadWords(const std::vector<std::string>& words, Options& options) {
  Said said;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') {
      said.words.push_back(word);
      continue;
    }
    const auto equals = word.find('=');
    const FlagSpec* flag = FlagNamed(word.substr(0, equals));
    if (flag == nullptr || !flag->takes_value) continue;
    std::string value;
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (i + 2 == words.size()) {
      said.open = flag;
      return said;
    } else {
      value = words[++i];
    }
    // What is wrong is told when the line is run; until then it does not count.
    if (!flag->set(value, options).ok()) continue;
  }
  return said;
}

void Offer(std::string_view word, Completion& out) {
  if (std::find(out.words.begin(), out.words.end(), word) == out.words.end()) {
    out.words.emplace_back(word);
  }
}

void OfferValues(const FlagSpec& flag, const CommandSpec* command, Completion& out) {
  if (flag.name == "--output" && command != nullptr) {
    for (const Output output : command->outputs) Offer(OutputName(output), out);
    return;
  }
  for (const std::string_view value : flag.values) Offer(value, out);
  out.contexts = flag.name == "--context";
  out.files = flag.name == "--kubeconfig" || flag.name == "--calendar" ||
              flag.name == "--checkpoint" || flag.name == "--ca";
}

// Names of objects of the kind that `word` means, if it means one.
void OfferNames(const CommandSpec& command, const std::string& word, const std::string& before,
                Completion& out) {
  const KindSpec* kind = KindOf(command, word);
  if (kind == nullptr) return;
  out.kind = kind->kind;
  out.before = before;
}

// The command that the words begin with; nullptr while it is not all there.
const CommandSpec* CommandIn(const std::vector<std::string>& words) {
  for (const CommandSpec& spec : Commands()) {
    if (words.empty() || words[0] != spec.word) continue;
    if (spec.second.empty() || (words.size() > 1 && words[1] == spec.second)) return &spec;
  }
  return nullptr;
}

}  // namespace

Completion Complete(const std::vector<std::string>& words) {
  Completion out;
  if (words.empty()) return out;
  const Said said = ReadWords(words, out.options);
  const CommandSpec* command = CommandIn(said.words);
  if (said.open != nullptr) {
    OfferValues(*said.open, command, out);
    return out;
  }
  if (const auto equals = words.back().find('=');
      words.back().starts_with("--") && equals != std::string::npos) {
    const FlagSpec* flag = FlagNamed(words.back().substr(0, equals));
    if (flag == nullptr || !flag->takes_value) return out;
    OfferValues(*flag, command, out);
    out.before = words.back().substr(0, equals + 1);
    return out;
  }
  if (words.back().starts_with("-")) {
    for (const FlagSpec& flag : Flags()) {
      if (command == nullptr ? flag.commands.empty() : Takes(*command, flag)) Offer(flag.name, out);
    }
    return out;
  }
  if (command == nullptr) {
    for (const CommandSpec& spec : Commands()) {
      if (said.words.empty()) Offer(spec.word, out);
      if (said.words.size() == 1 && said.words[0] == spec.word) Offer(spec.second, out);
    }
    return out;
  }
  const std::size_t own = command->second.empty() ? 1 : 2;
  const bool first = said.words.size() == own;
  out.files = command->takes_files;
  if (command->command == Command::kHelp && first) {
    for (const CommandSpec& spec : Commands()) Offer(spec.word, out);
  }
  if (command->command == Command::kCompletion && first) out.words = Shells();
  if (said.words.size() == own + 1) OfferNames(*command, said.words[own], "", out);
  if (!first) return out;
  if (const auto slash = words.back().find('/'); slash != std::string::npos) {
    OfferNames(*command, words.back().substr(0, slash), words.back().substr(0, slash + 1), out);
    return out;
  }
  for (const std::string_view kind : command->kinds) Offer(std::string(kind) + "/", out);
  return out;
}

std::string CompletionAnswer(const Completion& completion, const std::string& typed,
                             const std::vector<std::string>& names) {
  std::string out;
  bool space = true;
  const auto offer = [&](const std::string& word) {
    if (!(completion.before + word).starts_with(typed)) return;
    out += completion.before + word + "\n";
    if (word.ends_with('/')) space = false;
  };
  for (const std::string& word : completion.words) offer(word);
  for (const std::string& name : names) offer(name);
  return out + ":" + std::to_string((space ? 0 : 2) | (completion.files ? 0 : 4)) + "\n";
}

const std::vector<std::string>& Shells() {
  static const std::vector<std::string> shells = {"bash", "zsh", "fish", "kubectl"};
  return shells;
}

std::string CompletionScript(const std::string& shell) {
  if (shell == "fish") return kFish;
  if (shell == "kubectl") return kKubectl;
  return shell == "bash" ? kBash
                         : std::string("autoload -U +X bashcompinit && bashcompinit\n") + kBash;
}

}  // namespace sluice::kubectl
