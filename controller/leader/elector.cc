#include "controller/leader/elector.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/base/log.h"

namespace sluice::leader {

namespace log = base::log;
using base::MonoTime;
using base::Status;
using nlohmann::json;

namespace {

// The watchdog acts this long before another replica could take the Lease.
base::Duration MarginOf(const Options& options) {
  return std::min<base::Duration>(std::chrono::seconds(1),
                                  (options.lease_duration - options.renew_deadline) / 4);
}

}  // namespace

Status Validate(const Options& options) {
  if (options.identity.empty() || options.lease.name.empty() || options.lease.ns.empty()) {
    return base::InvalidArgument("leader election: identity, lease name and namespace are needed");
  }
  if (options.retry_period.count() <= 0 || options.retry_period >= options.renew_deadline ||
      options.renew_deadline >= options.lease_duration) {
    return base::InvalidArgument(
        "leader election: retry period, renew deadline and lease duration must rise in this order");
  }
  return base::OkStatus();
}

std::chrono::milliseconds RequestTimeout(std::chrono::milliseconds renew_deadline,
                                         std::chrono::milliseconds retry_period) {
  return (renew_deadline - retry_period) / 2;
}

Elector::Elector(Options options, client::Reader& reader, client::Writer& writer,
                 base::Clock& clock, base::metrics::Registry& registry, Callbacks callbacks)
    : options_(std::move(options)),
      terms_{options_.identity, options_.lease_duration},
      reader_(reader),
      writer_(writer),
      clock_(clock),
      callbacks_(std::move(callbacks)),
      master_(registry.GetGauge("leader_election_master_status",
                                "Gauge of if the reporting system is master of the relevant "
                                "lease, 0 indicates backup, 1 indicates master.",
                                {{"name", options_.lease.name}})),
      slow_renewals_(registry.GetCounter("leader_election_slowpath_total",
                                         "Renewals that needed more than one attempt.",
                                         {{"name", options_.lease.name}})) {
  SLUICE_CHECK(Validate(options_).ok());
}

Elector::~Elector() { Stop(); }

void Elector::Start() {
  SLUICE_CHECK(!renewer_.joinable());
  renewer_ = std::thread([this] { Run(); });
  watchdog_ = std::thread([this] { Watch(); });
}

void Elector::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (renewer_.joinable()) renewer_.join();
  bool release = false;
  {
    const std::lock_guard lock(mutex_);
    release = state_ == State::kLeading;
    state_ = State::kStopped;
    wake_.notify_all();
  }
  if (watchdog_.joinable()) watchdog_.join();
  if (release) Release();
  master_.Set(0);
}

bool Elector::leading() const {
  const MonoTime now = clock_.Mono();
  const std::lock_guard lock(mutex_);
  return state_ == State::kLeading && now < sent_ + options_.renew_deadline;
}

std::string Elector::holder() const {
  const std::lock_guard lock(mutex_);
  return holder_;
}

void Elector::Sleep(MonoTime until) {
  std::unique_lock lock(mutex_);
  clock_.WaitUntil(lock, wake_, until, [&] { return stopping_ || state_ == State::kLost; });
}

void Elector::Run() {
  const log::ScopedContext context("lease", options_.lease.name, options_.lease.ns);
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || state_ == State::kLost) return;
    }
    Sleep(Attempt());
  }
}

// Keeps invariants 2 and 3, whatever the renewing thread is stuck in.
void Elector::Watch() {
  std::unique_lock lock(mutex_);
  while (state_ != State::kStopped) {
    const auto done = [&] { return state_ == State::kStopped; };
    if (state_ == State::kStandby) {
      if (stopping_) {
        // The renewer ends by itself; Stop() sets kStopped.
        clock_.WaitUntil(lock, wake_, clock_.Mono() + options_.retry_period, done);
      } else {
        clock_.WaitUntil(lock, wake_, clock_.Mono() + options_.lease_duration,
                         [&] { return state_ != State::kStandby || stopping_; });
      }
      continue;
    }
    if (state_ == State::kLeading) {
      const MonoTime deadline = sent_ + options_.renew_deadline;
      clock_.WaitUntil(lock, wake_, deadline, [&] {
        return state_ != State::kLeading || sent_ + options_.renew_deadline != deadline;
      });
      if (state_ == State::kLeading && clock_.Mono() >= sent_ + options_.renew_deadline) {
        lock.unlock();
        Lose(base::DeadlineExceeded("the lease could not be renewed in time"));
        lock.lock();
      }
      continue;
    }
    const MonoTime overdue = sent_ + options_.lease_duration - MarginOf(options_);
    if (!clock_.WaitUntil(lock, wake_, overdue, done)) {
      lock.unlock();
      log::Error("work had not stopped before another replica could lead",
                 {{"identity", options_.identity}});
      callbacks_.on_overdue();
      return;
    }
  }
}

MonoTime Elector::Attempt() {
  const MonoTime sent = clock_.Mono();
  wait_until_.reset();
  const Status status = TakeOrRenew(sent);
  bool leading;
  {
    const std::lock_guard lock(mutex_);
    leading = state_ == State::kLeading;
  }
  if (!status.ok()) {
    if (leading) slow_renewals_.Add();
    if (leading && status.code() == base::Code::kFailedPrecondition) {
      Lose(status);
    } else {
      log::Warn("lease attempt failed", {{"error", status}, {"leading", leading}});
    }
  }
  const MonoTime next = sent + options_.retry_period;  // a call that hung has waited already
  // A candidate need not sleep past the instant at which the hold it saw runs out.
  return wait_until_.has_value() ? std::min(next, *wait_until_) : next;
}

void Elector::Observe(const meta::Object& lease) {
  lease_ = std::make_unique<json>(lease.ToJson());
  const Record record = ReadRecord(*lease_);
  if (seen_at_ == MonoTime{} || !record.SameHold(record_)) seen_at_ = clock_.Mono();
  record_ = record;
  const std::lock_guard lock(mutex_);
  if (holder_ != record.holder) {
    log::Info("lease holder seen", {{"holder", record.holder}});
    holder_ = record.holder;
  }
}

// FailedPrecondition: another replica holds the Lease (only an error for one that leads).
Status Elector::TakeOrRenew(MonoTime sent) {
  bool leading;
  {
    const std::lock_guard lock(mutex_);
    leading = state_ == State::kLeading;
  }
  // The leader writes at once over what it wrote last; everyone else looks first.
  if (!leading || lease_ == nullptr) {
    const auto got = reader_.Get(LeaseResource(), options_.lease);
    if (!got.ok() && got.status().code() != base::Code::kNotFound) return got.status();
    if (got.ok()) {
      Observe(**got);
    } else {
      lease_.reset();
      // Deleting a Lease frees nothing: whom we saw may lead until its hold runs out.
      const MonoTime until = seen_at_ + HoldOf(record_, terms_);
      if (!record_.holder.empty() && record_.holder != options_.identity && clock_.Mono() < until) {
        wait_until_ = until;
        return base::OkStatus();
      }
      record_ = {};
      seen_at_ = {};
    }
  }
  if (lease_ != nullptr) {
    const Decision decision = Decide(record_, seen_at_, clock_.Mono(), terms_);
    if (decision.step == Step::kWait || (leading && decision.step == Step::kTake)) {
      if (leading) return base::FailedPrecondition("the lease is held by " + record_.holder);
      wait_until_ = decision.until;
      return base::OkStatus();
    }
  }
  const json body =
      WithHold(lease_ != nullptr ? *lease_ : json::object(), options_.lease, terms_, clock_.Wall());
  const auto written = lease_ != nullptr ? writer_.Update(LeaseResource(), body)
                                         : writer_.Create(LeaseResource(), body);
  if (!written.ok()) {
    // Someone else wrote, or our own write's answer was lost: look before the next attempt.
    lease_.reset();
    if (written.status().code() == base::Code::kAborted ||
        written.status().code() == base::Code::kAlreadyExists ||
        written.status().code() == base::Code::kNotFound) {
      wait_until_ = clock_.Mono() + options_.retry_period / 10;
    }
    return written.status();
  }
  Observe(**written);
  Acquired(sent);
  return base::OkStatus();
}

void Elector::Acquired(MonoTime sent) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kLost) return;  // too late: the watchdog gave it up
    first = state_ == State::kStandby;
    state_ = State::kLeading;
    sent_ = sent;
    wake_.notify_all();
  }
  if (!first) return;
  master_.Set(1);
  log::Info("lease acquired", {{"holder", options_.identity}});
  if (callbacks_.on_acquired) callbacks_.on_acquired();
}

void Elector::Lose(Status why) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kLeading) return;
    state_ = State::kLost;
    wake_.notify_all();
  }
  master_.Set(0);
  log::Error("lease lost", {{"error", why}});
  if (callbacks_.on_lost) callbacks_.on_lost(why);
}

void Elector::Release() {
  if (lease_ == nullptr || record_.holder != options_.identity) return;
  const auto released = writer_.Update(LeaseResource(), Released(*lease_, clock_.Wall()));
  if (released.ok()) {
    log::Info("lease released", {{"lease", options_.lease.ToString()}});
  } else {
    log::Warn("lease was not released", {{"error", released.status()}});
  }
}

}  // namespace sluice::leader
