#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

std::string CompletionScript(const std::string& shell) {
  if (shell == "fish") {
    return "complete -c kubectl-sluice -f\n"
           "complete -c kubectl-sluice -n __fish_use_subcommand -a 'why can-advance status agenda "
           "propose vote slo audit version "
           "completion "
           "help'\n"
           "complete -c kubectl-sluice -n '__fish_seen_subcommand_from why' -a "
           "'(kubectl get sites -o name --request-timeout=2s 2>/dev/null | string replace -r "
           "\"^site.sluice.dev/\" \"site/\")'\n"
           "complete -c kubectl-sluice -n '__fish_seen_subcommand_from completion' -a 'bash zsh "
           "fish'\n"
           "complete -c kubectl-sluice -s o -l output -x -a 'text wide json yaml'\n"
           "complete -c kubectl-sluice -l evidence -l help\n";
  }
  const std::string script =
      "_kubectl_sluice() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words\n"
      "  case $before in\n"
      "    why|propose) words=$(kubectl get sites -o name --request-timeout=2s 2>/dev/null |\n"
      "      sed 's,^site.sluice.dev/,site/,') ;;\n"
      "    audit) words='verify replay' ;;\n"
      "    slo) words='import export' ;;\n"
      "    completion) words='bash zsh fish' ;;\n"
      "    -o|--output) words='text wide json yaml' ;;\n"
      "    *) words='why can-advance status agenda propose vote slo audit version completion help "
      "-o --evidence "
      "--kubeconfig --context "
      "--request-timeout --help' ;;\n"
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "}\n"
      "complete -F _kubectl_sluice kubectl-sluice\n";
  if (shell == "bash") return script;
  return "autoload -U +X bashcompinit && bashcompinit\n" + script;
}

}  // namespace sluice::kubectl
