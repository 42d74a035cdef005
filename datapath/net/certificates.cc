#include "datapath/net/certificates.h"

#include "controller/base/file.h"
#include "controller/base/openssl.h"
#include "datapath/net/limits.h"

namespace sluice::net {

base::StatusOr<LoadedCertificate> LoadCertificate(const CertificateFiles& files) {
  LoadedCertificate loaded;
  SLUICE_ASSIGN_OR_RETURN(loaded.pair.certificate_pem,
                          base::ReadFile(files.certificate, kMaxPemFileBytes));
  SLUICE_ASSIGN_OR_RETURN(loaded.pair.key_pem, base::ReadFile(files.key, kMaxPemFileBytes));
  const auto chain = base::openssl::ReadCertificates(loaded.pair.certificate_pem);
  if (!chain.ok()) return chain.status().Annotate(files.certificate);
  const auto key = base::openssl::ReadKey(loaded.pair.key_pem);
  if (!key.ok()) return key.status().Annotate(files.key);
  if (!base::KeyMatches(loaded.pair.key_pem, loaded.pair.certificate_pem))
    return base::InvalidArgument(files.key + ": the key does not belong to the certificate in " +
                                 files.certificate);
  SLUICE_ASSIGN_OR_RETURN(loaded.validity, base::ValidityOf(loaded.pair.certificate_pem));
  return loaded;
}

base::StatusOr<std::vector<LoadedCertificate>> LoadCertificates(
    const std::vector<CertificateFiles>& files) {
  std::vector<LoadedCertificate> all;
  for (const CertificateFiles& one : files) {
    SLUICE_ASSIGN_OR_RETURN(LoadedCertificate loaded, LoadCertificate(one));
    all.push_back(std::move(loaded));
  }
  return all;
}

}  // namespace sluice::net
