// Between an origin's answer, what the cache keeps of it, and the head a client gets. Pure.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "datapath/http1/headers.h"
#include "datapath/s3/conditional.h"
#include "datapath/s3/query.h"
#include "datapath/store/object.h"

namespace sluice::serve {

// What is kept of the head of a 200 or 206 (GET) or 200 (HEAD). `size`: of the whole object.
// Errors: FailedPrecondition when it must not be cached (no ETag, customer-provided key, headers
// beyond the cache's bounds).
base::StatusOr<store::ObjectMeta> MetaFromHead(const http1::Headers& headers, std::uint64_t size);

// The lines every 200, 206 (and, but for Content-*, 304) answer repeats, each ending in CRLF.
std::string RenderMeta(const store::ObjectMeta& meta);
// The same with the query's response-* overrides in place of the object's own.
std::string RenderMetaWithOverrides(const store::ObjectMeta& meta, const s3::Query& query);
bool HasOverrides(const s3::Query& query);

// The checksums in an answer about the whole object (a HEAD, or a GET's 200: with a 206 an origin
// may send those of a part), as lines; empty: there are none, or more than kMaxChecksumBytes.
std::string ChecksumLines(const http1::Headers& headers);

s3::ObjectFacts FactsOf(const store::ObjectMeta& meta);

}  // namespace sluice::serve
