#include "datapath/s3/checksum.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

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

const EVP_MD* DigestOf(ChecksumKind kind) {
  switch (kind) {
    case ChecksumKind::kSha1:
      return EVP_sha1();
    case ChecksumKind::kSha512:
      return EVP_sha512();
    case ChecksumKind::kMd5:
      return EVP_md5();
    default:
      return nullptr;
  }
}

struct ChecksumRow {
  std::string_view name;
  std::size_t bytes;
};
constexpr ChecksumRow kChecksums[] = {
    {"crc32", 4},   {"crc32c", 4}, {"crc64nvme", 8}, {"sha1", 20},   {"sha256", 32},
    {"sha512", 64}, {"md5", 16},   {"xxhash64", 8},  {"xxhash3", 8}, {"xxhash128", 16}};
static_assert(std::size(kChecksums) == static_cast<std::size_t>(ChecksumKind::kXxhash128) + 1);

}  // namespace

struct Checksum::Digest {
  EVP_MD_CTX* context = nullptr;
  XXH64_state_t* xxh64 = nullptr;
  XXH3_state_t* xxh3 = nullptr;
  ~Digest() {
    EVP_MD_CTX_free(context);
    XXH64_freeState(xxh64);
    XXH3_freeState(xxh3);
  }
};

std::optional<ChecksumKind> ChecksumOfName(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kChecksums); ++i)
    if (http1::EqualsIgnoreCase(name, kChecksums[i].name)) return static_cast<ChecksumKind>(i);
  return std::nullopt;
}

std::optional<ChecksumKind> ChecksumOfHeader(std::string_view name) {
  using http1::EqualsIgnoreCase;
  static constexpr std::string_view kPrefix = "x-amz-checksum-";
  if (EqualsIgnoreCase(name, "content-md5")) return ChecksumKind::kMd5;
  if (name.size() <= kPrefix.size() || !EqualsIgnoreCase(name.substr(0, kPrefix.size()), kPrefix))
    return std::nullopt;
  return ChecksumOfName(name.substr(kPrefix.size()));
}

std::size_t DigestBytes(ChecksumKind kind) { return kChecksums[static_cast<int>(kind)].bytes; }

Checksum::Checksum(ChecksumKind kind) : kind_(kind) {
  if (kind == ChecksumKind::kSha256) sha256_.emplace();
  if (kind == ChecksumKind::kCrc32c) crc_ = 0xffffffff;
  if (const EVP_MD* algorithm = DigestOf(kind)) {
    digest_ = std::make_unique<Digest>();
    digest_->context = EVP_MD_CTX_new();
    SLUICE_CHECK(EVP_DigestInit_ex(digest_->context, algorithm, nullptr) == 1);
  } else if (kind == ChecksumKind::kXxhash64) {
    digest_ = std::make_unique<Digest>();
    digest_->xxh64 = XXH64_createState();
    SLUICE_CHECK(XXH64_reset(digest_->xxh64, 0) == XXH_OK);
  } else if (kind == ChecksumKind::kXxhash3 || kind == ChecksumKind::kXxhash128) {
    digest_ = std::make_unique<Digest>();
    digest_->xxh3 = XXH3_createState();
    SLUICE_CHECK((kind == ChecksumKind::kXxhash3 ? XXH3_64bits_reset(digest_->xxh3)
                                                 : XXH3_128bits_reset(digest_->xxh3)) == XXH_OK);
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
    case ChecksumKind::kXxhash64:
      SLUICE_CHECK(XXH64_update(digest_->xxh64, bytes.data(), bytes.size()) == XXH_OK);
      return;
    case ChecksumKind::kXxhash3:
      SLUICE_CHECK(XXH3_64bits_update(digest_->xxh3, bytes.data(), bytes.size()) == XXH_OK);
      return;
    case ChecksumKind::kXxhash128:
      SLUICE_CHECK(XXH3_128bits_update(digest_->xxh3, bytes.data(), bytes.size()) == XXH_OK);
      return;
    case ChecksumKind::kSha1:
    case ChecksumKind::kSha512:
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
    case ChecksumKind::kXxhash64:
      return base::Base64Encode(BigEndian(XXH64_digest(digest_->xxh64), 8));
    case ChecksumKind::kXxhash3:
      return base::Base64Encode(BigEndian(XXH3_64bits_digest(digest_->xxh3), 8));
    case ChecksumKind::kXxhash128: {
      const XXH128_hash_t sum = XXH3_128bits_digest(digest_->xxh3);
      return base::Base64Encode(BigEndian(sum.high64, 8) + BigEndian(sum.low64, 8));
    }
    case ChecksumKind::kSha1:
    case ChecksumKind::kSha512:
    case ChecksumKind::kMd5:
      break;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned size = 0;
  SLUICE_CHECK(EVP_DigestFinal_ex(digest_->context, out.data(), &size) == 1);
  return base::Base64Encode({reinterpret_cast<const char*>(out.data()), size});
}

}  // namespace sluice::s3
