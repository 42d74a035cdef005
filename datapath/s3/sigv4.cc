#include "datapath/s3/sigv4.h"

#include <cstring>

#include "datapath/s3/sha256.h"
#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace {

using http1::HeaderId;

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
// What they are is not looked at: only the very digits we compute will do.
constexpr std::size_t kSignatureDigits = 64;

Error Malformed(const Auth& auth, std::string_view why) {
  return {auth.kind == AuthKind::kPresigned ? ErrorCode::kAuthorizationQueryParametersError
                                            : ErrorCode::kAuthorizationHeaderMalformed,
          why};
}

bool IsHex64(std::string_view text) {
  if (text.size() != 64) return false;
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

// "AKID/20130524/us-east-1/s3/aws4_request"; the key id may hold slashes, so from the right.
Error ReadCredential(std::string_view text, Auth* auth) {
  std::string_view parts[4];
  std::size_t end = text.size();
  for (int i = 3; i >= 0; --i) {
    const std::size_t slash = end == 0 ? std::string_view::npos : text.rfind('/', end - 1);
    if (slash == std::string_view::npos) {
      return Malformed(*auth,
                       "The Credential is malformed; expecting "
                       "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
    }
    parts[i] = text.substr(slash + 1, end - slash - 1);
    end = slash;
  }
  auth->access_key_id = text.substr(0, end);
  auth->scope = text.substr(end + 1);
  auth->date = parts[0];
  auth->region = parts[1];
  auth->service = parts[2];
  if (auth->access_key_id.empty() || auth->date.size() != 8)
    return Malformed(*auth, "The Credential is malformed; its key id or date is not valid.");
  if (parts[3] != "aws4_request")
    return Malformed(*auth, "The Credential is malformed; it must end with \"aws4_request\".");
  if (auth->service != "s3")
    return Malformed(*auth, "The Credential is malformed; the service must be \"s3\".");
  return {};
}

Error ReadTimestamp(std::string_view amz_date, std::string_view http_date, Auth* auth) {
  std::optional<base::WallTime> time;
  if (!amz_date.empty()) {
    time = http1::ParseBasicDate(amz_date);
  } else if (!http_date.empty()) {
    time = http1::ParseHttpDate(http_date);
    if (!time) time = http1::ParseBasicDate(http_date);
  }
  if (!time) {
    return {ErrorCode::kAccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header"};
  }
  auth->signed_at = *time;
  http1::FormatBasicDate(*time, auth->timestamp);
  if (auth->timestamp_text().substr(0, 8) != auth->date)
    return Malformed(*auth, "The date in the credential scope is not that of the request.");
  return {};
}

// Takes "Name=value" up to a comma off `text`.
bool TakeField(std::string_view* text, std::string_view* name, std::string_view* value) {
  while (!text->empty() && (text->front() == ' ' || text->front() == ',')) text->remove_prefix(1);
  if (text->empty()) return false;
  const std::size_t comma = text->find(',');
  std::string_view field = text->substr(0, comma);
  text->remove_prefix(field.size());
  while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
  const std::size_t equals = field.find('=');
  *name = field.substr(0, equals);
  *value = equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1);
  return true;
}

Error ReadHeaderAuth(const http1::Request& request, std::string_view header, Auth* auth) {
  auth->kind = AuthKind::kHeader;
  if (header.substr(0, 4) == "AWS ") {
    return {ErrorCode::kInvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use "
            "AWS4-HMAC-SHA256."};
  }
  if (header.substr(0, 10) == "AWS4-ECDSA")
    return {ErrorCode::kNotImplemented, "SigV4A is not implemented."};
  if (header.substr(0, kAlgorithm.size()) != kAlgorithm)
    return {ErrorCode::kInvalidArgument, "Unsupported Authorization Type"};
  if (header.size() <= kAlgorithm.size() || header[kAlgorithm.size()] != ' ')
    return {ErrorCode::kInvalidArgument,
            "Authorization header is invalid -- one and only one ' ' (space) required."};
  std::string_view rest = header.substr(kAlgorithm.size());
  std::string_view credential;
  for (std::string_view name, value; TakeField(&rest, &name, &value);) {
    std::string_view* const field = name == "Credential"      ? &credential
                                    : name == "SignedHeaders" ? &auth->signed_headers
                                    : name == "Signature"     ? &auth->signature
                                                              : nullptr;
    if (field == nullptr || !field->empty())
      return Malformed(*auth, "The authorization header has an unknown or repeated part.");
    *field = value;
  }
  if (credential.empty() || auth->signed_headers.empty() || auth->signature.empty()) {
    return Malformed(*auth,
                     "The authorization header requires Credential, SignedHeaders and Signature.");
  }
  if (Error error = ReadCredential(credential, auth)) return error;
  if (auth->signature.size() != kSignatureDigits) return {ErrorCode::kSignatureDoesNotMatch, {}};
  if (Error error = ReadTimestamp(request.headers.Get(HeaderId::kAmzDate),
                                  request.headers.Get(HeaderId::kDate), auth))
    return error;
  auth->session_token = request.headers.Get(HeaderId::kAmzSecurityToken);
  const http1::Header* hash = request.headers.Line(HeaderId::kAmzContentSha256);
  if (hash == nullptr) {
    return {ErrorCode::kInvalidRequest,
            "Missing required header for this request: x-amz-content-sha256"};
  }
  return ReadPayload(hash->value, auth);
}

Error ReadPresigned(const http1::Request& request, const Query& query, Auth* auth) {
  auth->kind = AuthKind::kPresigned;
  const auto raw = [&query](std::string_view name) {
    const QueryParam* param = query.Find(name);
    return param == nullptr ? std::string_view() : param->value;
  };
  for (const std::string_view name : {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date",
                                      "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"}) {
    int seen = 0;
    for (const QueryParam& param : query) seen += EqualsDecoded(param.name, name);
    if (seen != 1) {
      return Malformed(*auth,
                       "Query-string authentication version 4 requires the X-Amz-Algorithm, "
                       "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
                       "X-Amz-Expires parameters, once each.");
    }
  }
  if (raw("X-Amz-Algorithm") != kAlgorithm)
    return Malformed(*auth, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
  const auto credential = Decode(raw("X-Amz-Credential"), UriPart::kQuery, auth->credential_buffer);
  const auto headers = Decode(raw("X-Amz-SignedHeaders"), UriPart::kQuery, auth->headers_buffer);
  if (!credential || !headers || headers->empty())
    return Malformed(*auth, "X-Amz-Credential or X-Amz-SignedHeaders is not valid.");
  auth->signed_headers = *headers;
  if (Error error = ReadCredential(*credential, auth)) return error;
  auth->signature = raw("X-Amz-Signature");
  if (auth->signature.size() != kSignatureDigits) return {ErrorCode::kSignatureDoesNotMatch, {}};
  if (!http1::ParseBasicDate(raw("X-Amz-Date"))) {
    return Malformed(*auth,
                     "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  }
  if (Error error = ReadTimestamp(raw("X-Amz-Date"), {}, auth)) return error;
  const std::string_view expires = raw("X-Amz-Expires");
  if (expires.empty() || expires.size() > 7)
    return Malformed(*auth, "X-Amz-Expires must be a number of at most 604800 seconds.");
  for (const char c : expires) {
    if (c < '0' || c > '9') return Malformed(*auth, "X-Amz-Expires should be a number");
    auth->expires_s = auth->expires_s * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (auth->expires_s == 0 || auth->expires_s > kMaxPresignSeconds) {
    return Malformed(*auth, "X-Amz-Expires must be between 1 and 604800 seconds (a week).");
  }
  auth->session_token = raw("X-Amz-Security-Token");
  if (const http1::Header* hash = request.headers.Line(HeaderId::kAmzContentSha256))
    return ReadPayload(hash->value, auth);
  return ReadPayload("UNSIGNED-PAYLOAD", auth);
}

}  // namespace

Error ReadPayload(std::string_view text, Auth* auth) {
  auth->payload_hash = text;
  if (text == "UNSIGNED-PAYLOAD") {
    auth->payload = PayloadKind::kUnsigned;
  } else if (text == kEmptySha256 || IsHex64(text)) {  // what nearly every read says
    auth->payload = PayloadKind::kSigned;
  } else if (text == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") {
    auth->payload = PayloadKind::kStreamingSigned;
  } else if (text == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") {
    auth->payload = PayloadKind::kStreamingSignedTrailer;
  } else if (text == "STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
    auth->payload = PayloadKind::kStreamingUnsignedTrailer;
  } else if (text.substr(0, 24) == "STREAMING-AWS4-ECDSA-P25") {
    return {ErrorCode::kNotImplemented, "SigV4A payloads are not implemented."};
  } else {
    return {ErrorCode::kInvalidArgument,
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."};
  }
  return {};
}

Error ParseAuth(const http1::Request& request, const Query& query, Auth* auth) {
  const http1::Header* header = request.headers.Line(HeaderId::kAuthorization);
  bool presigned = false;
  for (const QueryParam& param : query) {
    presigned |= EqualsDecoded(param.name, "X-Amz-Signature") ||
                 EqualsDecoded(param.name, "X-Amz-Algorithm");
    if (EqualsDecoded(param.name, "AWSAccessKeyId")) {
      return {ErrorCode::kInvalidRequest,
              "The authorization mechanism you have provided is not supported. Please use "
              "AWS4-HMAC-SHA256."};
    }
  }
  if (header != nullptr && presigned) {
    return {ErrorCode::kInvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
            "query string parameter or the Authorization header should be specified"};
  }
  if (header != nullptr) return ReadHeaderAuth(request, header->value, auth);
  if (presigned) return ReadPresigned(request, query, auth);
  auth->kind = AuthKind::kAnonymous;
  // An anonymous body is taken as it is, but its framing may still be aws-chunked.
  const std::string_view hash = request.headers.Get(HeaderId::kAmzContentSha256);
  return hash.empty() ? Error{} : ReadPayload(hash, auth);
}

}  // namespace sluice::s3
