// Follows a certificate and its key in two files (a mounted Secret, cert-manager's say) and gives
// them on whenever they change. Read every kFileRecheck; a pair that does not fit together, half of
// a rotation, is not given on and looked at again.
//
//   CertificateFiles files({.certificate = "/tls/tls.crt", .key = "/tls/tls.key"}, clock,
//                          [&](const base::KeyPair& pair) { return server->SetCertificate(pair);
//                          });
//   SLUICE_RETURN_IF_ERROR(files.Start());
//
// Thread rule: one thread builds it; `take` runs on Start's thread, then on a thread of its own.
// Stop: the destructor joins.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "controller/base/certificate.h"
#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::webhook {

class CertificateFiles {
 public:
  struct Paths {
    std::string certificate;
    std::string key;
  };
  using Take = std::function<base::Status(const base::KeyPair&)>;

  // `clock` outlives it.
  CertificateFiles(Paths paths, base::Clock& clock, Take take);
  ~CertificateFiles();
  CertificateFiles(const CertificateFiles&) = delete;
  CertificateFiles& operator=(const CertificateFiles&) = delete;

  // Reads once and begins to follow. Errors: NotFound, PermissionDenied naming the file; take's.
  base::Status Start();

 private:
  base::Status Read();
  void Loop();

  const Paths paths_;
  base::Clock& clock_;
  const Take take_;
  base::KeyPair given_;  // of whichever thread reads: Start's, then thread_
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::webhook
