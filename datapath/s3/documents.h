// The small XML documents of S3 other than object lists: errors of an origin, DeleteObjects,
// multipart answers, buckets. Names in them are the client's on one side and the origin's on the
// other; whoever translates parses one and writes the other. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "datapath/s3/error.h"
#include "datapath/s3/query.h"

namespace sluice::s3 {

struct OriginError {
  std::string code;  // "NoSuchKey"; see ErrorCodeFromName
  std::string message;
};
base::StatusOr<OriginError> ParseErrorXml(std::string_view xml);

struct DeleteEntry {
  std::string key;
  std::string version_id;  // empty: none
};
struct DeleteRequest {
  std::vector<DeleteEntry> entries;  // 1 to kMaxDeleteKeys
  bool quiet = false;
};
// Errors: InvalidArgument (S3 says MalformedXML), ResourceExhausted.
base::StatusOr<DeleteRequest> ParseDeleteRequest(std::string_view xml);
std::string WriteDeleteRequest(const DeleteRequest& request);

struct DeleteOutcome {
  std::string key;
  std::string version_id;
  std::string delete_marker;  // "true", "false" or empty
  std::string delete_marker_version_id;
  std::string error_code;  // empty: deleted
  std::string error_message;
};
base::StatusOr<std::vector<DeleteOutcome>> ParseDeleteResult(std::string_view xml);
std::string WriteDeleteResult(const std::vector<DeleteOutcome>& outcomes);

// Documents whose Bucket, Key and Location elements name the object (InitiateMultipartUploadResult,
// CompleteMultipartUploadResult, ListPartsResult): the same document with the client's names. An
// element that is not there is not added. Errors: InvalidArgument.
base::StatusOr<std::string> RenameObject(std::string_view xml, std::string_view bucket,
                                         std::string_view key);

struct NamedBucket {
  std::string name;
  std::string created;  // RFC 3339
};
// What ListBuckets was asked for, and the page of `names` (sorted) that answers it.
struct BucketPage {
  std::string prefix;
  std::string after;  // continuation-token: the last name before this page
  std::size_t max_buckets = 10000;
  bool elsewhere = false;  // bucket-region is another than this one: nothing is there
};
// Errors: InvalidArgument.
Error ReadBucketPage(const Query& query, std::string_view region, BucketPage* page);
std::string WriteBuckets(std::string_view owner, const BucketPage& page,
                         const std::vector<NamedBucket>& buckets);
// An empty constraint for us-east-1, as S3 has it.
std::string WriteLocation(std::string_view region);

}  // namespace sluice::s3
