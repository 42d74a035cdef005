// What a request claims about its signer (AWS Signature Version 4), read from the Authorization
// header or from a presigned URL's query. Nothing is verified here: see sigv4_verify.h.
//
// Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API reference.
// Pure; no allocation; views point into the request's buffer or into the claim itself.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "controller/base/clock.h"
#include "datapath/http1/date.h"
#include "datapath/http1/request.h"
#include "datapath/s3/error.h"
#include "datapath/s3/limits.h"
#include "datapath/s3/query.h"

namespace sluice::s3 {

enum class AuthKind : std::uint8_t { kAnonymous, kHeader, kPresigned };

// What the signature says about the body.
enum class PayloadKind : std::uint8_t {
  kUnsigned,                  // UNSIGNED-PAYLOAD
  kSigned,                    // 64 hex digits: the SHA-256 of the whole body
  kStreamingSigned,           // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
  kStreamingSignedTrailer,    // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
  kStreamingUnsignedTrailer,  // STREAMING-UNSIGNED-PAYLOAD-TRAILER
};
constexpr bool IsAwsChunked(PayloadKind kind) { return kind >= PayloadKind::kStreamingSigned; }

struct Auth {
  AuthKind kind = AuthKind::kAnonymous;
  PayloadKind payload = PayloadKind::kUnsigned;
  std::string_view access_key_id;
  std::string_view scope;  // "20130524/us-east-1/s3/aws4_request"
  std::string_view date;   // its parts
  std::string_view region;
  std::string_view service;
  std::string_view signed_headers;  // "host;x-amz-date"
  std::string_view signature;       // 64 hex digits
  std::string_view payload_hash;    // as it stands in the canonical request
  std::string_view session_token;   // as sent; encoded when kPresigned. Empty: none
  std::array<char, http1::kBasicDateBytes> timestamp{};  // "20130524T000000Z"
  base::WallTime signed_at{};
  std::uint32_t expires_s = 0;  // with kPresigned

  Auth() = default;
  Auth(const Auth&) = delete;
  Auth& operator=(const Auth&) = delete;

  std::string_view timestamp_text() const { return {timestamp.data(), timestamp.size()}; }

  // Decoded parts of a presigned URL; the views above may point here.
  std::array<char, kMaxCredentialBytes> credential_buffer;
  std::array<char, kMaxSignedHeadersBytes> headers_buffer;
};

// kNone with kind kAnonymous: the request bears no signature at all.
// Errors: AuthorizationHeaderMalformed, AuthorizationQueryParametersError, AccessDenied (no date),
// InvalidRequest (SigV2, both ways at once, missing payload hash), InvalidArgument (payload hash),
// NotImplemented (SigV4A).
Error ParseAuth(const http1::Request& request, const Query& query, Auth* auth);

// The part of it that x-amz-content-sha256 is. Errors: InvalidArgument, NotImplemented.
Error ReadPayload(std::string_view text, Auth* auth);

}  // namespace sluice::s3
