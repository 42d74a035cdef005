// Writes requests of our own to an origin: the whole head, signed with Signature Version 4.
// Pure but for the key cache; no allocation when the derived key is cached.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "controller/base/clock.h"
#include "datapath/s3/signing_key.h"

namespace sluice::s3 {

inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

struct OutgoingHeader {
  std::string_view name;  // lower case
  std::string_view value;
};

struct OutgoingRequest {
  std::string_view method;
  std::string_view host;   // with port when it is not the scheme's own
  std::string_view path;   // encoded as SigV4 signs it (uri.h Encode with kPath)
  std::string_view query;  // encoded, sorted by name, every name with '='; see QueryBuilder
  // Any order, without the ones made here: host, x-amz-date, x-amz-content-sha256,
  // x-amz-security-token, content-length, connection.
  std::span<const OutgoingHeader> headers;
  std::string_view payload_hash = kUnsignedPayload;  // or hex, or kEmptySha256
  std::optional<std::uint64_t> content_length;
};

struct OriginCredentials {  // views; never logged
  std::string_view access_key_id;
  std::string_view secret_access_key;
  std::string_view session_token;  // empty: none
  std::string_view region;
};

inline constexpr std::size_t kMaxOutgoingHeaders = 64;

// The signed head in `out`; empty when it does not fit or a value could not stand in a header.
std::string_view WriteSignedHead(const OutgoingRequest& request,
                                 const OriginCredentials& credentials, base::WallTime now,
                                 SigningKeyCache* keys, std::span<char> out);

// Collects query parameters and gives them encoded and sorted, as OutgoingRequest wants them.
class QueryBuilder {
 public:
  void Add(std::string_view name, std::string_view value);         // decoded bytes
  void AddRaw(std::string_view name, std::string_view raw_value);  // as a client sent it
  std::string Build() const;

 private:
  std::vector<std::pair<std::string, std::string>> params_;
};

}  // namespace sluice::s3
