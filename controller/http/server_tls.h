// The certificate a Server shows, exchangeable while it serves: each handshake takes the one that
// is set then; connections under way keep theirs.
//
// TLS 1.2 and newer. Thread rule: any thread. Share between servers.
#pragma once

#include <memory>
#include <mutex>

#include "controller/base/certificate.h"
#include "controller/base/status.h"

struct ssl_st;
struct ssl_ctx_st;

namespace sluice::http {

class ServerTls {
 public:
  ServerTls();
  ~ServerTls();
  ServerTls(const ServerTls&) = delete;
  ServerTls& operator=(const ServerTls&) = delete;

  // Errors: InvalidArgument (not PEM, key and certificate do not match); the old one stays then.
  base::Status Set(const base::KeyPair& pair);
  // Makes the context's handshakes ask this object, which must outlive it. Internal to this folder.
  void Attach(ssl_ctx_st* context);

 private:
  struct Material;
  static int Choose(ssl_st* session, void* self);

  std::mutex mutex_;
  std::shared_ptr<const Material> material_;  // guarded by mutex_; nullptr: handshakes fail
};

}  // namespace sluice::http
