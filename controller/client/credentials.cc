#include "controller/client/credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/certificate.h"
#include "controller/base/file.h"
#include "controller/base/log.h"
#include "controller/base/time_format.h"
#include "controller/client/limits.h"

namespace sluice::client {
namespace {

using std::chrono::milliseconds;

// A file that is there and says nothing is half written or a mistake, and never means to go
// without: no token would make us anonymous, no CA would let any public one vouch for the server.
base::StatusOr<std::string> ReadText(const std::string& file) {
  SLUICE_ASSIGN_OR_RETURN(std::string text, base::ReadFile(file, kMaxCredentialFileBytes));
  if (text.find_first_not_of(" \t\r\n") != std::string::npos) return text;
  return base::InvalidArgument(file + ": empty");
}

bool Same(const http::TlsOptions& a, const http::TlsOptions& b) {
  return a.ca_pem == b.ca_pem && a.cert_pem == b.cert_pem && a.key_pem == b.key_pem;
}

}  // namespace

base::StatusOr<ExecCredential> ParseExecCredential(std::string_view text,
                                                   std::string_view api_version) {
  const auto none = [api_version] {  // what it printed may hold the credential
    return base::InvalidArgument(
        fmt::format("the plugin printed no ExecCredential of {}", api_version));
  };
  const nlohmann::json said = nlohmann::json::parse(text, nullptr, false);
  try {
    if (!said.is_object() || said.at("kind") != "ExecCredential" ||
        said.at("apiVersion") != api_version) {
      return none();
    }
    const nlohmann::json& status = said.at("status");
    ExecCredential out;
    const auto text_of = [&status](const char* key) {  // null says as little as nothing does
      const auto found = status.find(key);
      return found == status.end() || found->is_null() ? std::string() : found->get<std::string>();
    };
    out.token = text_of("token");
    out.cert_pem = text_of("clientCertificateData");
    out.key_pem = text_of("clientKeyData");
    if (out.cert_pem.empty() != out.key_pem.empty()) {
      return base::InvalidArgument("the plugin gave half of a certificate and key");
    }
    if (out.token.empty() && out.cert_pem.empty()) {
      return base::InvalidArgument("the plugin gave neither token nor certificate");
    }
    if (const std::string at = text_of("expirationTimestamp"); !at.empty()) {
      SLUICE_ASSIGN_OR_RETURN(out.expires, base::ParseRfc3339(at));
    }
    // A certificate ends whatever was said.
    if (const auto end = base::NotAfter(out.cert_pem); end.ok()) {
      out.expires = std::min(out.expires, *end);
    }
    return out;
  } catch (const nlohmann::json::exception&) {
    return none();
  }
}

base::StatusOr<std::unique_ptr<Credentials>> Credentials::Make(const Config& config,
                                                               base::Clock& clock) {
  std::unique_ptr<Credentials> made(new Credentials(config, clock));
  Texts& texts = made->texts_;
  SLUICE_RETURN_IF_ERROR(texts.ReadCa(config));
  SLUICE_RETURN_IF_ERROR(texts.ReadPair(config));
  if (const base::Status status = texts.ReadToken(config); !status.ok()) {
    if (config.token.empty()) return status;
    base::log::Warn("token file was not readable, took the configured token", {{"error", status}});
  }
  made->read_at_ = clock.Mono();
  made->Publish();
  if (config.exec) {
    made->runner_ =
        std::jthread([self = made.get()](const std::stop_token& stop) { self->RunPlugin(stop); });
  }
  return made;
}

base::Status Credentials::Texts::ReadCa(const Config& config) {
  if (!config.ca_pem.empty() || config.ca_file.empty()) return base::OkStatus();
  SLUICE_ASSIGN_OR_RETURN(ca_pem, ReadText(config.ca_file));
  return base::OkStatus();
}

base::Status Credentials::Texts::ReadPair(const Config& config) {
  std::string cert = config.cert_pem;
  std::string key = config.key_pem;
  if (cert.empty() && !config.cert_file.empty()) {
    SLUICE_ASSIGN_OR_RETURN(cert, ReadText(config.cert_file));
  }
  if (key.empty() && !config.key_file.empty()) {
    SLUICE_ASSIGN_OR_RETURN(key, ReadText(config.key_file));
  }
  cert_pem = std::move(cert);
  key_pem = std::move(key);
  return base::OkStatus();
}

base::Status Credentials::Texts::ReadToken(const Config& config) {
  if (config.token_file.empty()) return base::OkStatus();
  SLUICE_ASSIGN_OR_RETURN(std::string text, ReadText(config.token_file));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  token = std::move(text);
  return base::OkStatus();
}

Credentials::~Credentials() { Stop(); }

void Credentials::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  runner_.request_stop();
}

std::shared_ptr<const Credentials::Material> Credentials::Known() const {
  const std::lock_guard lock(mutex_);
  return shared_;
}

base::StatusOr<std::shared_ptr<const Credentials::Material>> Credentials::CurrentUnless(
    const std::shared_ptr<const Material>& refused, Unknown unknown, base::MonoTime deadline,
    const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    { const std::lock_guard lock(mutex_); }
    changed_.notify_all();
  });
  std::unique_lock lock(mutex_);  // released before `wake` waits for its callback
  const Wait wait{lock, deadline, stop};
  SLUICE_RETURN_IF_ERROR(ReadFiles(wait, refused.get()));
  if (config_.exec && NeedsPlugin(refused.get(), unknown)) {
    SLUICE_RETURN_IF_ERROR(AskPlugin(wait));
  }
  return shared_;
}

base::Status Credentials::Until(const Wait& wait, const std::function<bool()>& ready) {
  const auto stopped = [&] { return stopped_ || wait.stop.stop_requested(); };
  clock_.WaitUntil(wait.lock, changed_, wait.deadline, [&] { return ready() || stopped(); });
  if (ready()) return base::OkStatus();
  if (stopped()) return base::Cancelled("stopped while credentials were refreshed");
  return base::DeadlineExceeded("waited for credentials to be refreshed").WithReason("Total");
}

base::Status Credentials::ReadFiles(const Wait& wait, const Material* refused) {
  if (reading_) SLUICE_RETURN_IF_ERROR(Until(wait, [this] { return !reading_; }));
  const bool early = refused == nullptr || refused != shared_.get();
  if (early && clock_.Mono() - read_at_ < kFileRecheck) return base::OkStatus();
  struct Turn {  // however it ends: others wait for it
    Credentials& self;
    std::unique_lock<std::mutex>& lock;
    ~Turn() {
      if (!lock.owns_lock()) lock.lock();
      self.reading_ = false;
      self.changed_.notify_all();
    }
  };
  reading_ = true;
  const Turn turn{*this, wait.lock};
  Texts texts = texts_;
  wait.lock.unlock();  // a file may be far away
  for (const base::Status& status :
       {texts.ReadCa(config_), texts.ReadPair(config_), texts.ReadToken(config_)}) {
    if (!status.ok()) {
      base::log::Warn("credential file was not readable, kept the old one", {{"error", status}});
    }
  }
  const base::MonoTime now = clock_.Mono();
  wait.lock.lock();
  texts_ = std::move(texts);
  read_at_ = now;
  Publish();
  return base::OkStatus();
}

bool Credentials::NeedsPlugin(const Material* refused, Unknown unknown) const {
  if (!given_ || clock_.Wall() >= given_->expires) return true;
  if (refused == nullptr || refused->exec_version != exec_version_) return false;
  return unknown == Unknown::kUser || (unknown == Unknown::kHandshake && !given_->cert_pem.empty());
}

base::Status Credentials::AskPlugin(const Wait& wait) {
  // Every call asks for credentials: a plugin that fails must not be started by each of them.
  const bool again = exec_failed_.ok() || clock_.Mono() - exec_failed_at_ >= kExecRetry;
  if (again || plugin_wanted_) {
    plugin_wanted_ = true;
    changed_.notify_all();
    SLUICE_RETURN_IF_ERROR(
        Until(wait, [this, before = plugin_runs_] { return plugin_runs_ != before; }));
  }
  if (given_) return base::OkStatus();
  return base::Unauthenticated(exec_failed_.message()).WithReason("CredentialPlugin");
}

void Credentials::RunPlugin(const std::stop_token& stop) {
  const auto limit =
      config_.exec->interactive ? milliseconds(kExecPersonTimeout) : milliseconds(kExecTimeout);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopped_ || plugin_wanted_; });
    if (stopped_) return;
    lock.unlock();
    auto answer = RunExecPlugin(config_, limit, stop);
    const base::Status failed =
        answer.status().Annotate("credential plugin " + config_.exec->command);
    lock.lock();
    if (stopped_) return;
    if (answer.ok()) {
      given_ = std::move(answer).value();
      ++exec_version_;  // also when it says the same again: who was refused then asks no more
      Publish();
    } else if (given_) {
      base::log::Warn("credential plugin failed, kept the old credential", {{"error", failed}});
    }
    exec_failed_ = answer.ok() ? base::OkStatus() : failed;
    exec_failed_at_ = clock_.Mono();
    plugin_wanted_ = false;
    ++plugin_runs_;
    changed_.notify_all();
  }
}

void Credentials::Publish() {
  auto next = std::make_shared<Material>();
  auto tls = std::make_shared<http::TlsOptions>();
  tls->ca_pem = texts_.ca_pem;
  tls->cert_pem = given_ ? given_->cert_pem : texts_.cert_pem;
  tls->key_pem = given_ ? given_->key_pem : texts_.key_pem;
  tls->server_name = config_.tls_server_name;
  tls->insecure_skip_verify = config_.insecure_skip_verify;
  const bool same_tls = shared_ != nullptr && Same(*shared_->tls, *tls);
  next->tls_version = shared_ == nullptr ? 1 : shared_->tls_version + (same_tls ? 0 : 1);
  next->tls = same_tls ? shared_->tls : std::move(tls);
  next->token = given_ ? given_->token : texts_.token;
  if (!next->token.empty()) next->authorization = "Bearer " + next->token;
  next->exec_version = exec_version_;
  if (same_tls && next->token == shared_->token && exec_version_ == shared_->exec_version) return;
  shared_ = std::move(next);
}

}  // namespace sluice::client
