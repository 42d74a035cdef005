#include "datapath/serve/server.h"

#include <algorithm>
#include <filesystem>
#include <future>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/base/process_metrics.h"
#include "datapath/control/limits.h"
#include "datapath/serve/connection.h"

namespace sluice::serve {

base::StatusOr<std::unique_ptr<Server>> Server::Create(control::ConfigPtr config,
                                                       base::Clock& clock, Hooks hooks) {
  std::unique_ptr<Server> server(new Server(std::move(config), clock, std::move(hooks)));
  const base::Status started = server->Start();
  if (!started.ok()) return started;
  return server;
}

Server::Server(control::ConfigPtr config, base::Clock& clock, Hooks hooks)
    : first_(std::move(config)), clock_(clock), hooks_(std::move(hooks)) {}

base::Status Server::Start() {
  const control::Config& config = *first_;
  const std::size_t threads =
      config.threads > 0 ? config.threads : std::max(1u, std::thread::hardware_concurrency());
  metrics_ = std::make_unique<AgentMetrics>(std::min(threads, kCells - 1), config.site);

  store::Cache::Options cache{
      .memory_bytes = config.cache.memory_bytes,
      .chunk_bytes = config.cache.chunk_bytes,
      .huge_pages = config.cache.huge_pages && store::Arena::HostHasHugePages(),
      .disks = {},
      .scrub_bytes_per_second = store::kScrubBytesPerSecond};
  if (config.cache.disk_bytes > 0)
    for (const std::string& path : config.cache.disk_paths)
      cache.disks.push_back({.path = path,
                             .bytes = config.cache.disk_bytes / config.cache.disk_paths.size() /
                                      store::kPageBytes * store::kPageBytes,
                             .open = {}});
  SLUICE_ASSIGN_OR_RETURN(cache_, store::Cache::Open(cache, clock_));
  tls_room_ = std::make_unique<TlsRoom>(cache_->pool());
  lists_ = std::make_unique<ListCache>(cache_->pool());
  resolver_ = std::make_unique<net::Resolver>(clock_);

  const ring::PollerChoice poller = ring::ChoosePoller(hooks_.poller);
  base::log::Info("poller chosen",
                  {{"poller", ring::PollerKindName(poller.kind)}, {"why", poller.why}});
  for (std::size_t i = 0; i < threads; ++i) {
    auto entry = std::make_unique<LoopThread>();
    SLUICE_ASSIGN_OR_RETURN(entry->loop, net::EventLoop::Create(clock_, poller.kind));
    auto upstream = hooks_.upstream ? hooks_.upstream(*entry->loop)
                                    : MakeOriginUpstream(*entry->loop, *resolver_, circuits_);
    entry->worker = std::make_unique<Worker>(i, *entry->loop, *cache_, *lists_, *metrics_,
                                             std::move(upstream), static_cast<Homes&>(*this));
    loops_.push_back(std::move(entry));
  }
  // Before the threads run, this thread may act as every loop.
  auto directory = std::make_shared<Directory>(first_, *metrics_);
  for (auto& entry : loops_) SLUICE_RETURN_IF_ERROR(entry->worker->Configure(directory));
  static_assert(control::kMaxPinnedMounts <= store::Cache::kMaxPins);
  cache_->SetPins(directory->PinnedNames());
  epoch_.store(first_->order.epoch);
  revision_.store(first_->order.revision);
  SLUICE_RETURN_IF_ERROR(Listen());
  RegisterGauges();
  for (std::size_t i = 0; i < loops_.size(); ++i)
    loops_[i]->thread = std::thread([loop = loops_[i]->loop.get(), i] {
      UseCell(i);
      loop->Run();
    });
  ready_.store(true);
  return base::OkStatus();
}

base::Status Server::Listen() {
  net::EventLoop& loop = *loops_[0]->loop;
  for (const control::Listen& listen : first_->listeners) {
    SLUICE_ASSIGN_OR_RETURN(const net::Address address, net::Address::Parse(listen.address));
    if (address.is_unix()) {
      std::error_code ignored;  // listening says what is wrong
      std::filesystem::create_directories(std::filesystem::path(address.unix_path()).parent_path(),
                                          ignored);
    }
    TlsFront* front = nullptr;
    if (!listen.certificates.empty()) {
      SLUICE_ASSIGN_OR_RETURN(auto opened, TlsFront::Open(listen, clock_, *metrics_));
      front = opened.get();
      fronts_.push_back(std::move(opened));
    }
    auto listener = net::Listener::Listen(
        loop, address, {},
        [this, front](net::UniqueFd socket, const net::Address& peer) {
          Deal(std::move(socket), peer, front);
        },
        [this](const base::Status& error) {
          metrics_->accept_errors.Add();
          base::log::Warn("connection was not accepted", {{"error", error}});
        });
    if (!listener.ok()) return listener.status();
    base::log::Info("listening",
                    {{"address", (*listener)->bound().ToString()}, {"tls", front != nullptr}});
    listeners_.push_back(std::move(listener).value());
  }
  return base::OkStatus();
}

// Runs on the first loop. Prefers the loop with the fewest connections.
void Server::Deal(net::UniqueFd socket, const net::Address& peer, const TlsFront* front) {
  if (open_connections_.load() >= kMaxConnections) {
    metrics_->throttled_connections.Add();
    return;  // closed: the client sees at once that there is no room
  }
  TlsEntry tls;
  if (front != nullptr) {
    tls.server = front->current();
    if (tls.server == nullptr) {  // told as a problem
      metrics_->tls_handshakes_failed.Add();
      return;
    }
    tls.slot = tls_room_->Take();
    if (!tls.slot) {
      metrics_->throttled_tls.Add();
      return;
    }
  }
  open_connections_.fetch_add(1);
  metrics_->connections_accepted.Add();
  const std::size_t start = next_loop_.fetch_add(1);
  std::size_t best = start % loops_.size();
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    const std::size_t candidate = (start + i) % loops_.size();
    if (loops_[candidate]->connections.load() < loops_[best]->connections.load()) best = candidate;
  }
  LoopThread& target = *loops_[best];
  target.connections.fetch_add(1);
  if (best == 0) return target.worker->Adopt(std::move(socket), peer, std::move(tls));
  target.loop->Post(
      [worker = target.worker.get(), socket = std::move(socket), peer,
       tls = std::move(tls)]() mutable { worker->Adopt(std::move(socket), peer, std::move(tls)); });
}

void Server::ConnectionClosed(std::size_t worker) {
  open_connections_.fetch_sub(1);
  loops_[worker]->connections.fetch_sub(1);
}

Worker& Server::HomeOf(std::string_view cache_name) {
  return *loops_[std::hash<std::string_view>()(cache_name) % loops_.size()]->worker;
}

void Server::RunOnAll(const std::function<void(LoopThread&)>& task) {
  std::vector<std::future<void>> done;
  for (auto& entry : loops_) {
    auto promise = std::make_shared<std::promise<void>>();
    done.push_back(promise->get_future());
    const bool posted = entry->loop->Post([&task, raw = entry.get(), promise] {
      task(*raw);
      promise->set_value();
    });
    if (!posted) promise->set_value();
  }
  for (auto& future : done) future.wait();
}

base::Status Server::Apply(control::ConfigPtr config) {
  std::lock_guard lock(apply_mutex_);
  auto directory = std::make_shared<Directory>(config, *metrics_);
  std::vector<base::Status> outcomes(loops_.size());
  RunOnAll([&](LoopThread& entry) {
    outcomes[entry.worker->index()] = entry.worker->Configure(directory);
  });
  for (const base::Status& outcome : outcomes)
    if (!outcome.ok()) return outcome;  // every loop judges alike: none took it
  const auto differs = [&](auto member) { return (*config).*member != (*first_).*member; };
  const bool restart = differs(&control::Config::threads) ||
                       config->cache.memory_bytes != first_->cache.memory_bytes ||
                       config->listeners != first_->listeners ||
                       config->cache.disk_bytes != first_->cache.disk_bytes ||
                       config->cache.disk_paths != first_->cache.disk_paths ||
                       config->cache.chunk_bytes != first_->cache.chunk_bytes ||
                       config->cache.huge_pages != first_->cache.huge_pages;
  if (restart && !needs_restart_.exchange(true))
    base::log::Warn("configuration changes what only a restart can change",
                    {{"version", config->version}});
  if (!restart) needs_restart_.store(false);
  cache_->SetPins(directory->PinnedNames());
  for (auto& front : fronts_) static_cast<void>(front->Look());  // counted, logged and told inside
  epoch_.store(config->order.epoch);
  revision_.store(config->order.revision);
  base::log::Info("configuration in force", {{"version", config->version},
                                             {"epoch", config->order.epoch},
                                             {"revision", config->order.revision}});
  return base::OkStatus();
}

void Server::Drain(base::Duration deadline) {
  ready_.store(false);
  base::log::Info("draining", {{"connections", open_connections_.load()}});
  RunOnAll([this](LoopThread& entry) {
    if (entry.worker->index() == 0)
      for (auto& listener : listeners_) listener->Close();
    entry.worker->Drain();
  });
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  const base::MonoTime until = clock_.Mono() + deadline;
  while (open_connections_.load() > 0 && clock_.Mono() < until)
    clock_.WaitUntil(lock, never, clock_.Mono() + std::chrono::milliseconds(20),
                     [this] { return open_connections_.load() == 0; });
  base::log::Info("drained", {{"left", open_connections_.load()}});
}

Server::~Server() {
  ready_.store(false);
  const bool running = !loops_.empty() && loops_[0]->thread.joinable();
  const auto close = [this](LoopThread& entry) {
    if (entry.worker->index() == 0) {
      listeners_.clear();
    }
    entry.worker->Close();
  };
  if (running) {
    RunOnAll(close);
    RunOnAll([](LoopThread&) {});  // removals posted by Close() have run
    for (auto& entry : loops_) entry->loop->Stop();
    for (auto& entry : loops_) entry->thread.join();
  } else {
    listeners_.clear();
  }
  if (cache_ != nullptr) cache_->FlushDisk();
  resolver_.reset();
  for (auto& entry : loops_) entry->worker.reset();
  loops_.clear();
}

std::vector<net::Address> Server::bound() const {
  std::vector<net::Address> addresses;
  for (const auto& listener : listeners_) addresses.push_back(listener->bound());
  return addresses;
}

std::vector<std::string> Server::Problems() const {
  std::vector<std::string> problems;
  for (const auto& front : fronts_)
    for (std::string& problem : front->Problems()) problems.push_back(std::move(problem));
  if (!cache_->disk_healthy()) problems.push_back("the disk tier is out; serving without it");
  if (needs_restart()) problems.push_back("the configuration needs a restart to be in force whole");
  return problems;
}

control::CertificateStanding Server::Certificates() const {
  control::CertificateStanding worst;
  for (const auto& front : fronts_) {
    control::CertificateStanding standing = front->Standing();
    if (standing.state > worst.state) worst = std::move(standing);
  }
  return worst;
}

void Server::RegisterGauges() {
  Registry& registry = metrics_->registry();
  const std::string& site = metrics_->site();
  const store::CacheCounters& counters = cache_->counters();
  const auto watch = [&](const char* name, const char* help, const char* type,
                         Registry::Labels labels, std::function<double()> read) {
    labels.insert(labels.begin(), {"site", site});
    registry.Watch(name, help, type, labels, std::move(read));
  };
  const auto total = [&](const char* name, const char* help,
                         const std::atomic<std::uint64_t>& value) {
    watch(name, help, "counter", {}, [&value] { return static_cast<double>(value.load()); });
  };
  const char* const kBytes = "Bytes of chunks the cache holds, by tier.";
  const char* const kLimit = "What the tier may hold.";
  watch("sluice_agent_cache_bytes", kBytes, "gauge", {{"tier", "dram"}},
        [&counters] { return static_cast<double>(counters.resident_bytes.load()); });
  watch("sluice_agent_cache_bytes", kBytes, "gauge", {{"tier", "nvme"}},
        [&counters] { return static_cast<double>(counters.disk_bytes.load()); });
  watch("sluice_agent_cache_limit_bytes", kLimit, "gauge", {{"tier", "dram"}},
        [this] { return static_cast<double>(cache_->pool().cache_limit()); });
  watch("sluice_agent_cache_limit_bytes", kLimit, "gauge", {{"tier", "nvme"}},
        [this] { return static_cast<double>(cache_->disk_limit_bytes()); });
  watch("sluice_agent_cache_pinned_bytes", "Bytes in memory that are not evicted.", "gauge", {},
        [this] { return static_cast<double>(cache_->pinned_bytes()); });
  watch("sluice_agent_cache_pinned_limit_bytes", "What of the DRAM tier may be pinned.", "gauge",
        {}, [this] { return static_cast<double>(cache_->pinned_limit_bytes()); });
  total("sluice_agent_cache_pins_refused_total",
        "Times a chunk of a pinned mount was treated as all others: the mount's part is full.",
        counters.pins_refused);
  watch("sluice_agent_memory_used_bytes", "Bytes of the pool in use, chunks and buffers.", "gauge",
        {}, [this] { return static_cast<double>(cache_->pool().used()); });
  watch("sluice_agent_memory_limit_bytes", "The pool.", "gauge", {},
        [this] { return static_cast<double>(cache_->pool().limit()); });
  watch("sluice_agent_cache_objects", "Objects whose metadata is known.", "gauge", {},
        [&counters] { return static_cast<double>(counters.objects.load()); });
  total("sluice_agent_cache_evicted_chunks_total", "Chunks evicted from DRAM.",
        counters.evicted_chunks);
  total("sluice_agent_cache_evicted_bytes_total", "Bytes evicted from DRAM.",
        counters.evicted_bytes);
  total("sluice_agent_cache_moved_bytes_total",
        "Cached bytes moved out of huge pages of which much was spent.", counters.moved_bytes);
  watch("sluice_agent_memory_spent_bytes",
        "Bytes of the pool that evicted chunks still hold: their neighbours in a huge page stay.",
        "gauge", {}, [this] { return static_cast<double>(cache_->spent_bytes()); });
  total("sluice_agent_cache_corrupt_chunks_total", "Chunks that failed their checksum, dropped.",
        counters.corrupt_chunks);
  total("sluice_agent_cache_scrubbed_bytes_total",
        "Cached bytes compared with their checksums, in memory and on disk.",
        counters.scrubbed_bytes);
  total("sluice_agent_cache_scrub_rounds_total", "Times the whole cache was compared.",
        counters.scrub_rounds);
  total("sluice_agent_cache_fills_shed_total", "Fills refused because every byte was in use.",
        counters.fills_shed);
  total("sluice_agent_cache_single_flight_waits_total",
        "Readers that waited for a chunk another was bringing.", counters.single_flight_waits);
  total("sluice_agent_cache_promotions_total", "Chunks read from disk.", counters.promotions);
  total("sluice_agent_cache_promotion_failures_total", "Chunks that could not be read from disk.",
        counters.promotion_failures);
  total("sluice_agent_cache_disk_writes_total", "Chunks written to disk.", counters.disk_writes);
  total("sluice_agent_cache_disk_write_failures_total", "Chunks that could not be written.",
        counters.disk_write_failures);
  total("sluice_agent_cache_disk_writes_shed_total", "Chunks not written: the queue was full.",
        counters.disk_writes_shed);
  total("sluice_agent_cache_recovered_chunks_total", "Chunks found on disk at start.",
        counters.recovered_chunks);
  watch("sluice_agent_disk_healthy", "1 while every configured device is in use.", "gauge", {},
        [this] { return cache_->disk_healthy() ? 1.0 : 0.0; });
  watch(
      "sluice_agent_disk_damaged_places",
      "Places of the log on disk, found at start, that were damaged; what was older is forgotten.",
      "gauge", {}, [this] { return static_cast<double>(cache_->disk_damaged_places()); });
  watch("sluice_agent_connections", "Open client connections.", "gauge", {},
        [this] { return static_cast<double>(open_connections_.load()); });
  watch("sluice_agent_poller", "1 for the way the loops wait for their sockets.", "gauge",
        {{"poller", loops_[0]->loop->poller().name()}}, [] { return 1.0; });
  watch("sluice_agent_ready", "1 while requests are served.", "gauge", {},
        [this] { return Ready() ? 1.0 : 0.0; });
  watch("sluice_agent_tls_connections", "Client connections with TLS, shaking hands or done.",
        "gauge", {}, [this] { return static_cast<double>(tls_room_->connections()); });
  watch("sluice_agent_tls_handshakes_in_progress", "Client connections that shake hands.", "gauge",
        {}, [this] { return static_cast<double>(tls_room_->handshakes()); });
  watch("sluice_agent_tls_listeners_unreadable",
        "Listeners whose certificate files could not be read when last looked at.", "gauge", {},
        [this] {
          return static_cast<double>(
              std::ranges::count_if(fronts_, [](const auto& front) { return front->failing(); }));
        });
  watch("sluice_agent_config_epoch", "Fencing epoch of the configuration in force.", "gauge", {},
        [this] { return static_cast<double>(epoch_.load()); });
  watch("sluice_agent_config_revision", "Revision of the configuration in force.", "gauge", {},
        [this] { return static_cast<double>(revision_.load()); });
  watch("sluice_agent_config_needs_restart",
        "1 when the configuration changed what only a restart can change.", "gauge", {},
        [this] { return needs_restart() ? 1.0 : 0.0; });
  for (auto& metric : base::metrics::ProcessMetrics()) {
    watch(metric.name.c_str(), metric.help.c_str(), metric.counter ? "counter" : "gauge", {},
          std::move(metric.read));
  }
}

}  // namespace sluice::serve
