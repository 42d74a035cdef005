#include "datapath/origin/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "controller/base/openssl.h"
#include "datapath/net/tls_stream.h"

namespace sluice::origin {
namespace {

class Context final : public TlsContext {
 public:
  explicit Context(SSL_CTX* context) : context_(context) {}
  ~Context() override { SSL_CTX_free(context_); }

  base::StatusOr<std::unique_ptr<net::Stream>> Wrap(std::unique_ptr<net::Stream> raw,
                                                    const std::string& given,
                                                    net::StreamHandler* handler) override {
    // The dot of a whole name in DNS; certificates and SNI have none.
    const std::string host =
        given.size() > 1 && given.ends_with('.') ? given.substr(0, given.size() - 1) : given;
    SSL* ssl = SSL_new(context_);
    if (ssl == nullptr) return base::Internal("SSL_new: " + net::TlsError());
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    // As Go and browsers check: a subject's common name vouches for nothing, a * is a whole label.
    X509_VERIFY_PARAM_set_hostflags(
        param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const bool is_ip = net::Address::FromIp(host, 1).ok();
    const int named = is_ip                   ? X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str())
                      : host.starts_with('.') ? 0  // to OpenSSL: whatever ends so
                                              : SSL_set1_host(ssl, host.c_str());
    if (named != 1 || (!is_ip && SSL_set_tlsext_host_name(ssl, host.c_str()) != 1)) {
      SSL_free(ssl);
      return base::Internal("TLS name \"" + host + "\": " + net::TlsError());
    }
    return net::MakeTlsStream(std::move(raw), ssl, net::TlsRole::kClient, handler);
  }

 private:
  SSL_CTX* context_;
};

base::Status AddAuthorities(SSL_CTX* context, const std::string& pem) {
  if (pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1)
      return base::Internal("system authorities: " + net::TlsError());
    return base::OkStatus();
  }
  auto authorities = base::openssl::ReadCertificates(pem);
  if (!authorities.ok()) return authorities.status().Annotate("the CA text");
  for (const base::openssl::CertPtr& authority : *authorities)
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1)
      return base::Internal("authority: " + net::TlsError());
  return base::OkStatus();
}

}  // namespace

base::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Create(const std::string& ca_pem) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) return base::Internal("SSL_CTX_new: " + net::TlsError());
  auto made = std::make_shared<Context>(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char kAlpn[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof kAlpn - 1);
  SLUICE_RETURN_IF_ERROR(AddAuthorities(context, ca_pem));
  return std::shared_ptr<TlsContext>(std::move(made));
}

}  // namespace sluice::origin
