// The certificates of one TLS listener: read from their files when it opens, and again whenever the
// files change, without touching a connection: those made before keep what they were made with.
//
// Files are looked at every kCertificateLook and at each new configuration; a half-written or
// broken pair changes nothing: the former goes on being shown, the failure is counted, logged, and
// told as a problem until a look succeeds. A certificate that has ended is shown all the same
// (whoever connects will say so) and told as a problem. A listener may wait for its files
// (control::Listen::wait_for_files): until they come there is nothing to shake hands with.
//
// Thread rule: any thread; a thread of its own reads the files. Stop: the destructor joins.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/control/config.h"
#include "datapath/control/source.h"
#include "datapath/net/certificates.h"
#include "datapath/net/tls_server.h"
#include "datapath/serve/agent_metrics.h"

namespace sluice::serve {

class TlsFront {
 public:
  // Errors: net::LoadCertificate's, annotated with the listener; none if it waits for its files.
  static base::StatusOr<std::unique_ptr<TlsFront>> Open(const control::Listen& listener,
                                                        base::Clock& clock, AgentMetrics& metrics);
  ~TlsFront();
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  // nullptr: the files it waits for have not come.
  std::shared_ptr<const net::TlsServer> current() const;
  // Reads the files now. Errors: as Open; nothing changed then.
  base::Status Look();
  bool failing() const;  // the last look found files that cannot be used
  std::vector<std::string> Problems() const;
  control::CertificateStanding Standing() const;

 private:
  TlsFront(const control::Listen& listener, base::Clock& clock, AgentMetrics& metrics);
  base::Status Take(std::vector<net::LoadedCertificate> loaded);
  void Loop();

  const std::string address_;
  const std::vector<control::CertificateFiles> files_;
  const bool waits_;  // opens without its files
  base::Clock& clock_;
  AgentMetrics& metrics_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;  // at the stop
  // Guarded by mutex_:
  std::shared_ptr<const net::TlsServer> current_;
  std::vector<net::LoadedCertificate> shown_;
  std::string problem_;
  bool missing_ = false;  // problem_ is that of a file that is not there
  bool stopping_ = false;

  std::mutex look_mutex_;  // one Look() at a time
  std::thread thread_;
};

}  // namespace sluice::serve
