#include "datapath/s3/conditional.h"

#include "datapath/http1/date.h"

namespace sluice::s3 {
namespace {

using http1::HeaderId;

std::string_view Unquote(std::string_view tag) {
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"')
    return tag.substr(1, tag.size() - 2);
  return tag;
}

bool SameTag(std::string_view a, std::string_view b, bool weak) {
  const bool weak_a = a.substr(0, 2) == "W/";
  const bool weak_b = b.substr(0, 2) == "W/";
  if (weak_a) a.remove_prefix(2);
  if (weak_b) b.remove_prefix(2);
  return (weak || (!weak_a && !weak_b)) && Unquote(a) == Unquote(b);
}

base::WallTime Seconds(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time);
}

}  // namespace

bool ListsEtag(std::string_view list, std::string_view etag, bool weak) {
  if (list == "*") return true;
  // A tag may hold commas inside its quotes, so elements are cut by hand.
  std::size_t at = 0;
  while (at < list.size()) {
    const char c = list[at];
    if (c == ' ' || c == '\t' || c == ',') {
      ++at;
      continue;
    }
    std::size_t end = at;
    bool quoted = false;
    while (end < list.size() && (quoted || list[end] != ',')) {
      if (list[end] == '"') quoted = !quoted;
      ++end;
    }
    std::string_view tag = list.substr(at, end - at);
    while (!tag.empty() && (tag.back() == ' ' || tag.back() == '\t')) tag.remove_suffix(1);
    if (SameTag(tag, etag, weak)) return true;
    at = end;
  }
  return false;
}

Error EvaluateConditions(const http1::Headers& headers, const ObjectFacts& object,
                         base::WallTime now) {
  const base::WallTime modified = Seconds(object.last_modified);
  if (const http1::Header* match = headers.Line(HeaderId::kIfMatch)) {
    if (!ListsEtag(match->value, object.etag, false)) return {ErrorCode::kPreconditionFailed, {}};
  } else if (const http1::Header* since = headers.Line(HeaderId::kIfUnmodifiedSince)) {
    const auto time = http1::ParseHttpDate(since->value);
    if (time && modified > *time) return {ErrorCode::kPreconditionFailed, {}};
  }
  if (const http1::Header* none = headers.Line(HeaderId::kIfNoneMatch)) {
    if (ListsEtag(none->value, object.etag, true)) return {ErrorCode::kNotModified, {}};
  } else if (const http1::Header* since = headers.Line(HeaderId::kIfModifiedSince)) {
    const auto time = http1::ParseHttpDate(since->value);
    if (time && *time <= now && modified <= *time) return {ErrorCode::kNotModified, {}};
  }
  return {};
}

bool RangeApplies(const http1::Headers& headers, const ObjectFacts& object) {
  const http1::Header* if_range = headers.Line(HeaderId::kIfRange);
  if (if_range == nullptr) return true;
  if (const auto time = http1::ParseHttpDate(if_range->value))
    return Seconds(object.last_modified) == *time;
  return SameTag(if_range->value, object.etag, false);
}

}  // namespace sluice::s3
