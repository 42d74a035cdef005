// An SSL_CTX made from PEM texts. Internal to this folder: the one place, with connection.cc, that
// knows OpenSSL. Immutable after Make, but for the newest session ticket; share between threads.
//
// A connection to a server we have spoken with resumes its session: no certificates to send, parse
// and verify, a tenth of the work. A ticket is the proof of an earlier verified handshake under the
// same options and name, is forgotten with this context (rotation makes a new one), and is not used
// longer than kSessionReuse after that handshake, whatever tickets resumed ones gave since. Whoever
// holds a session holds its context: tickets come late.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/http/client.h"

struct ssl_ctx_st;
struct ssl_session_st;
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
  // The next handshake is a full one: this one failed.
  void ForgetSession() const;

 private:
  TlsContext(ssl_ctx_st* context, const TlsOptions& options)
      : context_(context),
        server_name_(options.server_name),
        session_reuse_(options.session_reuse) {}
  static int KeepSession(ssl_st* connection, ssl_session_st* session);

  ssl_ctx_st* context_;
  std::string server_name_;
  std::chrono::milliseconds session_reuse_;

  mutable std::mutex mutex_;  // guards what follows
  mutable ssl_session_st* session_ = nullptr;
  mutable std::string host_;        // the server of session_: the first one asked for
  base::MonoTime session_since_{};  // of the last full handshake
};

// The newest error of this thread's OpenSSL queue as text; clears the queue.
std::string TakeTlsError();

}  // namespace sluice::http
