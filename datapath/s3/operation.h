// Which S3 operation a request is, on which bucket and key.
//
// An allow-list: an operation is recognised only when every query parameter and every header that
// would change its meaning is known. (Checksums in the query of an upload are known and mean
// nothing: docs/adr/0231-checksums-told-by-the-cache.md.) ACL, policy and ownership calls are
// AccessDenied; other subresources, unknown parameters and unknown x-amz-* headers are
// NotImplemented: the agent signs anew only what it knows the meaning of. The key is decoded
// exactly once, here. Keys with a "." or ".." segment are refused, because some origins resolve
// them and a name would leave its mount.
//
// Pure; no allocation; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "datapath/http1/request.h"
#include "datapath/s3/error.h"
#include "datapath/s3/limits.h"
#include "datapath/s3/query.h"

namespace sluice::s3 {

enum class Operation : std::uint8_t {
  kListBuckets,
  kHeadBucket,
  kGetBucketLocation,
  kListObjectsV1,
  kListObjectsV2,
  kListMultipartUploads,
  kCreateBucket,
  kDeleteBucket,
  kDeleteObjects,
  kGetObject,
  kHeadObject,
  kPutObject,
  kCopyObject,
  kDeleteObject,
  kCreateMultipartUpload,
  kUploadPart,
  kUploadPartCopy,
  kCompleteMultipartUpload,
  kAbortMultipartUpload,
  kListParts,
  kCount,
};
// "GetObject": for metrics labels and logs.
std::string_view OperationName(Operation operation);

enum class Access : std::uint8_t { kRead, kWrite, kDelete, kList };
Access NeededAccess(Operation operation);  // a copy also needs kRead on its source

struct Target {
  Operation operation = Operation::kGetObject;
  std::string_view bucket;  // empty with kListBuckets
  std::string_view key;     // decoded; empty for bucket operations
  bool virtual_host = false;
  bool sse_customer = false;               // SSE-C headers: never cached
  bool checksum_mode = false;              // x-amz-checksum-mode: ENABLED, in header or query
  std::uint32_t part_number = 0;           // 1 to 10000; 0: none
  const QueryParam* version_id = nullptr;  // raw value
  const QueryParam* upload_id = nullptr;   // raw value

  Target() = default;
  Target(const Target&) = delete;  // views may point into the buffers
  Target& operator=(const Target&) = delete;
  std::array<char, kMaxBucketBytes> bucket_buffer;
  std::array<char, kMaxKeyBytes> key_buffer;
};

// `domain`: buckets are also named as "<bucket>.<domain>"; empty: path style only. Without a port.
// Errors: InvalidURI, InvalidBucketName, KeyTooLongError, InvalidArgument, MethodNotAllowed,
// NotImplemented, AccessDenied.
Error Classify(const http1::Request& request, const Query& query, std::string_view domain,
               Target* target);

// A copy's source, from x-amz-copy-source: "/bucket/key?versionId=x", encoded.
struct CopySource {
  std::string_view bucket;
  std::string_view key;         // decoded
  std::string_view version_id;  // raw; empty: none
  CopySource() = default;
  CopySource(const CopySource&) = delete;
  CopySource& operator=(const CopySource&) = delete;
  std::array<char, kMaxBucketBytes> bucket_buffer;
  std::array<char, kMaxKeyBytes> key_buffer;
};
// Errors: InvalidArgument.
Error ParseCopySource(std::string_view value, CopySource* source);

// What becomes of a client's header when the operation is re-signed for the origin.
enum class HeaderFate : std::uint8_t { kForward, kDrop, kRefuse };
HeaderFate FateOf(Operation operation, std::string_view name, std::string_view value);
// A Content-Encoding without "aws-chunked": that is the upload's framing, which the agent took off,
// and no property of the object. Empty: nothing is left to forward.
std::string WithoutAwsChunked(std::string_view content_encoding);

// Checks shared with bodies that name keys (DeleteObjects) and with mounts.
bool IsBucketName(std::string_view name);
bool HasDotSegment(std::string_view key);

}  // namespace sluice::s3
