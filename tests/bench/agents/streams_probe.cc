// What N agents cost one controller: real streams with mTLS over loopback, the server in this
// process and the agents in a forked one, so that memory and CPU are the controller's alone.
//
//   streams_probe [--streams 1000] [--config-bytes 8000] [--rest-seconds 20]
//
// Prints one JSON object: bytes per stream (resident, server process), seconds until all are
// connected and in step, seconds from a change to the last ack, CPU at rest.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/clock.h"
#include "reconcilers/agents/server.h"
#include "reconcilers/agents/testing.h"
#include "tests/bench/agents/load.h"

namespace sluice::agents {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

struct Arguments {
  int streams = 1000;
  int config_bytes = 8000;
  int rest_seconds = 20;
};

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

long ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  long total = 0, resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

// The agents' process, which ends when the pipe does.
[[noreturn]] void RunAgents(const Arguments& arguments, const KeyPair& pair, int from_parent) {
  int port = 0;
  if (read(from_parent, &port, sizeof port) != sizeof port) _exit(1);
  bench::LoadOptions options;
  options.port = port;
  options.authority = pair;
  options.site = "phoenix";
  options.agents = arguments.streams;
  bench::Load(std::move(options)).Run(from_parent);
  _exit(0);
}

// ---- the controller's process ----

class NoReviews final : public TokenReviewer {
 public:
  base::StatusOr<ReviewedToken> Review(const std::string&, const std::string&,
                                       base::MonoTime) override {
    return base::Unauthenticated("nobody enrols here");
  }
};

agent::v1::AgentConfig Content(int bytes, const std::string& region) {
  agent::v1::AgentConfig config;
  config.set_s3_region(region);
  for (int i = 0; static_cast<int>(config.ByteSizeLong()) < bytes; ++i) {
    auto& mount = *config.add_mounts();
    mount.set_path(fmt::format("/datasets-{}", i));
    mount.set_origin("lake");
    mount.set_bucket("training");
    mount.set_prefix(fmt::format("curated/{}/", i));
  }
  return config;
}

// Seconds until the whole fleet runs `version`; negative: it did not within two minutes.
double AwaitInStep(const FleetView& fleet, int streams, const std::string& version,
                   std::mutex& mutex, std::condition_variable& changed, std::atomic<long>& news) {
  const auto start = Clock::now();
  std::unique_lock lock(mutex);
  while (SecondsSince(start) < 120) {
    const long seen = news;
    if (fleet.Summarise("phoenix", version, {}).in_step == streams) return SecondsSince(start);
    changed.wait_for(lock, std::chrono::milliseconds(50),
                     [&] { return news > seen + streams / 50; });
  }
  return -1;
}

int RunController(const Arguments& arguments, const KeyPair& pair, int to_child) {
  base::RealClock clock;
  testing::MemoryEpochStore store;
  NoReviews reviewer;
  FleetView fleet;
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<long> news{0};
  fleet.OnChange([&](const std::string&) {
    ++news;
    changed.notify_all();
  });
  const auto authority = *CertificateAuthority::Load(pair);
  ConfigPublisher publisher(store, authority.DeriveKey("configuration version"));
  ServerOptions options;
  options.control_address = "127.0.0.1:0";
  options.enrolment_address = "127.0.0.1:0";
  AgentServer server(
      options, publisher, fleet, reviewer, [](const AgentIdentity&) { return base::OkStatus(); },
      clock);
  const auto started = server.Start(authority, "");
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.ToString().c_str());
    return 1;
  }
  agent::v1::Credentials none;
  const auto first = Content(arguments.config_bytes, "r1");
  const auto second = Content(arguments.config_bytes, "r2");
  if (!publisher.TakeOver("uid", "probe").ok()) return 1;
  const auto version = publisher.Publish("phoenix", {&first, &none, {}})->version;
  const long base = ResidentBytes();

  const int port = server.control_port();
  if (write(to_child, &port, sizeof port) != sizeof port) return 1;
  const double connect_cpu = CpuSeconds();
  const double connected = AwaitInStep(fleet, arguments.streams, version, mutex, changed, news);
  const double connect_cpu_used = CpuSeconds() - connect_cpu;

  const double rest_cpu = CpuSeconds();
  std::this_thread::sleep_for(seconds(arguments.rest_seconds));
  const double rest = (CpuSeconds() - rest_cpu) / arguments.rest_seconds;
  const long resident = ResidentBytes();
  malloc_trim(0);
  const long trimmed = ResidentBytes();

  const double change_cpu = CpuSeconds();
  const auto next = publisher.Publish("phoenix", {&second, &none, {}})->version;
  const double changed_in = AwaitInStep(fleet, arguments.streams, next, mutex, changed, news);
  const double change_cpu_used = CpuSeconds() - change_cpu;
  const long after = ResidentBytes();
  fmt::print(
      "{{\"streams\": {}, \"config_bytes\": {}, \"base_bytes\": {}, \"resident_bytes\": {}, "
      "\"bytes_per_stream\": {}, \"bytes_per_stream_trimmed\": {}, "
      "\"bytes_per_stream_after_change\": "
      "{}, \"connected_seconds\": {:.2f}, \"connect_cpu_ms_per_stream\": {:.2f}, "
      "\"change_to_last_ack_seconds\": {:.2f}, \"change_cpu_ms_per_stream\": {:.3f}, "
      "\"rest_cpu_percent\": {:.2f}}}\n",
      arguments.streams, first.ByteSizeLong(), base, resident,
      (resident - base) / arguments.streams, (trimmed - base) / arguments.streams,
      (after - base) / arguments.streams, connected, connect_cpu_used * 1000 / arguments.streams,
      changed_in, change_cpu_used * 1000 / arguments.streams, rest * 100);
  std::fflush(stdout);
  return connected < 0 || changed_in < 0 ? 1 : 0;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    int* const value = name == "--streams"        ? &arguments.streams
                       : name == "--config-bytes" ? &arguments.config_bytes
                       : name == "--rest-seconds" ? &arguments.rest_seconds
                                                  : nullptr;
    if (value == nullptr || (*value = std::atoi(argv[i + 1])) <= 0) {
      std::fprintf(stderr, "unknown or bad option %s\n", argv[i]);
      return 2;
    }
  }
  bench::AllowConnections(arguments.streams);
  // Before any thread: fork first.
  const auto pair =
      *CertificateAuthority::Create("probe", base::RealClock().Wall(), std::chrono::hours(48));
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return 1;
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_ends[1]);
    RunAgents(arguments, pair, pipe_ends[0]);
  }
  close(pipe_ends[0]);
  const int result = RunController(arguments, pair, pipe_ends[1]);
  close(pipe_ends[1]);
  waitpid(child, nullptr, 0);
  return result;
}

}  // namespace
}  // namespace sluice::agents

int main(int argc, char** argv) { return sluice::agents::Main(argc, argv); }
