#include "datapath/s3/checksum.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <array>
#include <limits>

#include "controller/base/check.h"
#include "datapath/http1/headers.h"

namespace sluice::s3 {
namespace {

// CRC-64/NVME: reflected polynomial 0x9A6C9329AC4BC9B5, initial value and final xor all ones.
constexpr std::uint64_t kNvmePolynomial = 0x9A6C9329AC4BC9B5ULL;
using Crc64Tables = std::array<std::array<std::uint64_t, 256>, 8>;

constexpr Crc64Tables MakeTables() {
  Crc64Tables t{};
  for (std::uint64_t i = 0; i < 256; ++i) {
    std::uint64_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kNvmePolynomial : 0);
    t[0][i] = crc;
  }
  for (std::size_t i = 0; i < 256; ++i) {
    for (std::size_t k = 1; k < 8; ++k) t[k][i] = t[0][t[k - 1][i] & 0xff] ^ (t[k - 1][i] >> 8);
  }
  return t;
}
constexpr Crc64Tables kTables = MakeTables();

std::uint64_t UpdateCrc64(std::uint64_t crc, std::string_view bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  crc = ~crc;
  for (; left >= 8; left -= 8, at += 8) {  // eight tables, eight bytes a step
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 8; ++i) word |= static_cast<std::uint64_t>(at[i]) << (8 * i);
    word ^= crc;
    crc = 0;
    for (unsigned i = 0; i < 8; ++i) crc ^= kTables[7 - i][(word >> (8 * i)) & 0xff];
  }
  for (; left > 0; --left, ++at) crc = kTables[0][(crc ^ *at) & 0xff] ^ (crc >> 8);
  return ~crc;
}

std::string BigEndian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

}  // namespace

struct Checksum::Digest {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Digest() { EVP_MD_CTX_free(context); }
};

std::optional<ChecksumKind> ChecksumOfHeader(std::string_view name) {
  using http1::EqualsIgnoreCase;
  static constexpr std::string_view kPrefix = "x-amz-checksum-";
  if (EqualsIgnoreCase(name, "content-md5")) return ChecksumKind::kMd5;
  if (name.size() <= kPrefix.size() || !EqualsIgnoreCase(name.substr(0, kPrefix.size()), kPrefix))
    return std::nullopt;
  const std::string_view rest = name.substr(kPrefix.size());
  if (EqualsIgnoreCase(rest, "crc32")) return ChecksumKind::kCrc32;
  if (EqualsIgnoreCase(rest, "crc32c")) return ChecksumKind::kCrc32c;
  if (EqualsIgnoreCase(rest, "crc64nvme")) return ChecksumKind::kCrc64Nvme;
  if (EqualsIgnoreCase(rest, "sha1")) return ChecksumKind::kSha1;
  if (EqualsIgnoreCase(rest, "sha256")) return ChecksumKind::kSha256;
  return std::nullopt;
}

Checksum::Checksum(ChecksumKind kind) : kind_(kind) {
  if (kind == ChecksumKind::kSha256) sha256_.emplace();
  if (kind == ChecksumKind::kCrc32c) crc_ = 0xffffffff;
  if (kind == ChecksumKind::kSha1 || kind == ChecksumKind::kMd5) {
    digest_ = std::make_unique<Digest>();
    SLUICE_CHECK(EVP_DigestInit_ex(digest_->context,
                                   kind == ChecksumKind::kMd5 ? EVP_md5() : EVP_sha1(),
                                   nullptr) == 1);
  }
}
Checksum::~Checksum() = default;
Checksum::Checksum(Checksum&&) noexcept = default;
Checksum& Checksum::operator=(Checksum&&) noexcept = default;

void Checksum::Update(std::string_view bytes) {
  constexpr std::size_t kStep = std::numeric_limits<int>::max();  // ISA-L takes int lengths
  switch (kind_) {
    case ChecksumKind::kCrc64Nvme:
      crc_ = UpdateCrc64(crc_, bytes);
      return;
    case ChecksumKind::kSha256:
      sha256_->Update(bytes);
      return;
    case ChecksumKind::kSha1:
    case ChecksumKind::kMd5:
      SLUICE_CHECK(EVP_DigestUpdate(digest_->context, bytes.data(), bytes.size()) == 1);
      return;
    case ChecksumKind::kCrc32:
    case ChecksumKind::kCrc32c:
      break;
  }
  while (!bytes.empty()) {
    const std::string_view step = bytes.substr(0, kStep);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(step.data()));
    const auto crc = static_cast<std::uint32_t>(crc_);
    crc_ = kind_ == ChecksumKind::kCrc32 ? crc32_gzip_refl(crc, data, step.size())
                                         : crc32_iscsi(data, static_cast<int>(step.size()), crc);
    bytes.remove_prefix(step.size());
  }
}

std::string Checksum::Base64() {
  switch (kind_) {
    case ChecksumKind::kCrc32:
      return base::Base64Encode(BigEndian(crc_, 4));
    case ChecksumKind::kCrc32c:
      return base::Base64Encode(BigEndian(static_cast<std::uint32_t>(~crc_), 4));
    case ChecksumKind::kCrc64Nvme:
      return base::Base64Encode(BigEndian(crc_, 8));
    case ChecksumKind::kSha256:
      return base::Base64Encode(View(sha256_->Finish()));
    case ChecksumKind::kSha1:
    case ChecksumKind::kMd5:
      break;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned size = 0;
  SLUICE_CHECK(EVP_DigestFinal_ex(digest_->context, out.data(), &size) == 1);
  return base::Base64Encode({reinterpret_cast<const char*>(out.data()), size});
}

}  // namespace sluice::s3
