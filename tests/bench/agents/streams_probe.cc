// What N agents cost one controller: real streams with mTLS over loopback, the server in this
// process and the agents in a forked one, so that memory and CPU are the controller's alone.
//
//   streams_probe [--streams 1000] [--config-bytes 8000] [--rest-seconds 20]
//
// Prints one JSON object: bytes per stream (resident, server process), seconds until all are
// connected and in step, seconds from a change to the last ack, CPU at rest.
#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

#include "api/agent/v1/agent.grpc.pb.h"
#include "controller/base/clock.h"
#include "datapath/control/channel.h"
#include "datapath/control/identity.h"
#include "reconcilers/agents/server.h"
#include "reconcilers/agents/testing.h"

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

// ---- the agents' process ----

// One agent: says Hello, acknowledges every configuration, sends Health as the Welcome asks.
class LoadStream final
    : public grpc::ClientBidiReactor<agent::v1::AgentMessage, agent::v1::ControllerMessage> {
 public:
  LoadStream(int number, const CertificateAuthority& authority, const std::string& target)
      : node_(fmt::format("n{}", number)) {
    const auto made = *control::MakeRequest();
    const auto certificate = *authority.SignAgent(made.csr_pem, {"phoenix", node_},
                                                  base::RealClock().Wall(), std::chrono::hours(24));
    stub_ = agent::v1::AgentControl::NewStub(
        control::Dial(target, "sluice-controller", authority.certificate_pem(), made.key_pem,
                      certificate.certificate_pem));
    stub_->async()->Connect(&context_, this);
    agent::v1::AgentMessage hello;
    hello.mutable_hello()->set_site("phoenix");
    hello.mutable_hello()->set_node(node_);
    Enqueue(std::move(hello));
    StartRead(&in_);
    AddHold();  // writes start outside reactions
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (in_.has_configuration()) {
      agent::v1::AgentMessage ack;
      ack.mutable_ack()->set_version(in_.configuration().version());
      *ack.mutable_ack()->mutable_order() = in_.configuration().order();
      Enqueue(std::move(ack));
    }
    StartRead(&in_);
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    out_.pop_front();
    if (ok && !out_.empty()) StartWrite(&out_.front());
  }
  void OnDone(const grpc::Status& status) override {
    if (!status.ok()) std::fprintf(stderr, "stream ended: %s\n", status.error_message().c_str());
  }
  void SendHealth() {
    agent::v1::AgentMessage health;
    health.mutable_health()->set_state(agent::v1::Health::SERVING);
    Enqueue(std::move(health));
  }

 private:
  void Enqueue(agent::v1::AgentMessage message) {
    const std::lock_guard lock(mutex_);
    out_.push_back(std::move(message));
    if (out_.size() == 1) StartWrite(&out_.front());
  }
  const std::string node_;
  std::unique_ptr<agent::v1::AgentControl::Stub> stub_;
  grpc::ClientContext context_;
  agent::v1::ControllerMessage in_;
  std::mutex mutex_;
  std::deque<agent::v1::AgentMessage> out_;
};

// Ends when the pipe does.
[[noreturn]] void RunAgents(const Arguments& arguments, const KeyPair& pair, int from_parent) {
  int port = 0;
  if (read(from_parent, &port, sizeof port) != sizeof port) _exit(1);
  const auto authority = *CertificateAuthority::Load(pair);
  std::vector<std::unique_ptr<LoadStream>> streams;
  const std::string target = fmt::format("ipv4:127.0.0.1:{}", port);
  for (int i = 0; i < arguments.streams; ++i) {
    streams.push_back(std::make_unique<LoadStream>(i, authority, target));
  }
  // Health once a minute each, spread evenly.
  fcntl(from_parent, F_SETFL, O_NONBLOCK);
  const auto between = std::chrono::duration<double>(60.0 / arguments.streams);
  for (std::size_t i = 0;; i = (i + 1) % streams.size()) {
    char byte = 0;
    if (read(from_parent, &byte, 1) == 0) _exit(0);
    streams[i]->SendHealth();
    std::this_thread::sleep_for(between);
  }
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
  const rlimit files{static_cast<rlim_t>(arguments.streams) + 1000,
                     static_cast<rlim_t>(arguments.streams) + 1000};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) std::perror("open files");
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
