// The requests a load run sends: GETs of numbered keys, plain or signed with Signature Version 4.
//
// A signed request is made when a key is first asked for in a second and sent again within that
// second: so the sender is cheap, every signature is at most a second old, and the server has the
// same work for each request. The signer is written after "Signature Version 4 signing process"
// (AWS General Reference) and shares no code with the server's: it checks it, too.
//
// Thread rule: one thread. Errors: none (the caller checked its flags).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

struct RequestOptions {
  std::string host;        // "127.0.0.1:9000"
  std::string path;        // "/bench/64KiB"; with keys > 0 followed by "/0000", "/0001", ...
  std::size_t keys = 0;    // 0: `path` itself
  std::string access_key;  // empty: unsigned
  std::string secret_key;
  std::string region = "us-east-1";
};

class Requests {
 public:
  explicit Requests(RequestOptions options);
  std::size_t keys() const { return made_.size(); }
  // The whole request, good until the next call. `unix_second`: now.
  std::string_view Get(std::size_t key, std::int64_t unix_second);

 private:
  struct Made {
    std::int64_t second = -1;
    std::string text;
  };
  std::string PathOf(std::size_t key) const;
  std::string Sign(const std::string& path, std::int64_t unix_second);

  const RequestOptions options_;
  std::vector<Made> made_;
  std::string key_date_;     // the day the derived key is for
  std::string derived_key_;  // 32 bytes
};

}  // namespace sluice::bench
