#include "reconcilers/agents/grpc_edge.h"

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>

#include <mutex>
#include <utility>

#include "controller/base/log.h"

namespace sluice::agents {

void RouteCoreLog() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    base::log::Debug("grpc core",
                     {{"file", line->file}, {"line", line->line}, {"message", line->message}});
  });
}

grpc::ByteBuffer SharedBuffer(std::shared_ptr<const std::string> bytes) {
  auto* held = new std::shared_ptr<const std::string>(std::move(bytes));
  const std::string& text = **held;
  grpc::Slice slice(
      const_cast<char*>(text.data()), text.size(),
      [](void* owner) { delete static_cast<std::shared_ptr<const std::string>*>(owner); }, held);
  return {&slice, 1};
}

base::StatusOr<Peer> PeerOf(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (!auth || !auth->IsPeerAuthenticated()) {
    return base::Unauthenticated("no client certificate; enrol first");
  }
  const auto uris = auth->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME);
  const auto certificates = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (uris.size() != 1 || certificates.size() != 1) {
    return base::Unauthenticated("the certificate does not name exactly one agent");
  }
  Peer peer;
  SLUICE_ASSIGN_OR_RETURN(peer.identity,
                          ParseIdentityUri({uris.front().data(), uris.front().size()}));
  SLUICE_ASSIGN_OR_RETURN(
      peer.certificate_not_after,
      NotAfter(std::string(certificates.front().data(), certificates.front().size())));
  return peer;
}

struct CertificateSlot::Shared {
  std::mutex mutex;
  KeyPair server;            // guarded by mutex
  std::string client_roots;  // guarded by mutex
  long generation = 0;       // guarded by mutex; 0: nothing set yet
};

// grpc::SslServerCredentials cannot be reloaded; core's config fetcher, asked at each handshake,
// can. It has no C++ face in gRPC 1.51, so this is one.
class CertificateSlot::Reloading final : public grpc::ServerCredentials {
 public:
  Reloading(std::shared_ptr<Shared> shared, bool require_client) : shared_(std::move(shared)) {
    auto* options = grpc_ssl_server_credentials_create_options_using_config_fetcher(
        require_client ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                       : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        &Reloading::Fetch, this);
    credentials_ = grpc_ssl_server_credentials_create_with_options(options);
  }
  ~Reloading() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {
    SLUICE_CHECK(false);  // nothing of ours sets one
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<Reloading*>(self)->FetchInto(config);
  }

  grpc_ssl_certificate_config_reload_status FetchInto(grpc_ssl_server_certificate_config** config) {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->generation == 0) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    if (shared_->generation == fetched_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair{shared_->server.key_pem.c_str(),
                                          shared_->server.certificate_pem.c_str()};
    // Core wants roots even where it asks for no certificate.
    *config = grpc_ssl_server_certificate_config_create(shared_->client_roots.c_str(), &pair, 1);
    fetched_ = shared_->generation;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<Shared> shared_;
  long fetched_ = 0;  // guarded by shared_->mutex
  grpc_server_credentials* credentials_;
};

CertificateSlot::CertificateSlot() : shared_(std::make_shared<Shared>()) {}
CertificateSlot::~CertificateSlot() = default;

void CertificateSlot::Set(KeyPair server, std::string client_roots_pem) {
  const std::lock_guard lock(shared_->mutex);
  shared_->server = std::move(server);
  shared_->client_roots = std::move(client_roots_pem);
  ++shared_->generation;
}

std::shared_ptr<grpc::ServerCredentials> CertificateSlot::Credentials(
    bool require_client_certificate) {
  made_.push_back(std::make_shared<Reloading>(shared_, require_client_certificate));
  return made_.back();
}

}  // namespace sluice::agents
