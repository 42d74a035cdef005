// sluice-agent. Start: flags → signals → source → (first configuration) server. Stop, on SIGTERM or
// SIGINT: drain → source → server. Exit codes: README.md.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "controller/base/clock.h"
#include "controller/base/file.h"
#include "controller/base/log.h"
#include "datapath/cmd/engine.h"
#include "datapath/cmd/flags.h"
#include "datapath/cmd/preflight.h"
#include "datapath/cmd/status_page.h"
#include "datapath/cmd/wiring.h"
#include "datapath/control/source.h"

namespace sluice::cmd {
namespace {

constexpr int kUsage = 2;

int Refuse(const base::Status& status) {
  fmt::print(stderr, "sluice-agent: {}\n", status.message());
  return kUsage;
}

// Every thread is to leave these to sigwait below.
sigset_t BlockSignals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, number);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

base::StatusOr<control::Config> ReadConfig(const Flags& flags) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(flags.config));
  auto parsed = control::ParseYaml(text);
  if (!parsed.ok()) return parsed.status().Annotate(flags.config);
  return parsed;
}

// Exit code 0: ready; 1: it answers but is not ready, or does not answer.
int Status(const Flags& flags) {
  std::string address = flags.metrics;
  if (address.empty()) {
    auto config = ReadConfig(flags);
    if (!config.ok()) return Refuse(config.status());
    address = config->metrics.address;
    if (address.empty())
      return Refuse(base::InvalidArgument(flags.config + " has no metrics address to ask"));
  }
  auto ready = FetchPage(address, "/readyz");
  if (!ready.ok() && ready.status().code() == base::Code::kInvalidArgument)
    return Refuse(ready.status());
  auto metrics = ready.ok() ? FetchPage(address, "/metrics") : ready;
  if (!metrics.ok()) {
    fmt::print(
        "{}\n        cure: is the agent running on this node, and is this its metrics address?"
        "\n",
        metrics.status().message());
    return 1;
  }
  fmt::print("{}", DescribeAgent(*ready, metrics->body));
  return ready->http_status == 200 ? 0 : 1;
}

int Check(const Flags& flags) {
  control::Config config;
  if (!flags.config.empty()) {
    auto read = ReadConfig(flags);
    if (!read.ok()) return Refuse(read.status());
    config = std::move(read).value();
  }
  int errors = 0;
  fmt::print("{}", Render(Preflight(flags.config.empty() ? nullptr : &config, flags.poller,
                                    base::RealClock().Wall()),
                          &errors));
  return errors == 0 ? 0 : 1;
}

int Serve(const Flags& flags) {
  base::log::Configure(flags.log_debug ? base::log::Level::kDebug : base::log::Level::kInfo,
                       flags.log_json ? base::log::Format::kJson : base::log::Format::kText);
  RaiseDescriptorLimit();
  const sigset_t signals = BlockSignals();
  base::RealClock clock;
  Engine engine(clock, flags.site, flags.metrics, flags.poller);
  auto source = MakeSource(flags, engine, clock);
  if (!source.ok()) return Refuse(source.status());
  if (const base::Status opened = engine.Start(); !opened.ok()) return Refuse(opened);
  const base::Status started =
      (*source)->Start([&](control::ConfigPtr config) { return engine.Take(std::move(config)); });
  if (!started.ok()) {
    (*source)->Stop();
    if (started.code() == base::Code::kInvalidArgument) return Refuse(started);
    base::log::Error("agent did not start", {{"error", started}});
    return 1;
  }
  for (;;) {
    int number = 0;
    if (::sigwait(&signals, &number) != 0) continue;
    if (number == SIGTERM || number == SIGINT) break;
    if (number == SIGUSR1) {  // the controller asked for it; it ends the process itself, later
      engine.Drain(flags.drain);
      continue;
    }
    const base::Status reloaded = (*source)->Reload();
    if (!reloaded.ok())
      base::log::Error("configuration was not reloaded; the former stays", {{"error", reloaded}});
  }
  engine.Drain(flags.drain);
  (*source)->Stop();
  engine.Stop(base::Duration::zero());
  base::log::Info("stopped");
  return 0;
}

int Main(std::span<const char* const> arguments) {
  auto flags = ParseFlags(arguments);
  if (!flags.ok()) return Refuse(flags.status());
  switch (flags->action) {
    case Flags::Action::kHelp:
      fmt::print("{}", HelpText());
      return 0;
    case Flags::Action::kVersion:
      fmt::print("sluice-agent {}\n", kAgentVersion);
      return 0;
    case Flags::Action::kCheck:
      return Check(*flags);
    case Flags::Action::kStatus:
      return Status(*flags);
    case Flags::Action::kServe:
      return Serve(*flags);
  }
  return kUsage;
}

}  // namespace
}  // namespace sluice::cmd

int main(int argc, char** argv) {
  return sluice::cmd::Main({argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)});
}
