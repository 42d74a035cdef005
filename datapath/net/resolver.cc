#include "datapath/net/resolver.h"

#include <netdb.h>

#include <optional>

#include "datapath/net/limits.h"

namespace sluice::net {
namespace {

base::StatusOr<std::vector<std::string>> AskSystem(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error == EAI_NONAME || error == EAI_NODATA)
    return base::NotFound("no address for host \"" + host + "\"");
  if (error != 0) return base::Unavailable("resolve \"" + host + "\": " + ::gai_strerror(error));
  std::vector<std::string> ips;
  for (const addrinfo* item = list; item != nullptr; item = item->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(item->ai_addr, item->ai_addrlen, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0)
      ips.emplace_back(text);
  }
  ::freeaddrinfo(list);
  return ips;
}

std::vector<Address> WithPort(const std::vector<std::string>& ips, std::uint16_t port) {
  std::vector<Address> addresses;
  for (const std::string& ip : ips) {
    auto address = Address::FromIp(ip, port);
    if (address.ok()) addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace

Resolver::Resolver(base::Clock& clock) : clock_(clock), thread_([this] { Work(); }) {}

Resolver::~Resolver() {
  std::deque<Question> refused;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    refused.swap(queue_);
  }
  wake_.notify_all();
  for (Question& question : refused)
    Deliver(std::move(question), base::Cancelled("the resolver stops"));
  thread_.join();
}

void Resolver::Deliver(Question question, base::StatusOr<std::vector<Address>> result) {
  EventLoop* const loop = question.loop;
  loop->Post([done = std::move(question.done), result = std::move(result)]() mutable {
    done(std::move(result));
  });
}

void Resolver::Resolve(EventLoop& loop, const std::string& host, std::uint16_t port, Done done) {
  Question question{&loop, host, port, std::move(done)};
  if (auto literal = Address::FromIp(host, port); literal.ok())
    return Deliver(std::move(question), std::vector<Address>{*literal});
  std::optional<base::StatusOr<std::vector<Address>>> now;
  {
    std::lock_guard lock(mutex_);
    const auto known = answers_.find(host);
    if (stopping_) {
      now = base::Cancelled("the resolver stops");
    } else if (known != answers_.end() && clock_.Mono() < known->second.asked_at + kResolvedTtl) {
      now = WithPort(known->second.ips, port);
    } else if (queue_.size() >= kMaxResolveQueue) {
      now = base::ResourceExhausted("too many host names wait to be resolved");
    } else {
      queue_.push_back(std::move(question));
    }
  }
  if (now.has_value()) {
    Deliver(std::move(question), std::move(*now));
  } else {
    wake_.notify_one();
  }
}

void Resolver::Work() {
  for (;;) {
    Question question;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      question = std::move(queue_.front());
      queue_.pop_front();
    }
    auto asked = AskSystem(question.host);
    base::StatusOr<std::vector<Address>> result = base::Unavailable("no answer");
    {
      std::lock_guard lock(mutex_);
      if (asked.ok() && !asked->empty()) {
        if (answers_.size() >= kMaxResolved) answers_.clear();
        answers_[question.host] = Answer{*asked, clock_.Mono()};
      }
      const auto known = answers_.find(question.host);
      if (known != answers_.end() &&
          (asked.ok() || asked.status().code() != base::Code::kNotFound)) {
        result = WithPort(known->second.ips, question.port);
      } else if (!asked.ok()) {
        result = asked.status();
      }
    }
    Deliver(std::move(question), std::move(result));
  }
}

}  // namespace sluice::net
