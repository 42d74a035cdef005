#include "datapath/serve/object_head.h"

#include <algorithm>
#include <array>

#include "datapath/http1/date.h"
#include "datapath/s3/uri.h"
#include "datapath/serve/limits.h"
#include "datapath/store/limits.h"

namespace sluice::serve {
namespace {

constexpr std::array<std::string_view, 15> kKept = {"content-type",
                                                    "cache-control",
                                                    "content-disposition",
                                                    "content-encoding",
                                                    "content-language",
                                                    "expires",
                                                    "x-amz-storage-class",
                                                    "x-amz-tagging-count",
                                                    "x-amz-website-redirect-location",
                                                    "x-amz-server-side-encryption",
                                                    "x-amz-server-side-encryption-aws-kms-key-id",
                                                    "x-amz-object-lock-mode",
                                                    "x-amz-object-lock-retain-until-date",
                                                    "x-amz-object-lock-legal-hold",
                                                    "x-amz-missing-meta"};

bool IsKept(std::string_view name) {
  constexpr std::string_view kUser = "x-amz-meta-";
  if (name.size() > kUser.size() && http1::EqualsIgnoreCase(name.substr(0, kUser.size()), kUser))
    return true;
  return std::any_of(kKept.begin(), kKept.end(),
                     [&](std::string_view kept) { return http1::EqualsIgnoreCase(name, kept); });
}

struct Override {
  std::string_view parameter;
  std::string_view header;
};
constexpr std::array<Override, 6> kOverrides = {{
    {"response-content-type", "Content-Type"},
    {"response-cache-control", "Cache-Control"},
    {"response-content-disposition", "Content-Disposition"},
    {"response-content-encoding", "Content-Encoding"},
    {"response-content-language", "Content-Language"},
    {"response-expires", "Expires"},
}};

void AppendLine(std::string* out, std::string_view name, std::string_view value) {
  out->append(name);
  out->append(": ");
  out->append(value);
  out->append("\r\n");
}

void AppendVersion(std::string* out, const store::ObjectMeta& meta) {
  AppendLine(out, "ETag", meta.etag);
  if (!meta.last_modified.empty()) AppendLine(out, "Last-Modified", meta.last_modified);
  if (!meta.version_id.empty()) AppendLine(out, "x-amz-version-id", meta.version_id);
}

}  // namespace

base::StatusOr<store::ObjectMeta> MetaFromHead(const http1::Headers& headers, std::uint64_t size) {
  using http1::HeaderId;
  store::ObjectMeta meta;
  meta.etag = headers.Get(HeaderId::kEtag);
  if (meta.etag.empty()) return base::FailedPrecondition("the origin gave no ETag");
  if (headers.Has(HeaderId::kAmzSseCustomerAlgorithm))
    return base::FailedPrecondition("encrypted under a customer's key");
  if (size > store::kMaxObjectBytes) return base::FailedPrecondition("too large to be cached");
  meta.size = size;
  meta.version_id = headers.Get(HeaderId::kAmzVersionId);
  meta.last_modified = headers.Get(HeaderId::kLastModified);
  std::size_t bytes = meta.etag.size() + meta.version_id.size() + meta.last_modified.size();
  for (const http1::Header& line : headers) {
    if (!IsKept(line.name)) continue;
    bytes += line.name.size() + line.value.size() + 8;
    meta.headers.emplace_back(line.name, line.value);
  }
  if (bytes > store::kMaxMetadataBytes)
    return base::FailedPrecondition("its metadata is too long to be cached");
  meta.rendered = RenderMeta(meta);
  return meta;
}

std::string RenderMeta(const store::ObjectMeta& meta) {
  std::string out;
  AppendVersion(&out, meta);
  for (const auto& [name, value] : meta.headers) AppendLine(&out, name, value);
  return out;
}

bool HasOverrides(const s3::Query& query) {
  return std::any_of(query.begin(), query.end(), [](const s3::QueryParam& parameter) {
    return parameter.name.starts_with("response-");
  });
}

std::string RenderMetaWithOverrides(const store::ObjectMeta& meta, const s3::Query& query) {
  std::string out;
  AppendVersion(&out, meta);
  std::array<bool, kOverrides.size()> replaced{};
  for (std::size_t i = 0; i < kOverrides.size(); ++i) {
    const s3::QueryParam* parameter = query.Find(kOverrides[i].parameter);
    if (parameter == nullptr) continue;
    std::array<char, 2048> buffer;
    const auto value = s3::Decode(parameter->value, s3::UriPart::kQuery, buffer);
    // A value that could end the line is dropped, not sent.
    if (!value || value->find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
      continue;
    replaced[i] = true;
    AppendLine(&out, kOverrides[i].header, *value);
  }
  for (const auto& [name, value] : meta.headers) {
    bool skip = false;
    for (std::size_t i = 0; i < kOverrides.size(); ++i)
      skip = skip || (replaced[i] && http1::EqualsIgnoreCase(name, kOverrides[i].header));
    if (!skip) AppendLine(&out, name, value);
  }
  return out;
}

std::string ChecksumLines(const http1::Headers& headers) {
  constexpr std::string_view kPrefix = "x-amz-checksum-";
  std::string out;
  for (const http1::Header& line : headers) {
    if (line.name.size() > kPrefix.size() &&
        http1::EqualsIgnoreCase(line.name.substr(0, kPrefix.size()), kPrefix))
      AppendLine(&out, line.name, line.value);
  }
  return out.size() <= kMaxChecksumBytes ? out : std::string();
}

s3::ObjectFacts FactsOf(const store::ObjectMeta& meta) {
  s3::ObjectFacts facts{.etag = meta.etag, .last_modified = {}};
  if (const auto time = http1::ParseHttpDate(meta.last_modified)) facts.last_modified = *time;
  return facts;
}

}  // namespace sluice::serve
