// A certificate authority of our own, as values: made, read, and asked for certificates. Where its
// key lies, when it is renewed and who is told of it is the caller's matter.
//
// Keys are P-256, serial numbers 127 random bits; an authority signs leaves only (pathlen 0). No
// revocation list: what it issues is short-lived. Validity begins kCertificateBackdate before
// `now`, for clocks that run behind, and never outlives the authority.
//
// Sources: RFC 5280 (profile), RFC 2986 (PKCS#10). Thread rule: const methods from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/certificate.h"
#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::base {

inline constexpr std::chrono::seconds kCertificateBackdate{60};

struct Certificate {
  std::string certificate_pem;
  WallTime not_before;
  WallTime not_after;
};

struct ServerCertificate {
  Certificate certificate;
  std::string key_pem;  // secret
};

class CertificateAuthority {
 public:
  // A new self-signed authority, for the caller to keep in a Secret.
  static StatusOr<KeyPair> Create(const std::string& common_name, WallTime now, Duration life);
  // Errors: InvalidArgument (not PEM, key and certificate do not match, not a CA).
  static StatusOr<CertificateAuthority> Load(const KeyPair& pair);

  // A new key and its certificate for serving under these names; the first one, a DNS name where
  // there is one, is the subject's. Errors: FailedPrecondition when the authority has ended;
  // InvalidArgument: no name, or one that is none.
  StatusOr<ServerCertificate> IssueServer(const std::vector<std::string>& dns_names, WallTime now,
                                          Duration life,
                                          const std::vector<std::string>& addresses = {}) const;
  // A client's certificate with exactly the URI as its name. Takes the public key of the request
  // and nothing else of it. `uri` and `subject` are the caller's to check.
  // Errors: FailedPrecondition as above; InvalidArgument (not PKCS#10, signature wrong, key neither
  // P-256/P-384 nor RSA >= 2048).
  StatusOr<Certificate> SignClient(const std::string& csr_pem, const std::string& subject,
                                   const std::string& uri, WallTime now, Duration life) const;

  const std::string& certificate_pem() const;
  WallTime not_after() const;
  // Whether this authority signed the (first) certificate.
  bool Signed(const std::string& certificate_pem) const;
  // A key for digests that must not be guessable from outside yet equal in every replica.
  std::string DeriveKey(std::string_view purpose) const;

 private:
  struct Impl;
  explicit CertificateAuthority(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace sluice::base
