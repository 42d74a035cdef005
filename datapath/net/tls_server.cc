#include "datapath/net/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <string_view>

#include "controller/base/openssl.h"
#include "datapath/net/tls_stream.h"

namespace sluice::net {
namespace {

using ContextPtr = std::unique_ptr<SSL_CTX, base::openssl::Freer<SSL_CTX_free>>;

constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_length,
                   const unsigned char* offered, unsigned int offered_length, void*) {
  static constexpr std::string_view kHttp = "http/1.1";
  for (unsigned int at = 0; at < offered_length; at += 1u + offered[at]) {
    const std::string_view name(reinterpret_cast<const char*>(offered) + at + 1, offered[at]);
    if (name != kHttp) continue;
    *out = offered + at + 1;
    *out_length = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

base::StatusOr<ContextPtr> MakeServerContext(const base::KeyPair& pair) {
  SLUICE_ASSIGN_OR_RETURN(const auto chain, base::openssl::ReadCertificates(pair.certificate_pem));
  SLUICE_ASSIGN_OR_RETURN(const auto key, base::openssl::ReadKey(pair.key_pem));
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return base::ResourceExhausted("SSL_CTX_new: " + TlsError());
  bool good = SSL_CTX_use_certificate(context.get(), chain.front().get()) == 1 &&
              SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1;
  for (std::size_t i = 1; good && i < chain.size(); ++i)
    good = SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) == 1;
  good = good && SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context.get(), kTls12Ciphers) == 1;
  if (!good) return base::InvalidArgument("certificate: " + TlsError());
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  // Sessions lie with the clients, as tickets: nothing grows here.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, nullptr);
  return context;
}

class Contexts final : public TlsServer, public std::enable_shared_from_this<Contexts> {
 public:
  static base::StatusOr<std::shared_ptr<const TlsServer>> Make(
      const std::vector<base::KeyPair>& certificates) {
    if (certificates.empty()) return base::InvalidArgument("no certificate");
    auto made = std::make_shared<Contexts>();
    for (const base::KeyPair& pair : certificates) {
      SLUICE_ASSIGN_OR_RETURN(ContextPtr context, MakeServerContext(pair));
      made->contexts_.push_back(std::move(context));
    }
    SSL_CTX* const first = made->contexts_.front().get();
    SSL_CTX_set_tlsext_servername_callback(first, &Contexts::ChooseCertificate);
    SSL_CTX_set_tlsext_servername_arg(first, made.get());
    return std::shared_ptr<const TlsServer>(std::move(made));
  }

  base::StatusOr<std::unique_ptr<Stream>> Accept(std::unique_ptr<Stream> raw,
                                                 StreamHandler* handler) const override {
    SSL* ssl = SSL_new(contexts_.front().get());
    if (ssl == nullptr) return base::ResourceExhausted("SSL_new: " + TlsError());
    return MakeTlsStream(std::move(raw), ssl, TlsRole::kServer, handler, shared_from_this());
  }

 private:
  // Runs inside a handshake, whose stream keeps `self`.
  static int ChooseCertificate(SSL* ssl, int*, void* self) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
    for (const ContextPtr& context : static_cast<const Contexts*>(self)->contexts_) {
      X509* const leaf = SSL_CTX_get0_certificate(context.get());
      if (X509_check_host(leaf, name, std::strlen(name), 0, nullptr) != 1) continue;
      SSL_set_SSL_CTX(ssl, context.get());
      return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
  }

  std::vector<ContextPtr> contexts_;
};

}  // namespace

base::StatusOr<std::shared_ptr<const TlsServer>> TlsServer::Create(
    const std::vector<base::KeyPair>& certificates) {
  return Contexts::Make(certificates);
}

}  // namespace sluice::net
