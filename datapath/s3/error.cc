#include "datapath/s3/error.h"

#include <array>

#include "controller/base/check.h"
#include "datapath/s3/xml.h"

namespace sluice::s3 {
namespace {
constexpr std::array<ErrorInfo, static_cast<std::size_t>(ErrorCode::kCount)> kErrors = {{
    {"", 200, ""},
    {"AccessDenied", 403, "Access Denied"},
    {"AuthorizationHeaderMalformed", 400, "The authorization header you provided is invalid."},
    {"AuthorizationQueryParametersError", 400,
     "The query string authentication parameters you provided are invalid."},
    {"BadDigest", 400, "The digest you specified did not match what was received."},
    {"BucketNotEmpty", 409, "The bucket you tried to delete is not empty."},
    {"XAmzContentSHA256Mismatch", 400,
     "The provided 'x-amz-content-sha256' header does not match what was computed."},
    {"EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size."},
    {"ExpiredToken", 400, "The provided token has expired."},
    {"IncompleteBody", 400,
     "You did not provide the number of bytes specified by the Content-Length HTTP header"},
    {"InternalError", 500, "We encountered an internal error. Please try again."},
    {"InvalidAccessKeyId", 403,
     "The AWS Access Key Id you provided does not exist in our records."},
    {"InvalidArgument", 400, "Invalid Argument"},
    {"InvalidBucketName", 400, "The specified bucket is not valid."},
    {"InvalidDigest", 400, "The digest you specified is not valid."},
    {"InvalidRange", 416, "The requested range is not satisfiable"},
    {"InvalidRequest", 400, "Invalid Request"},
    {"InvalidToken", 400, "The provided token is malformed or otherwise invalid."},
    {"InvalidURI", 400, "Couldn't parse the specified URI."},
    {"KeyTooLongError", 400, "Your key is too long"},
    {"MalformedTrailerError", 400,
     "The request contained trailing data that was not well-formed or did not conform to our "
     "published schema."},
    {"MalformedXML", 400,
     "The XML you provided was not well-formed or did not validate against our published schema"},
    {"MethodNotAllowed", 405, "The specified method is not allowed against this resource."},
    {"MissingContentLength", 411, "You must provide the Content-Length HTTP header."},
    {"MissingSecurityHeader", 400, "Your request was missing a required header"},
    {"NoSuchBucket", 404, "The specified bucket does not exist"},
    {"NoSuchKey", 404, "The specified key does not exist."},
    {"NoSuchUpload", 404,
     "The specified multipart upload does not exist. The upload ID may be invalid, or the upload "
     "may "
     "have been aborted or completed."},
    {"NoSuchVersion", 404, "The specified version does not exist."},
    {"NotImplemented", 501,
     "A header or query parameter you provided implies functionality that is not implemented"},
    {"NotModified", 304, ""},
    {"PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold"},
    {"QuotaExceeded", 403, "The quota of this tenant is used up."},
    {"RequestTimeTooSkewed", 403,
     "The difference between the request time and the current time is too large."},
    {"RequestTimeout", 400,
     "Your socket connection to the server was not read from or written to within the timeout "
     "period."},
    {"ServiceUnavailable", 503, "Service is unable to handle request."},
    {"SignatureDoesNotMatch", 403,
     "The request signature we calculated does not match the signature you provided. Check your "
     "key "
     "and signing method."},
    {"SlowDown", 503, "Please reduce your request rate."},
}};
}  // namespace

const ErrorInfo& Describe(ErrorCode code) {
  SLUICE_CHECK(code < ErrorCode::kCount);
  return kErrors[static_cast<std::size_t>(code)];
}

ErrorCode ErrorCodeFromName(std::string_view name) {
  for (std::size_t i = 1; i < kErrors.size(); ++i) {
    if (kErrors[i].code == name) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::kNone;
}

std::string_view WriteErrorXml(const Error& error, const ErrorContext& context,
                               std::span<char> out) {
  return WriteErrorXml(Describe(error.code).code, error.text(), context, out);
}

std::string_view WriteErrorXml(std::string_view code, std::string_view message,
                               const ErrorContext& context, std::span<char> out) {
  XmlWriter xml(out);
  xml.Declaration();
  xml.Open("Error");
  xml.Element("Code", code);
  xml.Element("Message", message);
  if (!context.range.empty()) xml.Element("RangeRequested", context.range);
  if (context.object_bytes) xml.Element("ActualObjectSize", *context.object_bytes);
  if (!context.region.empty()) xml.Element("Region", context.region);
  if (!context.resource.empty()) xml.Element("Resource", context.resource);
  xml.Element("RequestId", context.request_id);
  xml.Element("HostId", context.host_id);
  xml.Close("Error");
  return xml.text();
}

}  // namespace sluice::s3
