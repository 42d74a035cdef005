#include "datapath/s3/sign.h"

#include <algorithm>

#include "controller/base/check.h"
#include "datapath/http1/date.h"
#include "datapath/http1/writer.h"
#include "datapath/s3/canonical.h"
#include "datapath/s3/sigv4_verify.h"
#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace {

// Fixed room for the headers of one request, sorted by name as the canonical form wants them.
struct SortedHeaders {
  std::array<OutgoingHeader, kMaxOutgoingHeaders + 4> list;
  std::size_t count = 0;
  void Add(OutgoingHeader header) {
    while (!header.value.empty() && header.value.front() == ' ') header.value.remove_prefix(1);
    while (!header.value.empty() && header.value.back() == ' ') header.value.remove_suffix(1);
    std::size_t at = count++;
    for (; at > 0 && list[at - 1].name > header.name; --at) list[at] = list[at - 1];
    list[at] = header;
  }
};

base::Sha256Digest HashCanonical(const OutgoingRequest& request, const SortedHeaders& headers) {
  HashSink sink;
  sink.Put(request.method);
  sink.Put("\n");
  sink.Put(request.path);
  sink.Put("\n");
  sink.Put(request.query);
  sink.Put("\n");
  for (std::size_t i = 0; i < headers.count; ++i) {
    sink.Put(headers.list[i].name);
    sink.Put(":");
    PutHeaderValue(headers.list[i].value, &sink);
    sink.Put("\n");
  }
  sink.Put("\n");
  for (std::size_t i = 0; i < headers.count; ++i) {
    if (i > 0) sink.Put(";");
    sink.Put(headers.list[i].name);
  }
  sink.Put("\n");
  sink.Put(request.payload_hash);
  return sink.Finish();
}

}  // namespace

std::string_view WriteSignedHead(const OutgoingRequest& request,
                                 const OriginCredentials& credentials, base::WallTime now,
                                 SigningKeyCache* keys, std::span<char> out) {
  if (request.headers.size() > kMaxOutgoingHeaders) return {};
  std::array<char, http1::kBasicDateBytes> timestamp;
  http1::FormatBasicDate(now, timestamp);
  const std::string_view time(timestamp.data(), timestamp.size());

  SortedHeaders headers;
  headers.Add({"host", request.host});
  headers.Add({"x-amz-content-sha256", request.payload_hash});
  headers.Add({"x-amz-date", time});
  if (!credentials.session_token.empty())
    headers.Add({"x-amz-security-token", credentials.session_token});
  for (const OutgoingHeader& header : request.headers) headers.Add(header);

  std::array<char, kMaxCredentialBytes> scope_buffer;
  const std::string_view suffix = "/s3/aws4_request";
  if (credentials.region.size() + 9 + suffix.size() > scope_buffer.size()) return {};
  char* at = std::copy_n(time.data(), 8, scope_buffer.data());
  *at++ = '/';
  at = std::copy(credentials.region.begin(), credentials.region.end(), at);
  at = std::copy(suffix.begin(), suffix.end(), at);
  const std::string_view scope(scope_buffer.data(),
                               static_cast<std::size_t>(at - scope_buffer.data()));

  const SigningKey& key =
      keys->Get(credentials.secret_access_key, time.substr(0, 8), credentials.region);
  HexDigest hex;
  const std::string_view signature =
      SignCanonicalHash(key, time, scope, HashCanonical(request, headers), &hex);

  http1::HeadWriter head(out);
  head.RequestLine(request.method, request.path, request.query);
  for (std::size_t i = 0; i < headers.count; ++i)
    head.Header(headers.list[i].name, headers.list[i].value);
  if (request.content_length) head.Header("content-length", *request.content_length);
  head.Raw("authorization: AWS4-HMAC-SHA256 Credential=");
  head.Raw(credentials.access_key_id);
  head.Raw("/");
  head.Raw(scope);
  head.Raw(",SignedHeaders=");
  for (std::size_t i = 0; i < headers.count; ++i) {
    if (i > 0) head.Raw(";");
    head.Raw(headers.list[i].name);
  }
  head.Raw(",Signature=");
  head.Raw(signature);
  head.Raw("\r\n");
  return head.Finish();
}

namespace {
struct Appender {
  std::string* text;
  void Put(std::string_view more) { text->append(more); }
};
std::string Encoded(std::string_view bytes) {
  std::string room(bytes.size() * 3, '\0');
  return std::string(*Encode(bytes, UriPart::kQuery, room));
}
}  // namespace

void QueryBuilder::Add(std::string_view name, std::string_view value) {
  params_.emplace_back(Encoded(name), Encoded(value));
}

void QueryBuilder::AddRaw(std::string_view name, std::string_view raw_value) {
  std::string value;
  Appender appender{&value};
  if (!PutCanonical(raw_value, UriPart::kQuery, appender)) value = Encoded(raw_value);
  params_.emplace_back(Encoded(name), std::move(value));
}

std::string QueryBuilder::Build() const {
  std::vector<std::pair<std::string, std::string>> sorted = params_;
  std::sort(sorted.begin(), sorted.end());
  std::string out;
  for (const auto& [name, value] : sorted) {
    if (!out.empty()) out += '&';
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

}  // namespace sluice::s3
