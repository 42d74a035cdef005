// S3's errors: code, HTTP status, message, and the XML that clients parse.
// Source: "Error responses", Amazon S3 API reference. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::s3 {

enum class ErrorCode : std::uint8_t {
  kNone,
  kAccessDenied,
  kAuthorizationHeaderMalformed,
  kAuthorizationQueryParametersError,
  kBadDigest,
  kBucketNotEmpty,
  kContentSha256Mismatch,
  kEntityTooLarge,
  kExpiredToken,
  kIncompleteBody,
  kInternalError,
  kInvalidAccessKeyId,
  kInvalidArgument,
  kInvalidBucketName,
  kInvalidDigest,
  kInvalidRange,
  kInvalidRequest,
  kInvalidToken,
  kInvalidUri,
  kKeyTooLong,
  kMalformedTrailer,
  kMalformedXml,
  kMethodNotAllowed,
  kMissingContentLength,
  kMissingSecurityHeader,
  kNoSuchBucket,
  kNoSuchKey,
  kNoSuchUpload,
  kNoSuchVersion,
  kNotImplemented,
  kNotModified,  // not an error to S3, but an answer without a body decided in the same places
  kPreconditionFailed,
  kQuotaExceeded,
  kRequestTimeTooSkewed,
  kRequestTimeout,
  kServiceUnavailable,
  kSignatureDoesNotMatch,
  kSlowDown,
  kCount,
};

struct ErrorInfo {
  std::string_view code;  // "NoSuchKey"
  int http_status;
  std::string_view message;
};
const ErrorInfo& Describe(ErrorCode code);
// The code an origin named in its XML; kNone for a word we do not know.
ErrorCode ErrorCodeFromName(std::string_view name);

// What a pure function of this folder answers when it refuses. `message` is a constant; empty means
// the code's own.
struct Error {
  ErrorCode code = ErrorCode::kNone;
  std::string_view message;
  explicit operator bool() const { return code != ErrorCode::kNone; }
  int http_status() const { return Describe(code).http_status; }
  std::string_view text() const { return message.empty() ? Describe(code).message : message; }
};

struct ErrorContext {
  std::string_view resource;  // path as sent; escaped here
  std::string_view request_id;
  std::string_view host_id;
  std::string_view region;  // with AuthorizationHeaderMalformed: the region to sign for
  // With InvalidRange: what was asked for of how much. The CRT's clients read an object of no bytes
  // by ranges and know it by its size here.
  std::string_view range = {};
  std::optional<std::uint64_t> object_bytes = {};
};
// The XML document, written into `out`; empty when it does not fit (2 KiB and six times the
// resource and the range always do).
std::string_view WriteErrorXml(const Error& error, const ErrorContext& context,
                               std::span<char> out);
// With a code and message that are somebody else's; the message needs six times its length more.
std::string_view WriteErrorXml(std::string_view code, std::string_view message,
                               const ErrorContext& context, std::span<char> out);

}  // namespace sluice::s3
