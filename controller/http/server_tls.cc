#include "controller/http/server_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "controller/base/openssl.h"

namespace sluice::http {

struct ServerTls::Material {
  std::vector<base::openssl::CertPtr> certificates;  // the leaf first
  base::openssl::KeyPtr key;
};

ServerTls::ServerTls() = default;
ServerTls::~ServerTls() = default;

base::Status ServerTls::Set(const base::KeyPair& pair) {
  auto next = std::make_shared<Material>();
  SLUICE_ASSIGN_OR_RETURN(next->certificates,
                          base::openssl::ReadCertificates(pair.certificate_pem));
  SLUICE_ASSIGN_OR_RETURN(next->key, base::openssl::ReadKey(pair.key_pem));
  if (X509_check_private_key(next->certificates.front().get(), next->key.get()) != 1) {
    ERR_clear_error();
    return base::InvalidArgument("certificate and key do not belong together");
  }
  const std::lock_guard lock(mutex_);
  material_ = std::move(next);
  return base::OkStatus();
}

void ServerTls::Attach(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  // Nothing is resumed: a session would outlive the certificate it began under.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_cert_cb(context, &ServerTls::Choose, this);
}

// OpenSSL's callback: 1 goes on, 0 fails the handshake.
int ServerTls::Choose(SSL* session, void* self) {
  auto* const tls = static_cast<ServerTls*>(self);
  std::shared_ptr<const Material> material;
  {
    const std::lock_guard lock(tls->mutex_);
    material = tls->material_;
  }
  if (material == nullptr) return 0;
  STACK_OF(X509)* chain = sk_X509_new_null();
  bool ok = chain != nullptr;
  for (std::size_t i = 1; ok && i < material->certificates.size(); ++i) {
    ok = sk_X509_push(chain, material->certificates[i].get()) > 0;
  }
  // Takes references of its own on all of them.
  ok = ok && SSL_use_cert_and_key(session, material->certificates.front().get(),
                                  material->key.get(), chain, 1) == 1;
  sk_X509_free(chain);
  return ok ? 1 : 0;
}

}  // namespace sluice::http
