// N agents against one controller: each a real gRPC stream with mTLS over a connection of its own,
// under a certificate of its own, with the agents' own waits before the next try. What they serve
// is left out. `scale` (beside this file) runs it; README.md says how to read what it prints.
//
//   agents_load --target HOST:PORT --ca FILE --key FILE --site NAME --agents N
//
// FILEs hold the controller's authority, which this program signs the agents' certificates with.
// For each line on standard input it prints one line of JSON about all agents; it ends with its
// input.
#include <absl/synchronization/mutex.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "api/agent/v1/agent.grpc.pb.h"
#include "controller/base/check.h"
#include "controller/base/clock.h"
#include "controller/base/file.h"
#include "datapath/control/backoff.h"
#include "datapath/control/channel.h"
#include "datapath/control/identity.h"
#include "datapath/control/source.h"
#include "reconcilers/agents/ca.h"

namespace sluice::bench {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

struct Arguments {
  std::string target, ca, key, site;
  int agents = 0;
};

double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Calls what is due, one after the other, on a thread of its own. One: after a restart it paces the
// agents, each of which makes a TLS context. With two they all begin at once, this process needs
// longer for that than a handshake may take, and they try again.
class Timers {
 public:
  Timers() : thread_([this] { Run(); }) {}
  ~Timers() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  void At(SteadyTime when, std::function<void()> what) {
    {
      const std::lock_guard lock(mutex_);
      due_.emplace(when, std::move(what));
    }
    wake_.notify_all();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (due_.empty()) {
        wake_.wait(lock);
      } else if (const SteadyTime first = due_.begin()->first;
                 first > std::chrono::steady_clock::now()) {
        wake_.wait_until(lock, first);
      } else {
        const auto what = std::move(due_.begin()->second);
        due_.erase(due_.begin());
        lock.unlock();
        what();
        lock.lock();
      }
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::multimap<SteadyTime, std::function<void()>> due_;  // guarded by mutex_
  bool stopping_ = false;
  std::thread thread_;
};

class Agent;

// One try to be connected; deletes itself when gRPC has done with it.
class Stream final
    : public grpc::ClientBidiReactor<agent::v1::AgentMessage, agent::v1::ControllerMessage> {
 public:
  explicit Stream(Agent& agent) : agent_(agent) {}
  void Begin(agent::v1::AgentControl::Stub& stub, agent::v1::AgentMessage hello);
  void Send(agent::v1::AgentMessage message);
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  Agent& agent_;
  grpc::ClientContext context_;
  agent::v1::ControllerMessage in_;
  std::mutex mutex_;
  std::deque<agent::v1::AgentMessage> out_;  // guarded by mutex_; the first is being written
  bool broken_ = false;
};

class Agent {
 public:
  struct Seen {
    bool connected = false;
    std::string version;
    double acked_at = 0;  // Unix time
    int streams = 0;      // begun so far
  };

  Agent(int number, const Arguments& arguments, Timers& timers,
        std::unique_ptr<agent::v1::AgentControl::Stub> stub)
      : node_(fmt::format("n{}", number)),
        site_(arguments.site),
        timers_(timers),
        stub_(std::move(stub)),
        backoff_(control::StreamOptions().backoff_first, control::StreamOptions().backoff_most,
                 static_cast<std::uint64_t>(number) + 1) {}

  void Connect() {
    agent::v1::AgentMessage hello;
    hello.mutable_hello()->set_site(site_);
    hello.mutable_hello()->set_node(node_);
    const std::lock_guard lock(mutex_);
    ++seen_.streams;
    stream_ = new Stream(*this);
    stream_->Begin(*stub_, std::move(hello));
  }
  // From the stream's reactions.
  void Welcomed(std::uint32_t health_seconds) {
    const std::lock_guard lock(mutex_);
    seen_.connected = true;
    backoff_.Reset();
    health_ = std::chrono::seconds(std::max(1u, health_seconds));
    NextHealth();
  }
  void Acknowledged(const std::string& version) {
    const std::lock_guard lock(mutex_);
    if (seen_.version == version) return;
    seen_.version = version;
    seen_.acked_at = WallSeconds();
  }
  void Ended() {
    const std::lock_guard lock(mutex_);
    stream_ = nullptr;
    ++life_;
    seen_.connected = false;
    seen_.version.clear();
    timers_.At(std::chrono::steady_clock::now() + backoff_.Next(), [this] { Connect(); });
  }
  Seen seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void NextHealth() {
    timers_.At(std::chrono::steady_clock::now() + health_, [this, life = life_] {
      const std::lock_guard lock(mutex_);
      if (life != life_ || stream_ == nullptr) return;
      agent::v1::AgentMessage health;
      health.mutable_health()->set_state(agent::v1::Health::SERVING);
      stream_->Send(std::move(health));
      NextHealth();
    });
  }

  const std::string node_;
  const std::string site_;
  Timers& timers_;
  const std::unique_ptr<agent::v1::AgentControl::Stub> stub_;
  mutable std::mutex mutex_;
  control::Backoff backoff_;  // guarded by mutex_, as is the rest
  Stream* stream_ = nullptr;
  std::chrono::seconds health_{60};
  int life_ = 0;
  Seen seen_;
};

void Stream::Begin(agent::v1::AgentControl::Stub& stub, agent::v1::AgentMessage hello) {
  stub.async()->Connect(&context_, this);
  AddHold();  // writes start outside reactions, until broken_
  Send(std::move(hello));
  StartRead(&in_);
  StartCall();
}

void Stream::Send(agent::v1::AgentMessage message) {
  const std::lock_guard lock(mutex_);
  if (broken_) return;
  out_.push_back(std::move(message));
  if (out_.size() == 1) StartWrite(&out_.front());
}

void Stream::OnReadDone(bool ok) {
  if (!ok) {
    {
      const std::lock_guard lock(mutex_);
      broken_ = true;
    }
    RemoveHold();
    return;
  }
  if (in_.has_welcome()) agent_.Welcomed(in_.welcome().health_seconds());
  if (in_.has_configuration()) {
    agent::v1::AgentMessage ack;
    ack.mutable_ack()->set_version(in_.configuration().version());
    *ack.mutable_ack()->mutable_order() = in_.configuration().order();
    agent_.Acknowledged(in_.configuration().version());
    Send(std::move(ack));
  }
  StartRead(&in_);
}

void Stream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  out_.pop_front();
  if (ok && !broken_ && !out_.empty()) StartWrite(&out_.front());
}

void Stream::OnDone(const grpc::Status&) {
  agent_.Ended();
  delete this;
}

double At(const std::vector<double>& sorted, double share) {
  const auto last = sorted.size() - 1;
  return sorted[static_cast<std::size_t>(share * static_cast<double>(last) + 0.5)];
}

std::string Report(const std::vector<std::unique_ptr<Agent>>& agents) {
  int connected = 0;
  long streams = 0;
  std::map<std::string, std::vector<double>> acked;
  for (const auto& agent : agents) {
    const Agent::Seen seen = agent->seen();
    connected += seen.connected ? 1 : 0;
    streams += seen.streams;
    if (!seen.version.empty()) acked[seen.version].push_back(seen.acked_at);
  }
  std::string versions;
  for (auto& [version, times] : acked) {
    std::sort(times.begin(), times.end());
    versions += fmt::format(R"({}"{}":{{"agents":{},"p50":{:.4f},"p99":{:.4f},"last":{:.4f}}})",
                            versions.empty() ? "" : ",", version, times.size(), At(times, 0.5),
                            At(times, 0.99), times.back());
  }
  return fmt::format(R"({{"connected":{},"streams":{},"versions":{{{}}}}})", connected, streams,
                     versions);
}

int Run(const Arguments& arguments) {
  const auto ca = base::ReadFile(arguments.ca);
  const auto key = base::ReadFile(arguments.key);
  SLUICE_CHECK(ca.ok() && key.ok());
  const auto authority = agents::CertificateAuthority::Load({*ca, *key});
  SLUICE_CHECK(authority.ok());
  // One key for all: making thousands says nothing of the controller. Certificates differ.
  const auto made = control::MakeRequest();
  SLUICE_CHECK(made.ok());
  Timers timers;
  std::vector<std::unique_ptr<Agent>> agents;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < arguments.agents; ++i) {
    const auto certificate =
        authority->SignAgent(made->csr_pem, {arguments.site, fmt::format("n{}", i)},
                             base::RealClock().Wall(), std::chrono::hours(24));
    SLUICE_CHECK(certificate.ok());
    auto stub = agent::v1::AgentControl::NewStub(
        control::Dial("ipv4:" + arguments.target, "sluice-controller", *ca, made->key_pem,
                      certificate->certificate_pem));
    agents.push_back(std::make_unique<Agent>(i, arguments, timers, std::move(stub)));
    // As a DaemonSet's pods come: not all in one instant. 500 a second.
    timers.At(begin + std::chrono::milliseconds(2 * i),
              [agent = agents.back().get()] { agent->Connect(); });
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::puts(Report(agents).c_str());
    std::fflush(stdout);
  }
  std::_Exit(0);  // thousands of streams need no farewell
}

int Main(int argc, char** argv) {
  // Debian's Abseil looks for deadlocks among all mutexes of a process. An agent has one channel;
  // with thousands in one process that is a tenth of its work.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--target") arguments.target = value;
    if (name == "--ca") arguments.ca = value;
    if (name == "--key") arguments.key = value;
    if (name == "--site") arguments.site = value;
    if (name == "--agents") arguments.agents = std::atoi(value.c_str());
  }
  if (arguments.target.empty() || arguments.ca.empty() || arguments.key.empty() ||
      arguments.site.empty() || arguments.agents <= 0) {
    std::fputs("usage: see the head of tests/bench/agents/agents_load.cc\n", stderr);
    return 2;
  }
  const rlim_t wanted = static_cast<rlim_t>(arguments.agents) + 1000;
  const rlimit files{wanted, wanted};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) std::perror("open files");
  return Run(arguments);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
