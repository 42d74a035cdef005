#include "controller/base/openssl.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "controller/base/check.h"

namespace sluice::base::openssl {
namespace {

// Longer chains and bundles are somebody's mistake.
constexpr std::size_t kMaxCertificates = 1024;

int NoPassPhrase(char*, int, int, void*) { return 0; }

BioPtr Reader(const std::string& text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  SLUICE_CHECK(bio != nullptr);
  return bio;
}

template <typename Write>
std::string Written(Write&& write) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  SLUICE_CHECK(out != nullptr && write(out.get()) == 1);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

Status Error(std::string_view what) {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return InvalidArgument(fmt::format("{}: {}", what, reason != nullptr ? reason : "refused"));
}

StatusOr<KeyPtr> ReadKey(const std::string& pem) {
  KeyPtr key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, NoPassPhrase, nullptr));
  if (key == nullptr) return Error("not a PEM private key");
  return key;
}

StatusOr<CertPtr> ReadCertificate(const std::string& pem) {
  CertPtr certificate(PEM_read_bio_X509(Reader(pem).get(), nullptr, NoPassPhrase, nullptr));
  if (certificate == nullptr) return Error("not a PEM certificate");
  return certificate;
}

StatusOr<std::vector<CertPtr>> ReadCertificates(const std::string& pem) {
  const BioPtr bio = Reader(pem);
  std::vector<CertPtr> out;
  ERR_clear_error();  // what is found there below is of this text
  while (CertPtr next{PEM_read_bio_X509(bio.get(), nullptr, NoPassPhrase, nullptr)}) {
    if (out.size() == kMaxCertificates) return InvalidArgument("too many PEM certificates");
    out.push_back(std::move(next));
  }
  // The end of the text is an error to PEM_read, too.
  const auto error = ERR_peek_last_error();
  const bool end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!end) return Error(fmt::format("certificate {} of the PEM text", out.size() + 1));
  if (out.empty()) return Error("not a PEM certificate");
  ERR_clear_error();
  return out;
}

StatusOr<RequestPtr> ReadRequest(const std::string& pem) {
  RequestPtr request(PEM_read_bio_X509_REQ(Reader(pem).get(), nullptr, NoPassPhrase, nullptr));
  if (request == nullptr) return Error("not a PEM certificate request");
  return request;
}

std::string ToPem(X509* certificate) {
  return Written([&](BIO* out) { return PEM_write_bio_X509(out, certificate); });
}

std::string ToPem(EVP_PKEY* key) {
  return Written([&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string ToPem(X509_REQ* request) {
  return Written([&](BIO* out) { return PEM_write_bio_X509_REQ(out, request); });
}

WallTime ToWall(const ASN1_TIME* time) {
  std::tm parts{};
  SLUICE_CHECK(ASN1_TIME_to_tm(time, &parts) == 1);
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

}  // namespace sluice::base::openssl
