// The checksums S3 clients send with a body: algorithms by their x-amz-checksum-* names.
// CRC-32 and CRC-32C by ISA-L, SHA and MD5 by OpenSSL, XXH by xxHash (seed 0), CRC-64/NVME by a
// table made here.
// Source: "Checking object integrity", Amazon S3 user guide. Thread rule: values of one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "datapath/s3/sha256.h"

namespace sluice::s3 {

enum class ChecksumKind : std::uint8_t {
  kCrc32,
  kCrc32c,
  kCrc64Nvme,
  kSha1,
  kSha256,
  kSha512,
  kMd5,
  kXxhash64,
  kXxhash3,
  kXxhash128,
};

// From a header name such as "x-amz-checksum-crc32c"; nullopt for others (…-mode, …-type too).
std::optional<ChecksumKind> ChecksumOfHeader(std::string_view name);
// From "CRC32C", as x-amz-sdk-checksum-algorithm names it, in any case.
std::optional<ChecksumKind> ChecksumOfName(std::string_view name);
std::size_t DigestBytes(ChecksumKind kind);

class Checksum {
 public:
  explicit Checksum(ChecksumKind kind);
  ~Checksum();
  Checksum(Checksum&&) noexcept;
  Checksum& operator=(Checksum&&) noexcept;
  void Update(std::string_view bytes);
  std::string Base64();  // once, as S3 writes it (big endian)

 private:
  struct Digest;  // OpenSSL's or xxHash's state
  ChecksumKind kind_;
  std::uint64_t crc_ = 0;
  std::optional<Sha256Hasher> sha256_;
  std::unique_ptr<Digest> digest_;
};

}  // namespace sluice::s3
