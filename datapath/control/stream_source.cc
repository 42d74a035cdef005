// The stream's owner: one thread that keeps an identity, finds the replicas and keeps a link to
// each.
#include <fmt/format.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/file.h"
#include "controller/base/log.h"
#include "datapath/control/backoff.h"
#include "datapath/control/channel.h"
#include "datapath/control/enrol.h"
#include "datapath/control/limits.h"
#include "datapath/control/link.h"
#include "datapath/control/source.h"

namespace sluice::control {
namespace {

using base::Status;

Status CheckOptions(const StreamOptions& options) {
  const std::pair<const char*, const std::string*> needed[] = {
      {"site", &options.site},
      {"node", &options.node},
      {"server_name", &options.server_name},
      {"token_file", &options.token_file},
      {"ca_file", &options.ca_file},
  };
  for (const auto& [name, value] : needed) {
    if (value->empty()) return base::InvalidArgument(fmt::format("{}: empty; set it", name));
  }
  const std::pair<const char*, const std::vector<std::string>*> lists[] = {
      {"endpoints", &options.endpoints}, {"enrolment_endpoints", &options.enrolment_endpoints}};
  for (const auto& [name, list] : lists) {
    if (list->empty()) return base::InvalidArgument(fmt::format("{}: empty; name one", name));
    for (const auto& endpoint : *list) SLUICE_RETURN_IF_ERROR(CheckEndpoint(name, endpoint));
  }
  if (options.backoff_first.count() <= 0 || options.backoff_most < options.backoff_first) {
    return base::InvalidArgument("backoff_first: above zero and not above backoff_most, please");
  }
  return base::OkStatus();
}

// A TLS server that does not trust a client's certificate (a controller installed anew has another
// CA) just closes the connection, so several such ends in a row mean: enrol again. A peer that is
// not there at all says nothing about us, and must not turn a restart into 15,000 token reviews.
bool MayBeOurCertificate(const Status& error) {
  if (error.code() != base::Code::kUnavailable) return false;
  for (const char* absent : {"onnection refused", "imed out", "nreachable", "No route"}) {
    if (error.message().find(absent) != std::string::npos) return false;
  }
  return true;
}

class StreamSourceImpl final : public StreamSource {
 public:
  StreamSourceImpl(StreamOptions options, base::Clock& clock)
      : options_(std::move(options)),
        clock_(clock),
        store_(options_.state_dir, options_.secrets_dir),
        backoff_(options_.backoff_first, options_.backoff_most,
                 std::random_device{}() ^ std::hash<std::string>{}(options_.node)),
        restore_backoff_(options_.backoff_first, options_.backoff_most, std::random_device{}()) {}
  ~StreamSourceImpl() override { Stop(); }

  Status Start(OnConfig on_config) override {
    SLUICE_CHECK(!thread_.joinable());
    SLUICE_RETURN_IF_ERROR(CheckOptions(options_));
    SLUICE_RETURN_IF_ERROR(store_.Open());
    RouteCoreLog();
    gate_ =
        std::make_unique<ConfigGate>(store_, options_.site, options_.node, std::move(on_config));
    restored_ = gate_->Restore();
    LoadIdentity();
    thread_ = std::thread([this] { Run(); });
    return base::OkStatus();
  }

  Status Reload() override {
    const std::lock_guard lock(mutex_);
    hurry_ = true;
    wake_.notify_all();
    return base::OkStatus();
  }

  void Stop() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    {
      // A write to a controller that reads nothing must not hold up the thread we wait for.
      const std::lock_guard lock(links_mutex_);
      for (auto& [target, link] : links_) link->Cancel();
    }
    if (thread_.joinable()) thread_.join();
    links_.clear();
  }

  StreamState state() const override {
    StreamState out;
    {
      const std::lock_guard lock(mutex_);
      out = state_;
    }
    if (!gate_) return out;
    const auto view = gate_->view();
    out.applied_version = view.applied_version;
    out.applied_order = view.applied_order;
    out.seen_order = view.fence;
    out.last_nack = view.last_nack;
    return out;
  }

 private:
  void Run();
  bool Sleep(base::Duration most);
  void RestoreAgain();
  void LoadIdentity();
  void KeepIdentity();
  void Adopt(std::string key_pem, const agent::v1::Identity& identity, bool enrolled);
  void KeepLinks();
  void TickLinks();
  std::string Roots() const;
  LinkIdentityPtr MakeLinkIdentity() const;
  void SetError(const Status& status);
  Health CurrentHealth() const;

  const StreamOptions options_;
  base::Clock& clock_;
  StateStore store_;
  std::unique_ptr<ConfigGate> gate_;
  std::thread thread_;

  // Of the thread alone (and of Start() before it, of Stop() after it ended).
  Backoff backoff_;
  Backoff restore_backoff_;
  bool restored_ = false;
  base::MonoTime next_restore_{};
  HeldIdentity held_;
  base::MonoTime next_identity_try_{};
  base::MonoTime next_resolve_{};
  base::MonoTime last_health_{};
  // By target. Changed by the thread under links_mutex_; read by it without, by Stop() with it.
  std::map<std::string, std::unique_ptr<Link>> links_;
  std::vector<std::string> targets_;

  std::mutex links_mutex_;  // never taken inside mutex_
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  StreamState state_;  // guarded by mutex_, as all below
  bool stopping_ = false;
  bool hurry_ = false;
  bool unauthenticated_ = false;  // a link was refused for its certificate
  int doubts_ = 0;                // failures in a row that may have been such a refusal
};

// Waits; true when stopping.
bool StreamSourceImpl::Sleep(base::Duration most) {
  std::unique_lock lock(mutex_);
  clock_.WaitUntil(lock, wake_, clock_.Mono() + most, [this] { return stopping_ || hurry_; });
  if (hurry_ && !stopping_) {
    hurry_ = false;
    next_identity_try_ = next_resolve_ = {};
    for (auto& [target, link] : links_) link->Hurry();
  }
  return stopping_;
}

void StreamSourceImpl::Run() {
  // Short lives (tests) want short ticks: a renewal must not come a second late.
  const base::Duration tick = std::min<base::Duration>(
      kTick, std::max(options_.backoff_first, std::chrono::milliseconds(10)));
  do {
    RestoreAgain();
    KeepIdentity();
    if (!held_.key_pem.empty()) {
      KeepLinks();
      TickLinks();
    }
  } while (!Sleep(tick));
  for (auto& [target, link] : links_) link->Stop();
}

// What was in the way at the start (a port, a disk that was not mounted yet) may be gone, and there
// may be no controller to offer anything.
void StreamSourceImpl::RestoreAgain() {
  if (restored_ || clock_.Mono() < next_restore_) return;
  restored_ = gate_->Restore();
  next_restore_ = clock_.Mono() + restore_backoff_.Next();
}

void StreamSourceImpl::SetError(const Status& status) {
  const std::lock_guard lock(mutex_);
  if (state_.last_error != status.message()) {
    base::log::Warn("controller not reached", {{"error", status}});
  }
  state_.last_error = status.message();
}

void StreamSourceImpl::LoadIdentity() {
  std::string key_pem;
  agent::v1::Identity identity;
  if (!store_.LoadIdentity(key_pem, identity).ok()) return;
  auto held = Hold(std::move(key_pem), identity, clock_.Wall());
  if (!held.ok() || held->not_after <= clock_.Wall()) return;  // enrol anew
  held_ = std::move(held).value();
  const std::lock_guard lock(mutex_);
  state_.certificate_not_after = held_.not_after;
}

// Our roots and those the cluster publishes: while the CA rotates one of them is ahead.
std::string StreamSourceImpl::Roots() const {
  const auto published = base::ReadFile(options_.ca_file, 1 << 20);
  return published.ok() ? held_.ca_pem + "\n" + *published : held_.ca_pem;
}

LinkIdentityPtr StreamSourceImpl::MakeLinkIdentity() const {
  return std::make_shared<const LinkIdentity>(
      LinkIdentity{held_.key_pem, held_.certificate_pem, Roots()});
}

void StreamSourceImpl::Adopt(std::string key_pem, const agent::v1::Identity& identity,
                             bool enrolled) {
  auto held = Hold(key_pem, identity, clock_.Wall());
  if (!held.ok()) return SetError(held.status());
  held_ = std::move(held).value();
  gate_->Admitted(held_.lineage);
  const Status saved = store_.SaveIdentity(key_pem, identity);
  if (!saved.ok()) base::log::Error("identity not kept", {{"error", saved}});
  {
    const std::lock_guard lock(mutex_);
    ++(enrolled ? state_.enrolments : state_.renewals);
    state_.certificate_not_after = held_.not_after;
    unauthenticated_ = false;
    doubts_ = 0;
  }
  backoff_.Reset();
  base::log::Info(enrolled ? "agent enrolled" : "certificate renewed",
                  {{"site", options_.site}, {"node", options_.node}});
  const auto fresh = MakeLinkIdentity();
  for (auto& [target, link] : links_) link->SetIdentity(fresh);
}

// Enrols when there is no usable certificate, renews about half-way through its life.
void StreamSourceImpl::KeepIdentity() {
  const auto now = clock_.Wall();
  bool refused = false;
  {
    const std::lock_guard lock(mutex_);
    refused = unauthenticated_;
  }
  const bool usable = !held_.key_pem.empty() && now < held_.not_after && !refused;
  if (usable && now < held_.renew_at) return;
  if (clock_.Mono() < next_identity_try_) return;
  std::string key_pem;
  agent::v1::Identity identity;
  std::string unresolved;
  const auto targets =
      Resolve(usable ? options_.endpoints : options_.enrolment_endpoints, kMaxLinks, unresolved);
  Status status = base::Unavailable(unresolved.empty() ? "no controller address" : unresolved);
  for (const auto& target : targets) {
    status = usable ? Renew(options_, target, Roots(), held_, key_pem, identity)
                    : Enrol(options_, target, key_pem, identity);
    if (status.ok()) return Adopt(std::move(key_pem), identity, !usable);
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
  SetError(status.Annotate(usable ? "renewing the certificate" : "enrolling"));
  if (usable && status.code() == base::Code::kUnauthenticated) {
    const std::lock_guard lock(mutex_);
    unauthenticated_ = true;
  }
  next_identity_try_ = clock_.Mono() + backoff_.Next();
}

void StreamSourceImpl::KeepLinks() {
  if (clock_.Mono() < next_resolve_) return;
  std::string unresolved;
  auto targets = Resolve(options_.endpoints, kMaxLinks, unresolved);
  const bool found = !targets.empty();
  // A resolver that fails says nothing about the replicas we know.
  if (found) targets_ = std::move(targets);
  if (!unresolved.empty()) SetError(base::Unavailable(unresolved));
  next_resolve_ = clock_.Mono() + (found ? base::Duration(kResolveInterval) : backoff_.Next());
  {
    const std::lock_guard lock(links_mutex_);
    std::erase_if(links_, [&](const auto& entry) {
      return std::ranges::find(targets_, entry.first) == targets_.end();
    });
  }
  for (const auto& target : targets_) {
    if (links_.contains(target)) continue;
    LinkEvents events;
    events.failed = [this](const Status& error) {
      SetError(error);
      const std::lock_guard lock(mutex_);
      if (MayBeOurCertificate(error)) ++doubts_;
      if (error.code() == base::Code::kUnauthenticated || doubts_ >= kDoubtsBeforeEnrolling) {
        unauthenticated_ = true;
      }
    };
    events.welcomed = [this] {
      const std::lock_guard lock(mutex_);
      state_.last_error.clear();
      doubts_ = 0;
      unauthenticated_ = false;
    };
    events.drain = [this](std::chrono::seconds grace) {
      base::log::Info("drain asked for", {{"grace_seconds", grace.count()}});
      if (options_.on_drain) options_.on_drain(grace);
    };
    auto link = std::make_unique<Link>(options_, target, MakeLinkIdentity(), *gate_, clock_,
                                       std::move(events));
    const std::lock_guard lock(links_mutex_);
    {
      const std::lock_guard state_lock(mutex_);
      if (stopping_) link->Cancel();  // Stop() may have passed already
    }
    links_[target] = std::move(link);
  }
}

Health StreamSourceImpl::CurrentHealth() const {
  const auto view = gate_->view();
  Health health;
  if (options_.health) {
    health = options_.health();
  } else if (!view.applied_version.empty()) {
    health.state = Health::State::kServing;
  }
  if (!view.disk_problem.empty()) {
    health.problems.insert(health.problems.begin(), view.disk_problem);
    if (health.state == Health::State::kServing) health.state = Health::State::kDegraded;
  }
  return health;
}

void StreamSourceImpl::TickLinks() {
  const Health health = CurrentHealth();
  std::chrono::seconds interval{60};
  int connected = 0;
  for (auto& [target, link] : links_) {
    if (!link->welcomed()) continue;
    ++connected;
    interval = std::min(interval, link->health_interval());
  }
  const bool due = clock_.Mono() >= last_health_ + interval;
  if (due) last_health_ = clock_.Mono();
  for (auto& [target, link] : links_) link->Tick(health, due);
  const std::lock_guard lock(mutex_);
  state_.connected = connected;
}

}  // namespace

std::unique_ptr<StreamSource> MakeStreamSource(StreamOptions options, base::Clock& clock) {
  return std::make_unique<StreamSourceImpl>(std::move(options), clock);
}

}  // namespace sluice::control
