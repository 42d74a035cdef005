// An SSL_CTX made from PEM texts. Internal to this folder: the one place, with connection.cc, that
// knows OpenSSL. Immutable after Make; share between threads.
#pragma once

#include <memory>
#include <string>

#include "controller/base/status.h"
#include "controller/http/client.h"

struct ssl_ctx_st;
struct ssl_st;

namespace sluice::http {

class TlsContext {
 public:
  // Errors: InvalidArgument naming which text is wrong.
  static base::StatusOr<std::shared_ptr<const TlsContext>> Make(const TlsOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A client session for a server known as `host`, ready for its handshake. Internal errors only
  // when out of memory.
  base::StatusOr<ssl_st*> NewSession(const std::string& host) const;

 private:
  TlsContext(ssl_ctx_st* context, std::string server_name)
      : context_(context), server_name_(std::move(server_name)) {}
  ssl_ctx_st* context_;
  std::string server_name_;
};

// The newest error of this thread's OpenSSL queue as text; clears the queue.
std::string TakeTlsError();

}  // namespace sluice::http
