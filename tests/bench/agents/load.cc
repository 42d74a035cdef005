#include "tests/bench/agents/load.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <vector>

#include "controller/base/check.h"
#include "controller/base/clock.h"
#include "datapath/control/backoff.h"
#include "datapath/control/identity.h"
#include "datapath/control/limits.h"
#include "datapath/control/source.h"
#include "tests/bench/agents/load_stream.h"

namespace sluice::bench {
namespace {

using Steady = std::chrono::steady_clock;
using Timers = std::multimap<Steady::time_point, std::function<void()>>;

double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double At(const std::vector<double>& sorted, double share) {
  const auto last = sorted.size() - 1;
  return sorted[static_cast<std::size_t>(share * static_cast<double>(last) + 0.5)];
}

// What all agents have in common.
struct World {
  LoadStream::Host host;
  std::string site;
  std::function<base::openssl::CertPtr(const std::string& node)> sign;
  Timers timers;
};

class Agent {
 public:
  Agent(int number, World& world)
      : node_(fmt::format("n{}", number)),
        world_(world),
        backoff_(control::StreamOptions().backoff_first, control::StreamOptions().backoff_most,
                 static_cast<std::uint64_t>(number) + 1) {}

  void Connect() {
    if (certificate_ == nullptr) certificate_ = world_.sign(node_);
    ++streams;
    stream_ = std::make_unique<LoadStream>(world_.host, certificate_.get(), this,
                                           [this](const auto& message) { Take(message); });
    agent::v1::AgentMessage hello;
    hello.mutable_hello()->set_site(world_.site);
    hello.mutable_hello()->set_node(node_);
    stream_->Say(hello);
    After(control::kConnectDeadline + control::kWelcomeDeadline, [this] {
      if (!connected) End();
    });
  }
  // The socket of its stream has something. It may be that of one that is over.
  void Go() {
    if (stream_ != nullptr && !stream_->Go().ok()) End();
  }

  bool connected = false;
  std::string version;
  double acked_at = 0;  // Unix time
  int streams = 0;      // begun so far

 private:
  // `what`, then, unless this stream is over by then.
  void After(Steady::duration wait, std::function<void()> what) {
    world_.timers.emplace(Steady::now() + wait, [this, life = life_, what = std::move(what)] {
      if (life == life_) what();
    });
  }

  void Take(const agent::v1::ControllerMessage& message) {
    if (message.has_welcome()) {
      connected = true;
      backoff_.Reset();
      health_ = std::chrono::seconds(std::max(1u, message.welcome().health_seconds()));
      After(health_, [this] { SayHealth(); });
      After(control::kPingInterval, [this] { Ping(); });
    }
    if (!message.has_configuration()) return;
    const auto& configuration = message.configuration();
    agent::v1::AgentMessage ack;
    ack.mutable_ack()->set_version(configuration.version());
    *ack.mutable_ack()->mutable_order() = configuration.order();
    stream_->Say(ack);
    if (version == configuration.version()) return;
    version = configuration.version();
    acked_at = WallSeconds();
  }

  void SayHealth() {
    agent::v1::AgentMessage health;
    health.mutable_health()->set_state(agent::v1::Health::SERVING);
    stream_->Say(health);
    After(health_, [this] { SayHealth(); });
    Go();
  }

  void Ping() {
    stream_->Ping();
    After(control::kPingInterval, [this] { Ping(); });
    Go();
  }

  void End() {
    stream_.reset();
    ++life_;
    connected = false;
    version.clear();
    After(backoff_.Next(), [this] { Connect(); });
  }

  const std::string node_;
  World& world_;
  control::Backoff backoff_;
  base::openssl::CertPtr certificate_;
  std::unique_ptr<LoadStream> stream_;
  std::chrono::seconds health_{60};
  int life_ = 0;
};

}  // namespace

struct Load::Impl {
  explicit Impl(LoadOptions with) : options(std::move(with)) {
    const auto loaded = agents::CertificateAuthority::Load(options.authority);
    SLUICE_CHECK(loaded.ok());
    const auto request = control::MakeRequest();
    SLUICE_CHECK(request.ok());
    key = *base::openssl::ReadKey(request->key_pem);
    tls = MakeClientContext(options.authority.certificate_pem);
    world.host = {tls.get(), key.get(), {}, epoll_create1(EPOLL_CLOEXEC)};
    SLUICE_CHECK(world.host.epoll >= 0);
    world.host.to.sin_family = AF_INET;
    world.host.to.sin_port = htons(static_cast<std::uint16_t>(options.port));
    SLUICE_CHECK(inet_pton(AF_INET, options.host.c_str(), &world.host.to.sin_addr) == 1);
    world.site = options.site;
    world.sign = [this, authority = *loaded, csr = request->csr_pem](const std::string& node) {
      const auto made = authority.SignAgent(csr, {options.site, node}, base::RealClock().Wall(),
                                            std::chrono::hours(24));
      SLUICE_CHECK(made.ok());
      return *base::openssl::ReadCertificate(made->certificate_pem);
    };
    const auto begin = Steady::now();
    for (int i = 0; i < options.agents; ++i) {
      fleet.push_back(std::make_unique<Agent>(i, world));
      world.timers.emplace(begin + i * options.between,
                           [agent = fleet.back().get()] { agent->Connect(); });
    }
  }
  ~Impl() {
    fleet.clear();
    close(world.host.epoll);
  }

  int Patience() const {
    if (world.timers.empty()) return -1;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(world.timers.begin()->first - Steady::now());
    return static_cast<int>(std::clamp<long>(left.count(), 0, 3'600'000));
  }
  void RunDue() {
    const auto now = Steady::now();
    while (!world.timers.empty() && world.timers.begin()->first <= now) {
      world.timers.extract(world.timers.begin()).mapped()();
    }
  }
  std::string Report() const;

  const LoadOptions options;
  TlsContext tls;
  base::openssl::KeyPtr key;
  World world;
  std::vector<std::unique_ptr<Agent>> fleet;
};

std::string Load::Impl::Report() const {
  int connected = 0;
  long streams = 0;
  std::map<std::string, std::vector<double>> acked;
  for (const auto& agent : fleet) {
    connected += agent->connected ? 1 : 0;
    streams += agent->streams;
    if (!agent->version.empty()) acked[agent->version].push_back(agent->acked_at);
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

Load::Load(LoadOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Load::~Load() = default;

void Load::Run(int control) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  SLUICE_CHECK(epoll_ctl(impl_->world.host.epoll, EPOLL_CTL_ADD, control, &event) == 0);
  std::array<epoll_event, 256> events;
  while (true) {
    const int ready = epoll_wait(impl_->world.host.epoll, events.data(),
                                 static_cast<int>(events.size()), impl_->Patience());
    for (int i = 0; i < ready; ++i) {
      if (void* const who = events[static_cast<std::size_t>(i)].data.ptr) {
        static_cast<Agent*>(who)->Go();
        continue;
      }
      std::array<char, 64> lines;
      const ssize_t n = read(control, lines.data(), lines.size());
      if (n <= 0) return;
      for (auto asked = std::count(lines.begin(), lines.begin() + n, '\n'); asked > 0; --asked) {
        std::puts(impl_->Report().c_str());
        std::fflush(stdout);
      }
    }
    impl_->RunDue();
  }
}

void AllowConnections(int count) {
  const rlim_t wanted = static_cast<rlim_t>(count) + 1000;
  const rlimit files{wanted, wanted};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) std::perror("open files");
}

}  // namespace sluice::bench
