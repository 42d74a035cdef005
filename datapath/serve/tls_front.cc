#include "datapath/serve/tls_front.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "controller/base/log.h"
#include "controller/base/time_format.h"
#include "datapath/serve/limits.h"

namespace sluice::serve {

TlsFront::TlsFront(const control::Listen& listener, base::Clock& clock, AgentMetrics& metrics)
    : address_(listener.address),
      files_(listener.certificates),
      waits_(listener.wait_for_files),
      clock_(clock),
      metrics_(metrics) {}

base::StatusOr<std::unique_ptr<TlsFront>> TlsFront::Open(const control::Listen& listener,
                                                         base::Clock& clock,
                                                         AgentMetrics& metrics) {
  std::unique_ptr<TlsFront> front(new TlsFront(listener, clock, metrics));
  const base::Status read = front->Look();
  if (!read.ok() && !front->waits_) return read.Annotate("listener " + listener.address);
  for (std::size_t i = 0; i < front->files_.size(); ++i)
    metrics.registry().Watch(
        "sluice_agent_tls_certificate_not_after_seconds",
        "When a certificate shown to clients ends, as a Unix time.", "gauge",
        {{"site", metrics.site()},
         {"listener", front->address_},
         {"certificate", front->files_[i].certificate_file}},
        [raw = front.get(), i] {
          std::lock_guard lock(raw->mutex_);
          if (i >= raw->shown_.size()) return std::numeric_limits<double>::quiet_NaN();
          return std::chrono::duration<double>(raw->shown_[i].validity.not_after.time_since_epoch())
              .count();
        });
  front->thread_ = std::thread([raw = front.get()] { raw->Loop(); });
  return front;
}

TlsFront::~TlsFront() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const net::TlsServer> TlsFront::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

base::Status TlsFront::Look() {
  std::lock_guard looking(look_mutex_);
  std::vector<net::CertificateFiles> files;
  for (const control::CertificateFiles& one : files_)
    files.push_back({one.certificate_file, one.key_file});
  auto loaded = net::LoadCertificates(files);
  const base::Status outcome = loaded.ok() ? Take(std::move(loaded).value()) : loaded.status();
  std::lock_guard lock(mutex_);
  const std::string problem = outcome.ok() ? "" : outcome.message();
  if (!outcome.ok()) metrics_.tls_reload_failures.Add();
  if (problem != problem_) {
    if (!outcome.ok() && current_ != nullptr)
      base::log::Error("certificates were not read; the former are shown",
                       {{"listener", address_}, {"error", outcome}});
    if (!outcome.ok() && current_ == nullptr && waits_)
      base::log::Warn("certificates have not come; connections with TLS are closed until they do",
                      {{"listener", address_}, {"error", outcome}});
    if (outcome.ok()) base::log::Info("certificates are read again", {{"listener", address_}});
    problem_ = problem;
  }
  missing_ = outcome.code() == base::Code::kNotFound;
  return outcome;
}

base::Status TlsFront::Take(std::vector<net::LoadedCertificate> loaded) {
  std::vector<base::KeyPair> pairs;
  for (const net::LoadedCertificate& one : loaded) pairs.push_back(one.pair);
  {
    std::lock_guard lock(mutex_);
    const auto same = [](const net::LoadedCertificate& a, const net::LoadedCertificate& b) {
      return a.pair.certificate_pem == b.pair.certificate_pem && a.pair.key_pem == b.pair.key_pem;
    };
    if (std::ranges::equal(loaded, shown_, same)) return base::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(auto server, net::TlsServer::Create(pairs));
  const auto first_end = std::ranges::min(loaded, {}, [](const net::LoadedCertificate& one) {
                           return one.validity.not_after;
                         }).validity.not_after;
  std::lock_guard lock(mutex_);
  current_ = std::move(server);
  shown_ = std::move(loaded);
  base::log::Info("certificates in force", {{"listener", address_},
                                            {"certificates", shown_.size()},
                                            {"first_end", base::FormatRfc3339(first_end)}});
  return base::OkStatus();
}

bool TlsFront::failing() const {
  std::lock_guard lock(mutex_);
  return !problem_.empty();
}

std::vector<std::string> TlsFront::Problems() const {
  const base::WallTime now = clock_.Wall();
  std::lock_guard lock(mutex_);
  std::vector<std::string> problems;
  if (!problem_.empty()) problems.push_back("certificates: " + problem_);
  for (std::size_t i = 0; i < shown_.size(); ++i)
    if (shown_[i].validity.not_after <= now)
      problems.push_back(fmt::format("the certificate in {} has ended at {}",
                                     files_[i].certificate_file,
                                     base::FormatRfc3339(shown_[i].validity.not_after)));
  return problems;
}

control::CertificateStanding TlsFront::Standing() const {
  using State = control::CertificateStanding::State;
  std::vector<std::string> problems = Problems();
  std::lock_guard lock(mutex_);
  if (problems.empty()) return {.state = State::kShown, .problem = {}};
  const State state = problem_.empty() ? State::kEnded
                      : missing_       ? State::kMissing
                                       : State::kUnusable;
  return {.state = state, .problem = problem_.empty() ? std::move(problems.front()) : problem_};
}

void TlsFront::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    clock_.WaitUntil(lock, wake_, clock_.Mono() + kCertificateLook, [this] { return stopping_; });
    if (stopping_) return;
    lock.unlock();
    static_cast<void>(Look());  // counted, logged and told inside
    lock.lock();
  }
}

}  // namespace sluice::serve
