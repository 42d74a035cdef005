// What may stand at the end of a command line, by the tables of words.h. Pure.
//
// Shells ask by the hidden command `__complete WORDS…`, the last being the one that is typed.
// kubectl asks so, too, through a program kubectl_complete-sluice in PATH, and reads one offer a
// line and then
// ":N", bits of what the shell shall do: 2 adds no space, 4 offers no files.
#pragma once

#include <string>
#include <vector>

#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

struct Completion {
  std::vector<std::string> words;
  std::string kind;       // names of its objects fit as well; empty: none
  bool contexts = false;  // so do the kubeconfig's contexts
  bool files = false;     // so do files
  std::string before;     // what stands before each name or value in the typed word: "site/"
  Options options;        // the cluster to ask for the names
};

inline constexpr const char* kCompleteWord = "__complete";

// `words` without the hidden command's.
Completion Complete(const std::vector<std::string>& words);
// As the shell reads it. `names`: of objects of its kind, or of contexts.
std::string CompletionAnswer(const Completion& completion, const std::string& typed,
                             const std::vector<std::string>& names);

// bash, zsh, fish and kubectl.
const std::vector<std::string>& Shells();
// The script of one of Shells(); of kubectl, the program that it asks.
std::string CompletionScript(const std::string& shell);

}  // namespace sluice::kubectl
