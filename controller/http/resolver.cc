#include "controller/http/resolver.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>

#include <algorithm>
#include <cstring>

namespace sluice::http {
namespace {

base::StatusOr<Resolver::Addresses> AskSystem(const std::string& host, std::uint16_t port,
                                              int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return base::Unavailable(fmt::format("resolve {}: {}", host, gai_strerror(error)))
        .WithReason("Resolve");
  }
  Resolver::Addresses out;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    out.push_back(address);
  }
  freeaddrinfo(found);
  return out;
}

}  // namespace

// Shared by its callers, who may give up, and the thread, which cannot.
struct Resolver::Job {
  enum class State { kWaits, kRuns, kDone };
  Job(std::string name, std::uint16_t number) : host(std::move(name)), port(number) {}
  const std::string host;
  const std::uint16_t port;
  const WakeFd done;
  State state = State::kWaits;
  int callers = 0;
  base::MonoTime answered{};
  base::StatusOr<Addresses> answer = base::Unavailable("not resolved");
};

Resolver::Resolver(LookUp look_up, base::Duration kept)
    : look_up_(look_up ? std::move(look_up)
                       : [](const std::string& host,
                            std::uint16_t port) { return AskSystem(host, port, AI_ADDRCONFIG); }),
      kept_(kept) {}

Resolver::~Resolver() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

base::StatusOr<Resolver::Addresses> Resolver::Resolve(const std::string& host, std::uint16_t port,
                                                      const CallScope& scope,
                                                      base::MonoTime limit) {
  if (auto literal = AskSystem(host, port, AI_NUMERICHOST); literal.ok()) return literal;
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<Job> job, Join(host, port));
  const base::Status waited = scope.WaitFor(job->done.fd(), POLLIN, limit, "Connect");
  Leave(job);
  if (!waited.ok()) return waited;
  const std::lock_guard lock(mutex_);
  return job->answer;
}

Resolver::Jobs::iterator Resolver::Find(const std::string& host, std::uint16_t port) {
  return std::find_if(jobs_.begin(), jobs_.end(), [&](const std::shared_ptr<Job>& job) {
    return job->port == port && job->host == host;
  });
}

base::StatusOr<std::shared_ptr<Resolver::Job>> Resolver::Join(const std::string& host,
                                                              std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  const base::MonoTime oldest = std::chrono::steady_clock::now() - kept_;
  std::erase_if(jobs_, [&](const std::shared_ptr<Job>& job) {
    return job->state == Job::State::kDone && job->answered <= oldest;
  });
  auto found = Find(host, port);
  if (found == jobs_.end()) {
    if (jobs_.size() >= kMaxResolving) {
      return base::ResourceExhausted("too many names wait to be resolved");
    }
    found = jobs_.insert(jobs_.end(), std::make_shared<Job>(host, port));
    if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
    work_.notify_one();
  }
  ++(*found)->callers;
  return *found;
}

void Resolver::Leave(const std::shared_ptr<Job>& job) {
  const std::lock_guard lock(mutex_);
  if (--job->callers == 0 && job->state == Job::State::kWaits) std::erase(jobs_, job);
}

void Resolver::Forget(const std::string& host, std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  const auto found = Find(host, port);
  if (found != jobs_.end() && (*found)->state == Job::State::kDone) jobs_.erase(found);
}

void Resolver::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    auto next = jobs_.end();
    work_.wait(lock, [&] {
      next = std::find_if(jobs_.begin(), jobs_.end(), [](const std::shared_ptr<Job>& job) {
        return job->state == Job::State::kWaits;
      });
      return stopping_ || next != jobs_.end();
    });
    if (stopping_) return;
    const std::shared_ptr<Job> job = *next;
    job->state = Job::State::kRuns;
    lock.unlock();
    auto answer = look_up_(job->host, job->port);
    lock.lock();
    job->state = Job::State::kDone;
    job->answered = std::chrono::steady_clock::now();
    job->answer = std::move(answer);
    if (!job->answer.ok()) std::erase(jobs_, job);
    job->done.Trigger();
  }
}

}  // namespace sluice::http
