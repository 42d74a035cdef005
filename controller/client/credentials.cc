#include "controller/client/credentials.h"

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

base::StatusOr<ExecCredential> ParseExecCredential(std::string_view text) {
  const nlohmann::json said = nlohmann::json::parse(text, nullptr, false);
  try {
    if (!said.is_object() || said.at("kind") != "ExecCredential" ||
        said.at("apiVersion") != "client.authentication.k8s.io/v1") {
      return base::InvalidArgument("the plugin printed no ExecCredential of v1");
    }
    const nlohmann::json& status = said.at("status");
    ExecCredential out;
    out.token = status.value("token", "");
    out.cert_pem = status.value("clientCertificateData", "");
    out.key_pem = status.value("clientKeyData", "");
    if (out.cert_pem.empty() != out.key_pem.empty()) {
      return base::InvalidArgument("the plugin gave half of a certificate and key");
    }
    if (out.token.empty() && out.cert_pem.empty()) {
      return base::InvalidArgument("the plugin gave neither token nor certificate");
    }
    if (const std::string at = status.value("expirationTimestamp", ""); !at.empty()) {
      SLUICE_ASSIGN_OR_RETURN(out.expires, base::ParseRfc3339(at));
    }
    // A certificate ends whatever was said.
    if (const auto end = base::NotAfter(out.cert_pem); end.ok()) {
      out.expires = std::min(out.expires, *end);
    }
    return out;
  } catch (const nlohmann::json::exception&) {  // its text may quote the credential
    return base::InvalidArgument("the plugin printed no ExecCredential of v1");
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
  made->Put();
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

void Credentials::SetTls(http::TlsOptions tls) {
  if (material_.tls != nullptr && Same(*material_.tls, tls)) return;
  material_.tls = std::make_shared<const http::TlsOptions>(std::move(tls));
  ++material_.tls_version;
}

void Credentials::ReadFiles() {
  read_at_ = clock_.Mono();
  for (const base::Status& status :
       {texts_.ReadCa(config_), texts_.ReadPair(config_), texts_.ReadToken(config_)}) {
    if (!status.ok()) {
      base::log::Warn("credential file was not readable, kept the old one", {{"error", status}});
    }
  }
  Put();
}

void Credentials::Put() {
  http::TlsOptions tls;
  tls.ca_pem = texts_.ca_pem;
  tls.server_name = config_.tls_server_name;
  tls.insecure_skip_verify = config_.insecure_skip_verify;
  if (!exec_ran_) {  // what the plugin gave stands
    tls.cert_pem = texts_.cert_pem;
    tls.key_pem = texts_.key_pem;
    material_.token = texts_.token;
  } else {
    tls.cert_pem = material_.tls->cert_pem;
    tls.key_pem = material_.tls->key_pem;
  }
  SetTls(std::move(tls));
}

base::Status Credentials::ReadExec(base::MonoTime deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - clock_.Mono());
  const milliseconds limit =
      config_.exec->interactive ? milliseconds(kExecPersonTimeout) : milliseconds(kExecTimeout);
  SLUICE_ASSIGN_OR_RETURN(ExecCredential credential, RunExecPlugin(config_, std::min(left, limit)));
  exec_ran_ = true;
  shared_.reset();  // also when it says the same again: who was refused then does not ask once more
  exec_expires_ = credential.expires;
  material_.token = std::move(credential.token);
  http::TlsOptions tls = *material_.tls;
  tls.cert_pem = std::move(credential.cert_pem);
  tls.key_pem = std::move(credential.key_pem);
  SetTls(std::move(tls));
  return base::OkStatus();
}

base::StatusOr<std::shared_ptr<const Credentials::Material>> Credentials::CurrentUnless(
    const std::shared_ptr<const Material>& refused, base::MonoTime deadline) {
  const auto left = std::max(deadline - clock_.Mono(), base::Duration(0));
  std::unique_lock lock(mutex_);
  if (!free_.wait_for(lock, left, [&] { return !taken_; })) {
    return base::DeadlineExceeded("waited for credentials to be refreshed").WithReason("Total");
  }
  taken_ = true;
  lock.unlock();
  auto current = InTurn(refused, deadline);
  lock.lock();
  taken_ = false;
  lock.unlock();
  free_.notify_one();
  return current;
}

base::StatusOr<std::shared_ptr<const Credentials::Material>> Credentials::InTurn(
    const std::shared_ptr<const Material>& refused, base::MonoTime deadline) {
  const bool refresh = refused != nullptr && refused == shared_;
  if (refresh || clock_.Mono() - read_at_ >= kFileRecheck) {
    ReadFiles();
  }
  if (config_.exec && (!exec_ran_ || refresh || clock_.Wall() >= exec_expires_)) {
    // Every call asks for credentials: one that fails must not be started by each of them.
    const bool again = exec_failed_.ok() || clock_.Mono() - exec_failed_at_ >= kExecRetry;
    if (again) {
      exec_failed_ = ReadExec(deadline);
      exec_failed_at_ = clock_.Mono();
    }
    if (!exec_failed_.ok()) {
      const base::Status told = exec_failed_.Annotate("credential plugin " + config_.exec->command);
      if (!exec_ran_) return base::Unauthenticated(told.message()).WithReason("CredentialPlugin");
      if (again) {
        base::log::Warn("credential plugin failed, kept the old credential", {{"error", told}});
      }
    }
  }
  if (shared_ == nullptr || shared_->token != material_.token ||
      shared_->tls_version != material_.tls_version) {
    auto changed = std::make_shared<Material>(material_);
    if (!changed->token.empty()) changed->authorization = "Bearer " + changed->token;
    shared_ = std::move(changed);
  }
  return shared_;
}

}  // namespace sluice::client
