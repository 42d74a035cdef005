#include "controller/http/server_intake.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/http/limits.h"
#include "controller/http/server_answer.h"

namespace sluice::http {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kHeadEnd = "\r\n\r\n";

int CodeOf(const base::Status& refusal) {
  switch (refusal.code()) {
    case base::Code::kFailedPrecondition:
      return 411;
    case base::Code::kResourceExhausted:
      return 431;
    default:
      return 400;
  }
}

}  // namespace

ServerIntake::ServerIntake(int listener, SSL_CTX* tls, Refusal refusal)
    : listener_(listener), tls_(tls), refusal_(std::move(refusal)) {}

ServerIntake::~ServerIntake() = default;

void ServerIntake::Run(const WakeFd& stop, const Take& take) {
  while (true) {
    polled_.assign({{listener_, POLLIN, 0}, {stop.fd(), POLLIN, 0}});
    for (const Waiting& each : waiting_) polled_.push_back({each.connection->fd(), POLLIN, 0});
    poll(polled_.data(), polled_.size(), UntilNextLimitMs());
    if (stop.triggered()) return;
    const base::MonoTime now = steady_clock::now();
    auto polled = polled_.begin() + 2;
    for (auto each = waiting_.begin(); each != waiting_.end(); ++polled) {
      const bool stays = now < each->limit && (polled->revents == 0 || Advance(*each, take));
      each = stays ? std::next(each) : waiting_.erase(each);
    }
    if (polled_.front().revents != 0) AcceptSome(stop, take);
  }
}

int ServerIntake::UntilNextLimitMs() const {
  if (waiting_.empty()) return -1;
  const auto next =
      std::min_element(waiting_.begin(), waiting_.end(),
                       [](const Waiting& a, const Waiting& b) { return a.limit < b.limit; });
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(next->limit - steady_clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

void ServerIntake::AcceptSome(const WakeFd& stop, const Take& take) {
  for (int i = 0; i < kMaxServerAccepts; ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
      base::log::Warn("HTTP server could not accept",
                      {{"error", base::FromErrno(errno, "accept")}});
      pollfd wait{stop.fd(), POLLIN, 0};
      poll(&wait, 1, static_cast<int>(kServerAcceptPause.count()));
      return;
    }
    SSL* const session = tls_ == nullptr ? nullptr : SSL_new(tls_);
    SLUICE_CHECK((session == nullptr) == (tls_ == nullptr));  // out of memory
    if (waiting_.size() >= kMaxServerWaiting) waiting_.pop_front();
    waiting_.push_back({.connection = Connection::Accepted(fd, session),
                        .limit = steady_clock::now() + kServerHeadTimeout});
    // Most have asked already.
    if (!Advance(waiting_.back(), take)) waiting_.pop_back();
  }
}

bool ServerIntake::Advance(Waiting& each, const Take& take) {
  char buffer[kReadBufferBytes];
  while (true) {
    const auto got = each.connection->ReadNow(buffer, sizeof(buffer));
    if (!got.ok() || *got == std::size_t{0}) return false;
    if (!got->has_value()) return true;
    if (each.refused) {
      each.drained += **got;
      if (each.drained > kMaxServerDrainBytes) return false;
      continue;
    }
    const std::size_t seen = each.bytes.size();
    each.bytes.append(buffer, **got);
    const std::size_t end = each.bytes.find(kHeadEnd, seen - std::min(seen, kHeadEnd.size() - 1));
    if (end != std::string::npos) {
      if (!TakeHead(each, end, take)) return false;
    } else if (each.bytes.size() > kMaxServerHeadBytes) {
      Refuse(each, base::ResourceExhausted("the request's head is too long"));
    }
  }
}

bool ServerIntake::TakeHead(Waiting& each, std::size_t head_bytes, const Take& take) {
  auto head = ParseRequestHead(std::string_view(each.bytes).substr(0, head_bytes));
  if (!head.ok()) {
    Refuse(each, head.status());
    return true;
  }
  each.bytes.erase(0, head_bytes + kHeadEnd.size());
  if (const auto refused = refusal_(*head)) {
    const bool is_whole = each.bytes.size() >= head->content_length;
    Refuse(each, AnswerHead(*refused) + (head->method == "HEAD" ? "" : refused->body));
    return !is_whole;
  }
  take({std::move(each.connection), std::move(head).value(), std::move(each.bytes)});
  return false;
}

void ServerIntake::Refuse(Waiting& each, const base::Status& why) const {
  const ServerResponse answer{.status = CodeOf(why), .body = why.message() + "\n"};
  Refuse(each, AnswerHead(answer) + answer.body);
}

// Cut at once, the client might never see why: it is still sending.
void ServerIntake::Refuse(Waiting& each, const std::string& answer) const {
  const CallScope at_once(never_, {}, steady_clock::now());
  // What does not fit into a socket that is empty is not waited for.
  static_cast<void>(each.connection->WriteAll(answer, at_once, at_once.deadline()));
  each.refused = true;
  each.limit = steady_clock::now() + kServerDrainTimeout;
  each.bytes.clear();
}

}  // namespace sluice::http
