#include "controller/http/resolver.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>

#include <cstring>

#include "controller/http/limits.h"

namespace sluice::http {
namespace {

base::StatusOr<std::vector<SocketAddress>> LookUp(const std::string& host, std::uint16_t port,
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
  std::vector<SocketAddress> out;
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

// Shared by the caller, who may give up, and the thread, which cannot.
struct Resolver::Job {
  std::string host;
  std::uint16_t port = 0;
  WakeFd done;
  std::mutex mutex;
  base::StatusOr<std::vector<SocketAddress>> result = base::Unavailable("not resolved");
};

Resolver::~Resolver() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

base::StatusOr<std::vector<SocketAddress>> Resolver::Resolve(const std::string& host,
                                                             std::uint16_t port,
                                                             const CallScope& scope,
                                                             base::MonoTime limit) {
  if (auto literal = LookUp(host, port, AI_NUMERICHOST); literal.ok()) return literal;
  auto job = std::make_shared<Job>();
  job->host = host;
  job->port = port;
  {
    std::lock_guard lock(mutex_);
    if (jobs_.size() >= kMaxResolving) {
      return base::ResourceExhausted("too many names wait to be resolved");
    }
    jobs_.push_back(job);
    if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
  }
  work_.notify_one();
  SLUICE_RETURN_IF_ERROR(scope.WaitFor(job->done.fd(), POLLIN, limit, "Connect"));
  std::lock_guard lock(job->mutex);
  return job->result;
}

void Resolver::Loop() {
  while (true) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    auto result = LookUp(job->host, job->port, AI_ADDRCONFIG);
    {
      std::lock_guard lock(job->mutex);
      job->result = std::move(result);
    }
    job->done.Trigger();
  }
}

}  // namespace sluice::http
