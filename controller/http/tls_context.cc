#include "controller/http/tls_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "controller/base/check.h"
#include "controller/base/openssl.h"
#include "controller/http/limits.h"

namespace sluice::http {
namespace {

base::Status AddRoots(SSL_CTX* context, const std::optional<std::string>& pem) {
  if (!pem) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) {
      return base::InvalidArgument("TLS: no system roots: " + TakeTlsError());
    }
    return base::OkStatus();
  }
  const auto roots = base::openssl::ReadCertificates(*pem);
  if (!roots.ok()) return roots.status().Annotate("TLS: the CA text");
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const auto& root : *roots) {
    if (X509_STORE_add_cert(store, root.get()) != 1) {
      return base::InvalidArgument("TLS: CA certificate not accepted: " + TakeTlsError());
    }
  }
  // Each that is given is trusted for itself, an issuing CA without its root too, as in Go.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return base::OkStatus();
}

base::Status UseCertificate(SSL_CTX* context, const TlsOptions& options) {
  if (options.cert_pem.empty() && options.key_pem.empty()) return base::OkStatus();
  if (options.cert_pem.empty() || options.key_pem.empty()) {
    return base::InvalidArgument("TLS: a client certificate needs both certificate and key");
  }
  auto chain = base::openssl::ReadCertificates(options.cert_pem);
  if (!chain.ok()) return chain.status().Annotate("TLS: bad client certificate");
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) {
    return base::InvalidArgument("TLS: bad client certificate: " + TakeTlsError());
  }
  for (auto next = chain->begin() + 1; next != chain->end(); ++next) {
    if (SSL_CTX_add1_chain_cert(context, next->get()) != 1) {
      return base::InvalidArgument("TLS: bad client certificate chain: " + TakeTlsError());
    }
  }
  const auto key = base::openssl::ReadKey(options.key_pem);
  if (!key.ok()) return key.status().Annotate("TLS: bad client key");
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return base::InvalidArgument("TLS: bad client key: " + TakeTlsError());
  }
  return base::OkStatus();
}

bool IsAddress(const std::string& host) {
  unsigned char buffer[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

}  // namespace

std::string TakeTlsError() {
  char text[256] = "no detail";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof(text));
  }
  ERR_clear_error();
  return text;
}

base::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Make(const TlsOptions& options) {
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  SLUICE_CHECK(raw != nullptr);
  std::shared_ptr<TlsContext> context(new TlsContext(raw, options));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A watch brings thousands of small records: one recv(2) for many of them, not two for each.
  SSL_CTX_set_read_ahead(raw, 1);
  SSL_CTX_set_default_read_buffer_len(raw, kTlsReadAheadBytes);
  SSL_CTX_set_verify(raw, options.insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                     nullptr);
  static constexpr unsigned char kAlpn[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(raw, kAlpn, sizeof(kAlpn) - 1);
  SSL_CTX_set_app_data(raw, context.get());
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(raw, KeepSession);
  if (!options.insecure_skip_verify) SLUICE_RETURN_IF_ERROR(AddRoots(raw, options.ca_pem));
  SLUICE_RETURN_IF_ERROR(UseCertificate(raw, options));
  return std::shared_ptr<const TlsContext>(std::move(context));
}

TlsContext::~TlsContext() {
  SSL_SESSION_free(session_);
  SSL_CTX_free(context_);
}

// OpenSSL calls this for every ticket; returning 1 takes the reference.
int TlsContext::KeepSession(ssl_st* connection, ssl_session_st* session) {
  auto* const self = static_cast<TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
  const bool resumed_later = SSL_get_app_data(connection) != nullptr;  // NewSession says for whom
  if (!resumed_later || SSL_SESSION_is_resumable(session) == 0) return 0;
  const std::lock_guard lock(self->mutex_);
  SSL_SESSION_free(self->session_);
  self->session_ = session;
  // A ticket of a resumed handshake proves no more than the one it was resumed by.
  if (SSL_session_reused(connection) == 0) {
    self->session_since_ = std::chrono::steady_clock::now();
  }
  return 1;
}

void TlsContext::ForgetSession() const {
  const std::lock_guard lock(mutex_);
  SSL_SESSION_free(session_);
  session_ = nullptr;
}

base::StatusOr<ssl_st*> TlsContext::NewSession(const std::string& host) const {
  std::string name = server_name_.empty() ? host : server_name_;
  if (name.ends_with('.'))
    name.pop_back();  // of a whole name in DNS; certificates and SNI have none
  SSL* session = SSL_new(context_);
  if (session == nullptr) return base::Internal("TLS: " + TakeTlsError());
  X509_VERIFY_PARAM* verify = SSL_get0_param(session);
  // As Go and browsers check: a subject's common name vouches for nothing, and a * is a whole
  // label.
  X509_VERIFY_PARAM_set_hostflags(
      verify, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool address = IsAddress(name);
  const bool named =
      address ? X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str()) == 1
              : !name.starts_with('.') &&  // to OpenSSL: whatever ends so
                    X509_VERIFY_PARAM_set1_host(verify, name.c_str(), name.size()) == 1 &&
                    SSL_set_tlsext_host_name(session, name.c_str()) == 1;
  if (!named) {
    SSL_free(session);
    return base::InvalidArgument("TLS: bad server name: " + TakeTlsError());
  }
  SSL_set_connect_state(session);
  const std::lock_guard lock(mutex_);
  if (host_.empty()) host_ = host;
  if (host_ != host) return session;  // tickets are kept for one server
  SSL_set_app_data(session, const_cast<TlsContext*>(this));
  if (session_ != nullptr && std::chrono::steady_clock::now() - session_since_ < session_reuse_) {
    SSL_set_session(session, session_);
  }
  return session;
}

}  // namespace sluice::http
