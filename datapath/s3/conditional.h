// Conditional reads, with S3's precedence: If-Match wins over If-Unmodified-Since, If-None-Match
// over If-Modified-Since; dates that do not parse, or lie in the future for If-Modified-Since,
// count as absent. Source: RFC 9110 §13, "GetObject", Amazon S3 API reference. Pure; no allocation.
#pragma once

#include "controller/base/clock.h"
#include "datapath/http1/headers.h"
#include "datapath/s3/error.h"

namespace sluice::s3 {

struct ObjectFacts {
  std::string_view etag;  // with its quotes, as the origin gave it
  base::WallTime last_modified{};
};

// kNone: send the object; kNotModified: 304; kPreconditionFailed: 412.
Error EvaluateConditions(const http1::Headers& headers, const ObjectFacts& object,
                         base::WallTime now);

// False: If-Range names another state of the object, so Range is to be ignored.
bool RangeApplies(const http1::Headers& headers, const ObjectFacts& object);

// True when `list` ("*", or tags, quoted or not) names `etag`. `weak`: W/ is looked through.
bool ListsEtag(std::string_view list, std::string_view etag, bool weak);

}  // namespace sluice::s3
