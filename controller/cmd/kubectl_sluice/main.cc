// kubectl-sluice: see README.md. Exit codes: 0 answered, 1 could not be answered, 2 wrong command
// line.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "controller/client/config.h"
#include "controller/cmd/kubectl_sluice/audit_command.h"
#include "controller/cmd/kubectl_sluice/calendar.h"
#include "controller/cmd/kubectl_sluice/commands.h"
#include "controller/cmd/kubectl_sluice/completion.h"
#include "controller/cmd/kubectl_sluice/contexts.h"
#include "controller/cmd/kubectl_sluice/impersonation.h"
#include "controller/cmd/kubectl_sluice/listing.h"
#include "controller/cmd/kubectl_sluice/options.h"
#include "controller/cmd/kubectl_sluice/slo_command.h"

namespace {

using sluice::kubectl::Command;
using sluice::kubectl::Options;

int Fail(const sluice::base::Status& status, int code) {
  std::fprintf(stderr, "kubectl-sluice: %s\n", status.message().c_str());
  return code;
}

sluice::base::StatusOr<sluice::client::Config> ConfigOf(const Options& options,
                                                        sluice::client::Terminal terminal) {
  namespace client = sluice::client;
  auto config = options.kubeconfig.empty()
                    ? client::DefaultConfig(client::Search::kFilesFirst, options.context, terminal)
                    : client::LoadKubeconfig(options.kubeconfig, options.context, terminal);
  if (!config.ok()) {
    if (config.status().code() != sluice::base::Code::kNotFound) return config.status();
    return sluice::base::NotFound(config.status().message() +
                                  "; name a kubeconfig by --kubeconfig or KUBECONFIG");
  }
  config->user_agent = "kubectl-sluice/" SLUICE_VERSION;
  config->request_timeout = options.request_timeout;
  if (auto as = sluice::kubectl::Impersonate(options, config->impersonate); !as.ok()) return as;
  return config;
}

sluice::base::StatusOr<std::string> AskOf(sluice::client::Client& api, const Options& options,
                                          bool& good) {
  const sluice::base::RealClock clock;
  switch (options.command) {
    case Command::kWhy: {
      sluice::kubectl::Style style;
      style.colour = sluice::kubectl::WantsColour(isatty(STDOUT_FILENO) != 0,
                                                  std::getenv("NO_COLOR"), std::getenv("TERM"));
      style.evidence = options.evidence;
      return sluice::kubectl::Why(api, options, style, clock.Wall());
    }
    case Command::kCanAdvance:
      return sluice::kubectl::MayAdvance(api, options, clock.Wall(), good);
    case Command::kSloExport:
      return sluice::kubectl::SloExport(api, options);
    case Command::kStatus:
      return sluice::kubectl::SiteTable(api, options);
    case Command::kAuditVerify: {
      auto answer = sluice::kubectl::AuditVerify(options, &api);
      if (!answer.ok()) return answer.status();
      good = answer->good;
      return std::move(answer->text);
    }
    case Command::kAgenda:
      return sluice::kubectl::Agenda(api, options, clock.Wall());
    case Command::kPropose:
      return sluice::kubectl::Propose(api, options, clock.Wall());
    case Command::kVote:
      return sluice::kubectl::CastVote(api, options);
    default:
      return sluice::kubectl::Version(api, options);
  }
}

sluice::base::StatusOr<std::string> Ask(const Options& options, bool& good) {
  using sluice::client::Terminal;
  const bool person = isatty(STDIN_FILENO) != 0;
  const auto config = ConfigOf(options, person ? Terminal::kPerson : Terminal::kNone);
  if (!config.ok()) return config.status();
  const auto api = sluice::client::NewClient(*config);
  if (!api.ok()) return api.status();
  auto answer = AskOf(**api, options, good);
  if (!answer.ok()) return sluice::kubectl::Explained(answer.status(), config->server);
  return answer;
}

// What needs no cluster.
sluice::base::StatusOr<std::string> Read(const Options& options, bool& good) {
  if (options.command == Command::kSloImport) return sluice::kubectl::SloImport(options);
  if (options.command == Command::kAgenda) return std::string(sluice::kubectl::DefaultCalendar());
  auto answer = options.command == Command::kAuditReplay
                    ? sluice::kubectl::AuditReplay(options)
                    : sluice::kubectl::AuditVerify(options, nullptr);
  if (!answer.ok()) return answer.status();
  good = answer->good;
  return std::move(answer->text);
}

bool IsLocal(const Options& options) {
  return options.command == Command::kAuditReplay || options.command == Command::kSloImport ||
         (options.command == Command::kAgenda && options.print_calendar) ||
         (options.command == Command::kAuditVerify && !sluice::kubectl::NeedsCheckpoint(options));
}

// What a shell asks while a line is typed. It gets what can be had in a moment, and no error.
int AnswerShell(const std::vector<std::string>& words) {
  auto completion = sluice::kubectl::Complete(words);
  std::vector<std::string> names;
  if (completion.contexts) names = sluice::kubectl::Contexts(completion.options.kubeconfig);
  if (!completion.kind.empty()) {
    completion.options.request_timeout = std::chrono::seconds(2);
    const auto config = ConfigOf(completion.options, sluice::client::Terminal::kNone);
    if (config.ok()) {
      const auto api = sluice::client::NewClient(*config);
      if (api.ok()) names = sluice::kubectl::NamesOf(**api, completion.kind);
    }
  }
  const std::string typed = words.empty() ? "" : words.back();
  const std::string answer = sluice::kubectl::CompletionAnswer(completion, typed, names);
  return std::fputs(answer.c_str(), stdout) >= 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments.front() == sluice::kubectl::kCompleteWord) {
    return AnswerShell({arguments.begin() + 1, arguments.end()});
  }
  const auto options = sluice::kubectl::ParseOptions(arguments);
  if (!options.ok()) return Fail(options.status(), 2);
  std::string text;
  bool good = true;
  if (options->command == Command::kHelp) {
    text = sluice::kubectl::HelpText(options->topic);
  } else if (options->command == Command::kCompletion) {
    text = sluice::kubectl::CompletionScript(options->shell);
  } else {
    auto answer = IsLocal(*options) ? Read(*options, good) : Ask(*options, good);
    if (!answer.ok()) return Fail(answer.status(), 1);
    text = *std::move(answer);
  }
  return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0 && good ? 0 : 1;
}
