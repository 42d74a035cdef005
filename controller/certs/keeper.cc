#include "controller/certs/keeper.h"

#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/certs/secret_form.h"

namespace sluice::certs {

namespace log = base::log;
using base::Status;
using base::StatusOr;
using nlohmann::json;

Keeper::Keeper(Options options, client::Client& client, base::Clock& clock,
               base::metrics::Registry& registry)
    : options_(std::move(options)),
      client_(client),
      clock_(clock),
      failures_(registry.GetCounter("sluice_certificates_failures_total",
                                    "Looks at the certificates' Secret that failed.",
                                    {{"secret", options_.secret.ToString()}})),
      writes_(registry.GetCounter("sluice_certificates_writes_total",
                                  "Steps of issuing and rotating written to the Secret.",
                                  {{"secret", options_.secret.ToString()}})),
      authority_end_(registry.GetGauge("sluice_certificates_authority_expiry_seconds",
                                       "When the signing authority ends (Unix time).",
                                       {{"secret", options_.secret.ToString()}})) {
  SLUICE_CHECK(options_.take && options_.leading && options_.targets.size() <= kMaxTargets);
}

Keeper::~Keeper() { Stop(); }

// What the Secret holds now, after what was due, when we lead.
StatusOr<State> Keeper::Kept() {
  std::optional<meta::ObjectPtr> object;
  std::optional<State> state;
  auto got = client_.Get(SecretResource(), options_.secret);
  if (got.ok()) {
    object = *got;
    SLUICE_ASSIGN_OR_RETURN(state, ReadSecret(**got));
  } else if (got.status().code() != base::Code::kNotFound) {
    return got.status();
  }
  if (options_.leading()) {
    SLUICE_ASSIGN_OR_RETURN(const auto next, Plan(options_.policy, state, clock_.Wall(),
                                                  state.has_value() && Settled(*state)));
    if (next) return Write(object, *next);
  }
  if (!state) return base::Unavailable("not there yet; the replica that leads makes it");
  return std::move(*state);
}

// A conflict means that somebody else wrote: the next look sees it.
StatusOr<State> Keeper::Write(const std::optional<meta::ObjectPtr>& kept, const State& state) {
  json secret =
      kept ? (*kept)->ToJson()
           : json{{"apiVersion", "v1"},
                  {"kind", "Secret"},
                  {"type", "kubernetes.io/tls"},
                  {"metadata",
                   {{"namespace", options_.secret.ns},
                    {"name", options_.secret.name},
                    {"labels", {{"app.kubernetes.io/managed-by", options_.field_manager}}}}}};
  WriteSecret(state, secret);
  const auto written =
      kept ? client_.Update(SecretResource(), secret) : client_.Create(SecretResource(), secret);
  if (!written.ok()) return written.status();
  writes_.Add();
  log::Info("certificates were written",
            {{"secret", options_.secret.ToString()}, {"announced", state.next.has_value()}});
  return state;
}

bool Keeper::Settled(const State& state) const {
  return in_place_ == state.Bundle() && clock_.Mono() - in_place_since_ >= options_.settle;
}

// One target's error keeps no other from its bundle, but nothing is known to be in place then.
Status Keeper::InjectAll(const std::string& bundle) {
  Status first_error;
  for (const std::vector<Target>& targets : ByObject(options_.targets)) {
    const auto wrote = Inject(client_, client_, targets, bundle, options_.field_manager);
    if (wrote.ok() && !*wrote) continue;
    in_place_.clear();
    const std::string& name = targets.front().name;
    if (wrote.ok()) {
      log::Info("CA bundle was injected", {{"target", name}});
    } else if (first_error.ok()) {
      first_error = wrote.status().Annotate(name);
    }
  }
  SLUICE_RETURN_IF_ERROR(first_error);
  if (in_place_ != bundle) {
    in_place_ = bundle;
    in_place_since_ = clock_.Mono();
  }
  return base::OkStatus();
}

Status Keeper::Look() {
  const auto looked = [&]() -> Status {
    SLUICE_ASSIGN_OR_RETURN(const State state, Kept());
    if (state.serving.certificate_pem != taken_) {
      SLUICE_RETURN_IF_ERROR(options_.take(state.serving));
      taken_ = state.serving.certificate_pem;
    }
    SLUICE_ASSIGN_OR_RETURN(const auto end, base::NotAfter(state.authority.certificate_pem));
    authority_end_.Set(std::chrono::duration<double>(end.time_since_epoch()).count());
    if (!options_.leading()) {
      in_place_.clear();  // whoever leads next watches the bundle settle himself
      return base::OkStatus();
    }
    return InjectAll(state.Bundle());
  }();
  if (looked.ok()) return looked;
  failures_.Add();
  return looked.Annotate("Secret " + options_.secret.ToString());
}

void Keeper::Start() {
  SLUICE_CHECK(!thread_.joinable());
  thread_ = std::thread([this] { Loop(); });
}

void Keeper::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Keeper::Loop() {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    if (const Status status = Look(); !status.ok()) {
      log::Warn("certificates were not looked after, kept the old ones", {{"error", status}});
    }
    lock.lock();
  } while (
      !clock_.WaitUntil(lock, wake_, clock_.Mono() + options_.period, [&] { return stopping_; }));
}

}  // namespace sluice::certs
