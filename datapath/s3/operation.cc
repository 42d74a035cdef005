#include "datapath/s3/operation.h"

#include "datapath/s3/checksum.h"
#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace {

using http1::EqualsIgnoreCase;
using http1::HeaderId;
using http1::Method;

enum Param : std::uint32_t {
  kIgnored = 0,
  kResponse = 1 << 0,
  kVersionId = 1 << 1,
  kPartNumber = 1 << 2,
  kUploadId = 1 << 3,
  kUploads = 1 << 4,
  kListType = 1 << 5,
  kLocation = 1 << 6,
  kDelete = 1 << 7,
  kListing = 1 << 8,  // prefix, delimiter, encoding-type
  kMaxKeys = 1 << 9,
  kMarker = 1 << 10,
  kContinue = 1 << 11,    // continuation-token, start-after, fetch-owner
  kUploadList = 1 << 12,  // max-uploads, key-marker, upload-id-marker
  kPartList = 1 << 13,    // max-parts, part-number-marker
  kBucketList = 1 << 14,  // max-buckets, bucket-region
  kChecksumMode = 1 << 15,
  kUploadSum = 1 << 16,  // a checksum in the query of a presigned upload
  kDenied = 1 << 30,
  kUnknown = 1u << 31,
};

struct NamedParam {
  std::string_view name;
  std::uint32_t param;
};
constexpr NamedParam kParams[] = {
    {"x-id", kIgnored},
    {"X-Amz-Algorithm", kIgnored},
    {"X-Amz-Credential", kIgnored},
    {"X-Amz-Date", kIgnored},
    {"X-Amz-Expires", kIgnored},
    {"X-Amz-SignedHeaders", kIgnored},
    {"X-Amz-Signature", kIgnored},
    {"X-Amz-Security-Token", kIgnored},
    {"X-Amz-Content-Sha256", kIgnored},
    {"x-amz-checksum-mode", kChecksumMode},
    {"X-Amz-Checksum-Mode", kChecksumMode},
    {"response-content-type", kResponse},
    {"response-content-language", kResponse},
    {"response-expires", kResponse},
    {"response-cache-control", kResponse},
    {"response-content-disposition", kResponse},
    {"response-content-encoding", kResponse},
    {"versionId", kVersionId},
    {"partNumber", kPartNumber},
    {"uploadId", kUploadId},
    {"uploads", kUploads},
    {"list-type", kListType},
    {"location", kLocation},
    {"delete", kDelete},
    {"prefix", kListing},
    {"delimiter", kListing},
    {"encoding-type", kListing},
    {"max-keys", kMaxKeys},
    {"marker", kMarker},
    {"continuation-token", kContinue},
    {"start-after", kContinue},
    {"fetch-owner", kContinue},
    {"max-uploads", kUploadList},
    {"key-marker", kUploadList},
    {"upload-id-marker", kUploadList},
    {"max-parts", kPartList},
    {"part-number-marker", kPartList},
    {"max-buckets", kBucketList},
    {"bucket-region", kBucketList},
    {"policy", kDenied},
    {"policyStatus", kDenied},
    {"ownershipControls", kDenied},
    {"publicAccessBlock", kDenied},
};

std::uint32_t ParamOf(std::string_view raw) {
  for (const NamedParam& known : kParams) {
    if (EqualsDecoded(raw, known.name)) return known.param;
  }
  if (EqualsIgnoreCase(raw, "x-amz-sdk-checksum-algorithm")) return kUploadSum;
  const bool sum = EqualsIgnoreCase(raw.substr(0, 15), "x-amz-checksum-");
  return sum && ChecksumOfHeader(raw) ? kUploadSum : kUnknown;
}

struct OperationRow {
  std::string_view name;
  Access access;
  std::uint32_t allowed;
};
constexpr OperationRow kRows[] = {
    {"ListBuckets", Access::kList, kListing | kContinue | kBucketList},
    {"HeadBucket", Access::kList, 0},
    {"GetBucketLocation", Access::kList, kLocation},
    {"ListObjects", Access::kList, kListing | kMaxKeys | kMarker},
    {"ListObjectsV2", Access::kList, kListType | kListing | kMaxKeys | kContinue},
    {"ListMultipartUploads", Access::kList, kUploads | kListing | kUploadList},
    {"CreateBucket", Access::kWrite, 0},
    {"DeleteBucket", Access::kDelete, 0},
    {"DeleteObjects", Access::kDelete, kDelete},
    {"GetObject", Access::kRead, kResponse | kVersionId | kPartNumber},
    {"HeadObject", Access::kRead, kResponse | kVersionId | kPartNumber},
    {"PutObject", Access::kWrite, kUploadSum},
    {"CopyObject", Access::kWrite, 0},
    {"DeleteObject", Access::kDelete, kVersionId},
    {"CreateMultipartUpload", Access::kWrite, kUploads},
    {"UploadPart", Access::kWrite, kPartNumber | kUploadId | kUploadSum},
    {"UploadPartCopy", Access::kWrite, kPartNumber | kUploadId},
    {"CompleteMultipartUpload", Access::kWrite, kUploadId},
    {"AbortMultipartUpload", Access::kWrite, kUploadId},
    {"ListParts", Access::kList, kUploadId | kPartList},
};
static_assert(std::size(kRows) == static_cast<std::size_t>(Operation::kCount));

const OperationRow& Row(Operation operation) { return kRows[static_cast<std::size_t>(operation)]; }

constexpr Error kBadMethod{ErrorCode::kMethodNotAllowed, {}};

Error BucketOperation(Method method, std::uint32_t params, const Query& query, Operation* out) {
  switch (method) {
    case Method::kGet:
      if (params & kLocation) {
        *out = Operation::kGetBucketLocation;
      } else if (params & kUploads) {
        *out = Operation::kListMultipartUploads;
      } else if (params & kListType) {
        if (query.Find("list-type")->value != "2")
          return {ErrorCode::kInvalidArgument, "Invalid List Type specified in Request"};
        *out = Operation::kListObjectsV2;
      } else {
        *out = Operation::kListObjectsV1;
      }
      return {};
    case Method::kHead:
      *out = Operation::kHeadBucket;
      return {};
    case Method::kPut:
      *out = Operation::kCreateBucket;
      return {};
    case Method::kDelete:
      *out = Operation::kDeleteBucket;
      return {};
    case Method::kPost:
      if (params & kDelete) {
        *out = Operation::kDeleteObjects;
        return {};
      }
      return {ErrorCode::kNotImplemented, "Form uploads are not implemented."};
    default:
      return kBadMethod;
  }
}

Error ObjectOperation(const http1::Request& request, std::uint32_t params, Operation* out) {
  const bool copy = request.headers.Has(HeaderId::kAmzCopySource);
  switch (request.method) {
    case Method::kGet:
      *out = params & kUploadId ? Operation::kListParts : Operation::kGetObject;
      return {};
    case Method::kHead:
      *out = Operation::kHeadObject;
      return {};
    case Method::kPut:
      if (params & kUploadId) {
        if (!(params & kPartNumber))
          return {ErrorCode::kInvalidArgument, "This request is missing partNumber."};
        *out = copy ? Operation::kUploadPartCopy : Operation::kUploadPart;
      } else {
        *out = copy ? Operation::kCopyObject : Operation::kPutObject;
      }
      return {};
    case Method::kPost:
      if (params & kUploads) {
        *out = Operation::kCreateMultipartUpload;
        return {};
      }
      if (params & kUploadId) {
        *out = Operation::kCompleteMultipartUpload;
        return {};
      }
      return kBadMethod;
    case Method::kDelete:
      *out = params & kUploadId ? Operation::kAbortMultipartUpload : Operation::kDeleteObject;
      return {};
    default:
      return kBadMethod;
  }
}

// "<bucket>.<domain>[:port]"
bool BucketOfHost(std::string_view host, std::string_view domain, std::string_view* bucket) {
  if (domain.empty()) return false;
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos)
    host = host.substr(0, colon);
  if (host.size() < domain.size() + 2) return false;
  const std::size_t dot = host.size() - domain.size() - 1;
  if (host[dot] != '.' || !EqualsIgnoreCase(host.substr(dot + 1), domain)) return false;
  *bucket = host.substr(0, dot);
  return true;
}

Error SplitName(const http1::Request& request, std::string_view domain, Target* target) {
  std::string_view rest = request.path;
  if (rest.empty() || rest.front() != '/') return {ErrorCode::kInvalidUri, {}};
  rest.remove_prefix(1);
  target->virtual_host = BucketOfHost(request.host, domain, &target->bucket);
  if (!target->virtual_host) {
    const std::size_t slash = rest.find('/');
    const auto bucket = Decode(rest.substr(0, slash), UriPart::kPath, target->bucket_buffer);
    if (!bucket) return {ErrorCode::kInvalidBucketName, {}};
    target->bucket = *bucket;
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    if (target->bucket.empty() && !rest.empty()) return {ErrorCode::kInvalidBucketName, {}};
  }
  if (!target->bucket.empty() && !IsBucketName(target->bucket))
    return {ErrorCode::kInvalidBucketName, {}};
  const auto key = Decode(rest, UriPart::kPath, target->key_buffer);
  if (!key) {
    // Too long and malformed look alike to Decode: tell them apart by the worst case.
    for (std::size_t i = rest.find('%'); i != std::string_view::npos; i = rest.find('%', i + 1)) {
      if (internal::EscapedByte(rest, i) < 0) return {ErrorCode::kInvalidUri, {}};
    }
    return {ErrorCode::kKeyTooLong, {}};
  }
  if (key->size() > kMaxKeyBytes) return {ErrorCode::kKeyTooLong, {}};
  target->key = *key;
  if (HasDotSegment(target->key)) {
    return {ErrorCode::kInvalidUri, "Keys with a \".\" or \"..\" segment are not served."};
  }
  return {};
}

Error ReadPartNumber(const Query& query, Target* target) {
  const std::string_view text = query.Find("partNumber")->value;
  std::uint32_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || number > 10000) {
      number = 0;
      break;
    }
    number = number * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (number < 1 || number > 10000) {
    return {ErrorCode::kInvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"};
  }
  target->part_number = number;
  return {};
}

Error CheckHeaders(const http1::Request& request, Target* target) {
  for (const http1::Header& header : request.headers) {
    if (header.name.size() < 7 || (header.name[0] | 0x20) != 'x') continue;
    // What every signed request has, and FateOf never refuses.
    if (header.id == HeaderId::kAmzDate || header.id == HeaderId::kAmzContentSha256 ||
        header.id == HeaderId::kAmzChecksumMode || header.id == HeaderId::kAmzSecurityToken)
      continue;
    if (FateOf(target->operation, header.name, header.value) == HeaderFate::kRefuse) {
      const bool acl = EqualsIgnoreCase(header.name, "x-amz-acl") ||
                       EqualsIgnoreCase(header.name.substr(0, 11), "x-amz-grant");
      return {
          acl ? ErrorCode::kAccessDenied : ErrorCode::kNotImplemented,
          acl ? std::string_view("Access control lists are not served here.") : std::string_view()};
    }
    target->sse_customer |=
        header.name.size() > 37 && header.name.find("customer") != std::string_view::npos;
  }
  return {};
}

}  // namespace

std::string_view OperationName(Operation operation) { return Row(operation).name; }
Access NeededAccess(Operation operation) { return Row(operation).access; }

bool IsBucketName(std::string_view name) {
  if (name.empty() || name.size() > kMaxBucketBytes || name == "." || name == "..") return false;
  for (const char c : name) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_';
    if (!ok) return false;
  }
  return true;
}

bool HasDotSegment(std::string_view key) {
  for (std::size_t dot = key.find('.'); dot != std::string_view::npos;
       dot = key.find('.', dot + 1)) {
    if (dot > 0 && key[dot - 1] != '/') continue;
    const std::string_view rest = key.substr(dot);
    if (rest == "." || rest == ".." || rest.substr(0, 2) == "./" || rest.substr(0, 3) == "../")
      return true;
  }
  return false;
}

Error Classify(const http1::Request& request, const Query& query, std::string_view domain,
               Target* target) {
  if (Error error = SplitName(request, domain, target)) return error;
  std::uint32_t params = 0;
  for (const QueryParam& param : query) {
    const std::uint32_t kind = ParamOf(param.name);
    if (kind == kDenied) {
      return {ErrorCode::kAccessDenied, "Access control calls are not served here."};
    }
    params |= kind;
    if (kind == kVersionId) target->version_id = &param;
    if (kind == kUploadId) target->upload_id = &param;
    if (kind == kChecksumMode) target->checksum_mode = EqualsIgnoreCase(param.value, "ENABLED");
  }
  params &= ~kChecksumMode;
  if (params & kUnknown) return {ErrorCode::kNotImplemented, {}};

  Error error;
  if (target->bucket.empty()) {
    if (request.method != Method::kGet) return kBadMethod;
    target->operation = Operation::kListBuckets;
  } else if (target->key.empty()) {
    error = BucketOperation(request.method, params, query, &target->operation);
  } else {
    error = ObjectOperation(request, params, &target->operation);
  }
  if (error) return error;
  if (const http1::Header* mode = request.headers.Line(HeaderId::kAmzChecksumMode))
    target->checksum_mode |= EqualsIgnoreCase(mode->value, "ENABLED");
  if (params & ~Row(target->operation).allowed) return {ErrorCode::kNotImplemented, {}};
  if ((params & kPartNumber) && (error = ReadPartNumber(query, target))) return error;
  return CheckHeaders(request, target);
}

Error ParseCopySource(std::string_view value, CopySource* source) {
  static constexpr Error kBad{ErrorCode::kInvalidArgument,
                              "Copy Source must mention the source bucket and key: "
                              "sourcebucket/sourcekey"};
  if (!value.empty() && value.front() == '/') value.remove_prefix(1);
  const std::size_t mark = value.find('?');
  if (mark != std::string_view::npos) {
    const std::string_view query = value.substr(mark + 1);
    if (query.substr(0, 10) != "versionId=" || query.size() == 10 ||
        query.find('&') != std::string_view::npos)
      return kBad;
    source->version_id = query.substr(10);
    value = value.substr(0, mark);
  }
  // Some clients encode the slash between bucket and key too.
  std::array<char, 3 * (kMaxKeyBytes + kMaxBucketBytes)> room;
  const auto decoded = Decode(value, UriPart::kPath, room);
  if (!decoded) return kBad;
  const std::size_t slash = decoded->find('/');
  if (slash == std::string_view::npos || slash > kMaxBucketBytes) return kBad;
  const std::string_view bucket = decoded->substr(0, slash);
  const std::string_view key = decoded->substr(slash + 1);
  if (!IsBucketName(bucket) || key.empty() || key.size() > kMaxKeyBytes || HasDotSegment(key))
    return kBad;
  bucket.copy(source->bucket_buffer.data(), bucket.size());
  key.copy(source->key_buffer.data(), key.size());
  source->bucket = {source->bucket_buffer.data(), bucket.size()};
  source->key = {source->key_buffer.data(), key.size()};
  return {};
}

}  // namespace sluice::s3
