// Listing objects: what a client asks, what an origin answers, what the client gets.
//
// The origin is always asked with encoding-type=url, so that every key survives XML; pages hold
// decoded keys. A mount's prefix is put on and taken off here (WithPrefix, StripPrefix), and a key
// that does not lie under it is dropped: an origin's mistake must not show another tenant's names.
// Source: "ListObjectsV2", "ListObjects", Amazon S3 API reference. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controller/base/status.h"
#include "datapath/s3/error.h"
#include "datapath/s3/query.h"

namespace sluice::s3 {

struct ListRequest {
  bool v2 = true;
  std::string prefix;  // decoded, as everything here
  std::string delimiter;
  std::uint32_t max_keys = 1000;
  bool encode_url = false;
  std::string marker;              // V1
  std::string continuation_token;  // V2; as the origin gave it
  bool has_continuation_token = false;
  std::string start_after;  // V2
  bool fetch_owner = false;
};

// Errors: InvalidArgument (max-keys, encoding-type, fetch-owner, an empty continuation-token).
Error ParseListRequest(const Query& query, bool v2, ListRequest* request);

// The query that asks an origin for the same, below `mount_prefix`.
std::string OriginListQuery(const ListRequest& request, std::string_view mount_prefix);

struct ListedObject {
  std::string key;
  std::string last_modified;  // as the origin wrote it
  std::string etag;           // with quotes
  std::uint64_t bytes = 0;
  std::string storage_class;
  std::string owner_id, owner_name;
  std::string checksum_algorithm, checksum_type;
};

struct ListPage {
  std::vector<ListedObject> objects;
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string next;  // NextContinuationToken, or NextMarker
};

// Errors: InvalidArgument (not such a document), ResourceExhausted (too large, too many keys).
base::StatusOr<ListPage> ParseListPage(std::string_view xml);
// Takes `mount_prefix` off all names; drops those that do not have it. With V1 off `next` too.
void StripPrefix(std::string_view mount_prefix, bool v2, ListPage* page);
// The client's document; `bucket` is the name the client used.
std::string WriteListPage(std::string_view bucket, const ListRequest& request,
                          const ListPage& page);

}  // namespace sluice::s3
