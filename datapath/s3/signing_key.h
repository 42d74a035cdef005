// Keys derived for SigV4: from a secret, a date, a region; good for a day.
// Source: "Create a signed AWS API request", AWS IAM user guide.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "datapath/s3/limits.h"
#include "datapath/s3/sha256.h"

namespace sluice::s3 {

struct SigningKey {
  HmacKey hmac;
  SigningKey() = default;
  // `date` is YYYYMMDD. Four HMACs: derive once, sign many times.
  SigningKey(std::string_view secret, std::string_view date, std::string_view region,
             std::string_view service = "s3");
};

// A bounded cache of derived keys, so that checking a request costs two passes of hashing. A
// changed secret is a different key: nothing has to be told to the cache when keys rotate.
//
// Thread rule: owned by one thread (each worker has its own). Get() allocates only on a miss. The
// reference stands until the next Get().
class SigningKeyCache {
 public:
  SigningKeyCache();
  ~SigningKeyCache();
  const SigningKey& Get(std::string_view secret, std::string_view date, std::string_view region);
  std::uint64_t derived() const { return derived_; }  // misses so far

 private:
  struct Entry {
    std::string secret;
    std::string date;
    std::string region;
    std::uint64_t used = 0;
    SigningKey key;
  };
  static constexpr std::size_t kWays = 4;
  std::unique_ptr<Entry[]> entries_;  // kMaxSigningKeys, in sets of kWays
  std::uint64_t tick_ = 0;
  std::uint64_t derived_ = 0;
};

}  // namespace sluice::s3
