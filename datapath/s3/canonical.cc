#include "datapath/s3/canonical.h"

#include <cstring>

#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace {

using http1::Header;

class SpanSink {
 public:
  SpanSink(char* at, std::size_t room) : begin_(at), at_(at), end_(at + room) {}
  void Put(std::string_view text) {
    if (static_cast<std::size_t>(end_ - at_) < text.size())
      return;  // room is three times the query
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  std::string_view Take() {
    const std::string_view made(begin_, static_cast<std::size_t>(at_ - begin_));
    begin_ = at_;
    return made;
  }

 private:
  char* begin_;
  char* at_;
  char* end_;
};

template <typename Sink>
void PutParam(const QueryParam& param, bool first, Sink* sink) {
  if (!first) sink->Put("&");
  sink->Put(param.name);
  sink->Put("=");
  sink->Put(param.value);
}

// Sorted by encoded name, then by encoded value, each as bytes.
template <typename Sink>
void PutCanonicalQuery(const Query& query, bool presigned, Sink* sink) {
  std::array<QueryParam, kMaxQueryParams> sorted;
  std::array<char, 3 * http1::kMaxHeadBytes> room;  // touched only as far as it is used
  SpanSink encoded(room.data(), room.size());
  const auto canonical = [&encoded](std::string_view raw) {
    if (IsCanonical(raw, UriPart::kQuery)) return raw;
    PutCanonical(raw, UriPart::kQuery, encoded);  // escapes were checked by Query::Parse
    return encoded.Take();
  };
  std::size_t count = 0;
  for (const QueryParam& param : query) {
    if (presigned && EqualsDecoded(param.name, "X-Amz-Signature")) continue;
    const QueryParam made{canonical(param.name), canonical(param.value)};
    std::size_t at = count++;
    for (; at > 0; --at) {
      const QueryParam& before = sorted[at - 1];
      const int order = before.name.compare(made.name);
      if (order < 0 || (order == 0 && before.value <= made.value)) break;
      sorted[at] = before;
    }
    sorted[at] = made;
  }
  for (std::size_t i = 0; i < count; ++i) PutParam(sorted[i], i == 0, sink);
}

// Trimmed already by the parser; inner runs of blanks become one.
template <typename Sink>
void PutFolded(std::string_view value, Sink* sink) {
  if (value.find(' ') == std::string_view::npos && value.find('\t') == std::string_view::npos)
    return sink->Put(value);
  std::size_t run = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const bool blank = value[i] == ' ' || value[i] == '\t';
    if (!blank ||
        (value[i] == ' ' && i + 1 < value.size() && value[i + 1] != ' ' && value[i + 1] != '\t'))
      continue;
    sink->Put(value.substr(run, i - run));
    while (i + 1 < value.size() && (value[i + 1] == ' ' || value[i + 1] == '\t')) ++i;
    sink->Put(" ");
    run = i + 1;
  }
  sink->Put(value.substr(run));
}

bool IsAmzHeader(std::string_view name) {
  return name.size() > 6 && http1::EqualsIgnoreCase(name.substr(0, 6), "x-amz-");
}

template <typename Sink>
Error PutCanonicalHeaders(const http1::Headers& headers, std::string_view names, Sink* sink) {
  std::bitset<http1::kMaxHeaders> is_signed;
  bool host = false;
  while (!names.empty()) {
    const std::size_t end = names.find(';');
    const std::string_view name = names.substr(0, end);
    names.remove_prefix(end == std::string_view::npos ? names.size() : end + 1);
    host |= name == "host";
    sink->Put(name);
    bool found = false;
    for (std::size_t i = 0; i < headers.size(); ++i) {
      if (headers[i].name.size() != name.size() || !http1::EqualsIgnoreCase(headers[i].name, name))
        continue;
      sink->Put(found ? "," : ":");
      PutFolded(headers[i].value, sink);
      is_signed.set(i);
      found = true;
    }
    if (!found) return {ErrorCode::kSignatureDoesNotMatch, "A signed header was not received."};
    sink->Put("\n");
  }
  if (!host) return {ErrorCode::kAccessDenied, "The Host header must be signed."};
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (!is_signed[i] && IsAmzHeader(headers[i].name)) {
      return {ErrorCode::kAccessDenied,
              "There were x-amz-* headers present in the request which were not signed"};
    }
  }
  return {};
}

template <typename Sink>
Error PutBeforeHeaders(const http1::Request& request, const Query& query, const Auth& auth,
                       Sink* sink) {
  sink->Put(request.method_text);
  sink->Put("\n");
  if (!PutCanonical(request.path, UriPart::kPath, *sink)) return {ErrorCode::kInvalidUri, {}};
  sink->Put("\n");
  if (!query.empty()) PutCanonicalQuery(query, auth.kind == AuthKind::kPresigned, sink);
  sink->Put("\n");
  return {};
}

template <typename Sink>
void PutBehindHeaders(const Auth& auth, Sink* sink) {
  sink->Put("\n");
  sink->Put(auth.signed_headers);
  sink->Put("\n");
  sink->Put(auth.payload_hash);
}

template <typename Sink>
Error PutRequest(const http1::Request& request, const Query& query, const Auth& auth, Sink* sink) {
  if (Error error = PutBeforeHeaders(request, query, auth, sink)) return error;
  if (Error error = PutCanonicalHeaders(request.headers, auth.signed_headers, sink)) return error;
  PutBehindHeaders(auth, sink);
  return {};
}

}  // namespace

bool PutKnownRequest(const http1::Request& request, const Query& query, const Auth& auth,
                     std::span<const http1::HeaderId> names, HashSink* sink) {
  const http1::Headers& headers = request.headers;
  if (headers.repeats()) return false;
  if (PutBeforeHeaders(request, query, auth, sink)) return false;
  std::uint64_t is_signed = 0;
  for (const http1::HeaderId id : names) {
    const Header* const line = headers.Line(id);
    if (line == nullptr) return false;
    sink->Put(http1::HeaderName(id));
    sink->Put(":");
    // These hold no blanks: the parser and the reader of the claim saw to it.
    if (id == http1::HeaderId::kHost || id == http1::HeaderId::kAmzDate ||
        id == http1::HeaderId::kAmzContentSha256) {
      sink->Put(line->value);
    } else {
      PutFolded(line->value, sink);
    }
    sink->Put("\n");
    is_signed |= std::uint64_t{1} << static_cast<unsigned>(id);
  }
  for (const Header& line : headers) {
    if ((line.name[0] | 0x20) != 'x' || !IsAmzHeader(line.name)) continue;
    if ((is_signed >> static_cast<unsigned>(line.id) & 1) == 0) return false;
  }
  PutBehindHeaders(auth, sink);
  return true;
}

// The hasher gets whole blocks only: what FinishInPlace asks for.
void HashSink::PutLong(std::string_view text) {
  static_assert(kBufferBytes % 64 == 0);
  while (text.size() > kBufferBytes - size_) {
    const std::size_t room = kBufferBytes - size_;
    std::memcpy(buffer_.data() + size_, text.data(), room);
    text.remove_prefix(room);
    hasher_.Update({buffer_.data(), kBufferBytes});
    size_ = 0;
  }
  Put(text);
}

void PutHeaderValue(std::string_view value, HashSink* sink) { PutFolded(value, sink); }

Error PutCanonicalRequest(const http1::Request& request, const Query& query, const Auth& auth,
                          HashSink* sink) {
  return PutRequest(request, query, auth, sink);
}

Error PutCanonicalRequest(const http1::Request& request, const Query& query, const Auth& auth,
                          StringSink* sink) {
  return PutRequest(request, query, auth, sink);
}

}  // namespace sluice::s3
