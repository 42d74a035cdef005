// Which of a client's headers go on to the origin: operation.h's FateOf.
#include <algorithm>

#include "datapath/http1/headers.h"
#include "datapath/s3/operation.h"

namespace sluice::s3 {
namespace {

using http1::EqualsIgnoreCase;

bool StartsWith(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && EqualsIgnoreCase(name.substr(0, prefix.size()), prefix);
}

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  for (const std::string_view known : names) {
    if (EqualsIgnoreCase(name, known)) return true;
  }
  return false;
}

bool CreatesObject(Operation operation) {
  return operation == Operation::kPutObject || operation == Operation::kCopyObject ||
         operation == Operation::kCreateMultipartUpload;
}

bool Copies(Operation operation) {
  return operation == Operation::kCopyObject || operation == Operation::kUploadPartCopy;
}

bool Writes(Operation operation) {
  return CreatesObject(operation) || Copies(operation) || operation == Operation::kUploadPart ||
         operation == Operation::kCompleteMultipartUpload ||
         operation == Operation::kDeleteObjects || operation == Operation::kDeleteObject;
}

// Made anew when the request is signed for the origin, or meant for the agent alone.
bool IsOurs(std::string_view name) {
  return IsOneOf(
      name,
      {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-decoded-content-length",
       "x-amz-trailer", "x-amz-copy-source", "x-amz-user-agent", "x-amz-request-payer", "x-amz-te",
       "x-amz-optional-object-attributes", "x-amz-sdk-request", "x-amz-id-2", "x-amz-request-id"});
}

}  // namespace

HeaderFate FateOf(Operation operation, std::string_view name, std::string_view value) {
  if (!StartsWith(name, "x-amz-")) {
    if (IsOneOf(name, {"content-type", "content-md5", "cache-control", "content-disposition",
                       "content-language", "expires"}))
      return Writes(operation) ? HeaderFate::kForward : HeaderFate::kDrop;
    if (IsOneOf(name, {"if-match", "if-none-match"}))
      return Writes(operation) ? HeaderFate::kForward : HeaderFate::kDrop;
    // Less "aws-chunked": WithoutAwsChunked.
    if (EqualsIgnoreCase(name, "content-encoding"))
      return CreatesObject(operation) ? HeaderFate::kForward : HeaderFate::kDrop;
    return HeaderFate::kDrop;
  }
  if (IsOurs(name)) return HeaderFate::kDrop;
  if (EqualsIgnoreCase(name, "x-amz-acl"))
    return value == "private" ? HeaderFate::kDrop : HeaderFate::kRefuse;
  if (StartsWith(name, "x-amz-meta-"))
    return CreatesObject(operation) ? HeaderFate::kForward : HeaderFate::kDrop;
  if (StartsWith(name, "x-amz-checksum-") ||
      IsOneOf(name, {"x-amz-sdk-checksum-algorithm", "x-amz-mp-object-size"}))
    return Writes(operation) || operation == Operation::kGetObject ||
                   operation == Operation::kHeadObject
               ? HeaderFate::kForward
               : HeaderFate::kDrop;
  if (StartsWith(name, "x-amz-server-side-encryption-customer-") ||
      StartsWith(name, "x-amz-copy-source-server-side-encryption-customer-"))
    return HeaderFate::kForward;
  if (StartsWith(name, "x-amz-server-side-encryption") ||
      IsOneOf(name, {"x-amz-storage-class", "x-amz-tagging"}))
    return CreatesObject(operation) ? HeaderFate::kForward : HeaderFate::kRefuse;
  if (StartsWith(name, "x-amz-copy-source-if-") ||
      IsOneOf(name,
              {"x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-copy-source-range"}))
    return Copies(operation) ? HeaderFate::kForward : HeaderFate::kRefuse;
  if (IsOneOf(name, {"x-amz-if-match-size", "x-amz-if-match-last-modified-time"}))
    return operation == Operation::kDeleteObject ? HeaderFate::kForward : HeaderFate::kRefuse;
  return HeaderFate::kRefuse;
}

std::string WithoutAwsChunked(std::string_view content_encoding) {
  std::string kept;
  while (!content_encoding.empty()) {
    const std::size_t comma = std::min(content_encoding.find(','), content_encoding.size());
    std::string_view token = content_encoding.substr(0, comma);
    content_encoding.remove_prefix(std::min(comma + 1, content_encoding.size()));
    while (!token.empty() && (token.front() == ' ' || token.front() == '\t'))
      token.remove_prefix(1);
    while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
    if (token.empty() || EqualsIgnoreCase(token, "aws-chunked")) continue;
    if (!kept.empty()) kept += ",";
    kept += token;
  }
  return kept;
}

}  // namespace sluice::s3
