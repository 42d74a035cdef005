#include "controller/webhook/certificate_files.h"

#include "controller/base/file.h"
#include "controller/base/log.h"
#include "controller/webhook/limits.h"

namespace sluice::webhook {

CertificateFiles::CertificateFiles(Paths paths, base::Clock& clock, Take take)
    : paths_(std::move(paths)), clock_(clock), take_(std::move(take)) {}

CertificateFiles::~CertificateFiles() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

base::Status CertificateFiles::Start() {
  SLUICE_RETURN_IF_ERROR(Read());
  thread_ = std::thread([this] { Loop(); });
  return base::OkStatus();
}

base::Status CertificateFiles::Read() {
  base::KeyPair pair;
  SLUICE_ASSIGN_OR_RETURN(pair.certificate_pem,
                          base::ReadFile(paths_.certificate, kMaxCertificateBytes));
  SLUICE_ASSIGN_OR_RETURN(pair.key_pem, base::ReadFile(paths_.key, kMaxCertificateBytes));
  if (pair.certificate_pem == given_.certificate_pem && pair.key_pem == given_.key_pem) {
    return base::OkStatus();
  }
  if (const base::Status status = take_(pair); !status.ok()) {
    return status.Annotate(paths_.certificate);
  }
  given_ = std::move(pair);
  base::log::Info("certificate was read", {{"file", paths_.certificate}});
  return base::OkStatus();
}

void CertificateFiles::Loop() {
  std::unique_lock lock(mutex_);
  while (!clock_.WaitUntil(lock, wake_, clock_.Mono() + kFileRecheck, [&] { return stopping_; })) {
    lock.unlock();
    if (const base::Status status = Read(); !status.ok()) {
      base::log::Warn("certificate files were not taken, kept the old ones", {{"error", status}});
    }
    lock.lock();
  }
}

}  // namespace sluice::webhook
