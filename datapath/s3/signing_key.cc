#include "datapath/s3/signing_key.h"

#include <openssl/crypto.h>

#include <functional>

namespace sluice::s3 {

SigningKey::SigningKey(std::string_view secret, std::string_view date, std::string_view region,
                       std::string_view service) {
  std::string first = "AWS4";
  first += secret;
  const base::Sha256Digest of_date = HmacKey(first).Sign(date);
  OPENSSL_cleanse(first.data(), first.size());
  const base::Sha256Digest of_region = HmacKey(View(of_date)).Sign(region);
  const base::Sha256Digest of_service = HmacKey(View(of_region)).Sign(service);
  hmac = HmacKey(View(HmacKey(View(of_service)).Sign("aws4_request")));
}

SigningKeyCache::SigningKeyCache() : entries_(new Entry[kMaxSigningKeys]) {}

SigningKeyCache::~SigningKeyCache() {
  for (std::size_t i = 0; i < kMaxSigningKeys; ++i)
    OPENSSL_cleanse(entries_[i].secret.data(), entries_[i].secret.size());
}

const SigningKey& SigningKeyCache::Get(std::string_view secret, std::string_view date,
                                       std::string_view region) {
  static_assert(kMaxSigningKeys % kWays == 0);
  const std::size_t hash =
      std::hash<std::string_view>()(secret) ^ std::hash<std::string_view>()(date) * 31;
  Entry* const set = &entries_[hash % (kMaxSigningKeys / kWays) * kWays];
  Entry* oldest = set;
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->used != 0 && entry->date == date && entry->region == region &&
        entry->secret == secret) {
      entry->used = ++tick_;
      return entry->key;
    }
    if (entry->used < oldest->used) oldest = entry;
  }
  ++derived_;
  OPENSSL_cleanse(oldest->secret.data(), oldest->secret.size());
  oldest->secret = secret;
  oldest->date = date;
  oldest->region = region;
  oldest->used = ++tick_;
  oldest->key = SigningKey(secret, date, region);
  return oldest->key;
}

}  // namespace sluice::s3
