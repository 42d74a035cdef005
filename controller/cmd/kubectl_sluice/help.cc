// What `--help` prints.
#include <fmt/format.h>

#include "controller/cmd/kubectl_sluice/words.h"

namespace sluice::kubectl {
namespace {

constexpr const char* kFlags =
    "      --kubeconfig FILE       default: those of $KUBECONFIG, or ~/.kube/config;\n"
    "                              without any, in a pod: the pod's own cluster\n"
    "      --context NAME          of the kubeconfig\n"
    "      --as USER               ask in this user's name; the server must allow it\n"
    "      --as-group NAME         with --as: as a member of this group; repeatable\n"
    "      --as-uid UID            with --as: as the one with this UID\n"
    "      --as-user-extra K=V     with --as: as one of whom this is known, too; repeatable\n"
    "  -n, --namespace NAME        the controller's (default sluice-system)\n"
    "      --request-timeout TIME  of each call to the API server (default 15s)\n"
    "  -h, --help\n";

struct HelpTopic {
  const char* name;
  const char* text;  // without the flags that all have
};

constexpr HelpTopic kHelpTopics[] = {
    {"why",
     "Show what a site's next stage hangs on: each gate with its verdict, cause, "
     "numbers,\n"
     "since when it holds, who or what can unblock it, and when it is looked at next.\n\n"
     "Usage:\n  kubectl sluice why site/NAME|tenant/NAME|promotion/NAME|rollout/NAME "
     "[flags]\n\n"
     "  --evidence                  also show what each verdict rests on\n\n"},
    {"can-advance",
     "Tell whether a site would enter its next stage now, or a rollout takes its next "
     "step,\n"
     "and what holds it. Nothing is changed. Exit code 0: yes, 1: no, or it cannot be told.\n\n"
     "Usage:\n  kubectl sluice can-advance site/NAME|rollout/NAME --dry-run "
     "[flags]\n\n"},
    {"slo",
     "Turn OpenSLO v1 documents into ServiceLevelObjectives, and back.\n\n"
     "Usage:\n"
     "  kubectl sluice slo import FILE… | kubectl apply -f -\n"
     "  kubectl sluice slo export [NAME…]\n\n"
     "  --subject Site/NAME         for SLOs without annotation sluice.dev/subject\n\n"},
    {"status",
     "Show all sites, one line each: stage, wanted stage, agents, first blocker.\n\n"
     "Usage:\n  kubectl sluice status [flags]\n\n"},
    {"audit",
     "Prove that files of the audit log are whole, or judge again what they record.\n\n"
     "Usage:\n"
     "  kubectl sluice audit verify FILE… [flags]   any cut, edit or reordering is told\n"
     "  kubectl sluice audit replay FILE… [flags]   recorded evidence, judged again, "
     "must\n"
     "                                              give the recorded verdicts\n\n"
     "  --checkpoint FILE           ConfigMap sluice-audit-head as JSON; default: the "
     "cluster's\n"
     "  --ca FILE                   the authority's certificate: checks the checkpoint's "
     "signature\n"
     "  --partial                   the files are a part of the log; no checkpoint\n\n"
     "Exit code 1 when something is wrong.\n\n"},
    {"agenda",
     "Show what the next meetings have to decide: weekly triage, design review, release\n"
     "readiness, decision council, monthly and quarterly review, or those of a calendar\n"
     "of your own. A calendar says when each meets, what it is about and how far it "
     "looks\n"
     "ahead.\n\n"
     "Usage:\n  kubectl sluice agenda [flags]\n\n"
     "  --calendar FILE             your meetings, as YAML\n"
     "  --print-calendar            print the default calendar, to begin yours from\n"
     "  --within TIME               what ends until then, instead of what each meeting "
     "says\n\n"},
    {"propose",
     "Print a Decision about a site's open step, or a rollout's release and waves, in "
     "your\nname and with its UID, generation and plan filled in.\n\n"
     "Usage:\n  kubectl sluice propose site/NAME|rollout/NAME [flags] | kubectl create "
     "-f -\n\n"
     "  --within TIME               how long it may be answered (default 14d)\n\n"},
    {"vote",
     "Print an Approval of a Decision, in your name.\n\n"
     "Usage:\n  kubectl sluice vote decision/NAME [flags] | kubectl create -f -\n\n"
     "  --agree, --disagree         (default --agree)\n"
     "  --role ROLE                 Recommend, Agree, Perform, Input or Decide (default "
     "Decide)\n"
     "  --group NAME                a group of yours that gives the vote its weight; "
     "repeatable\n"
     "  --comment TEXT\n\n"},
    {"version",
     "Show the plugin's version and the API server's.\n\n"
     "Usage:\n  kubectl sluice version [flags]\n\n"}};

constexpr const char* kCompletion =
    "Print a completion script for kubectl-sluice, or the program that kubectl asks.\n\n"
    "Usage:\n"
    "  source <(kubectl sluice completion bash)    or zsh\n"
    "  kubectl sluice completion fish | source\n"
    "  kubectl sluice completion kubectl >DIRECTORY/kubectl_complete-sluice\n\n"
    "The last completes `kubectl sluice` wherever kubectl itself is completed: DIRECTORY has to be "
    "in\n"
    "PATH and the file executable.\n";

constexpr const char* kWhole =
    "Ask Sluice what is allowed, what is not, and why.\n\n"
    "Usage:\n  kubectl sluice COMMAND [flags]\n\n"
    "Commands:\n"
    "  why KIND/NAME          what holds a site, tenant, promotion or rollout, and who can end it\n"
    "  can-advance KIND/NAME --dry-run   whether a site or rollout would go on now\n"
    "  status                 all sites, one line each\n"
    "  agenda                 what the next meetings have to decide\n"
    "  propose KIND/NAME      a question about a site's open step or a rollout, to be created\n"
    "  vote decision/NAME     an answer to it, to be created\n"
    "  slo import FILE…       OpenSLO v1 documents as objects; slo export gives them back\n"
    "  audit verify FILE…     prove that the audit log is whole; audit replay judges again\n"
    "  version                of the plugin and the API server\n"
    "  completion SHELL       a completion script for bash, zsh or fish, or for kubectl itself\n"
    "  help [COMMAND]         more about a command\n\n";

// "text, wide, json or yaml", the one it prints unless asked first; for each where two differ.
std::string Formats(const std::string& topic) {
  std::string first, out;
  for (const CommandSpec& spec : Commands()) {
    if (spec.word != topic) continue;
    std::vector<std::string> names;
    for (const Output output : spec.outputs) names.emplace_back(OutputName(output));
    const std::string formats = OneOf(names);
    if (formats == first) continue;
    out += first.empty() ? formats : fmt::format("; {}: {}", spec.second, formats);
    if (first.empty()) first = formats;
  }
  return out;
}

}  // namespace

std::string HelpText(const std::string& topic) {
  if (topic == "completion") return kCompletion;
  for (const HelpTopic& each : kHelpTopics) {
    if (topic == each.name) {
      return fmt::format("{}Flags:\n  -o, --output FORMAT         {}\n{}", each.text,
                         Formats(topic), kFlags);
    }
  }
  return fmt::format(
      "{}Flags:\n  -o, --output FORMAT         text, wide, json or yaml, as the "
      "command has it\n{}{}",
      kWhole, kFlags, "\nExit codes: 0 answered, 1 could not be answered, 2 wrong command line.\n");
}

}  // namespace sluice::kubectl
