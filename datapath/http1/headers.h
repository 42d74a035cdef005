// The header lines of one message head, as views into the caller's buffer.
//
// Names this product acts on have an id, found while parsing by a perfect hash, so that a lookup is
// one array read. Other names are found by a scan. Nothing here allocates.
//
// Thread rule: a value owned by one thread. The views live as long as the parsed buffer stays put.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "datapath/http1/limits.h"

namespace sluice::http1 {

enum class HeaderId : std::uint8_t {
  kHost,
  kConnection,
  kContentLength,
  kTransferEncoding,
  kExpect,
  kDate,
  kAuthorization,
  kRange,
  kIfMatch,
  kIfNoneMatch,
  kIfModifiedSince,
  kIfUnmodifiedSince,
  kIfRange,
  kContentType,
  kContentEncoding,
  kContentRange,
  kContentMd5,
  kEtag,
  kLastModified,
  kRetryAfter,
  kAmzDate,
  kAmzContentSha256,
  kAmzSecurityToken,
  kAmzDecodedContentLength,
  kAmzTrailer,
  kAmzCopySource,
  kAmzVersionId,
  kAmzChecksumMode,
  kAmzRequestId,
  kAmzSseCustomerAlgorithm,
  kOther,  // no id
};
inline constexpr std::size_t kKnownHeaders = static_cast<std::size_t>(HeaderId::kOther);

struct Header {
  std::string_view name;   // as sent
  std::string_view value;  // without surrounding blanks
  HeaderId id;
};

namespace internal {
bool SameLetters(const char* a, const char* b, std::size_t size);
}
// ASCII only, as HTTP compares names. Lengths differ most of the time, so they are compared inline.
inline bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && internal::SameLetters(a.data(), b.data(), a.size());
}
// The id of `name`, or kOther.
HeaderId LookUpHeaderId(std::string_view name);
// Lower case name of an id; empty for kOther.
std::string_view HeaderName(HeaderId id);
// Calls visit(token) for each non-empty element of a comma-separated list, blanks trimmed.
template <typename Visit>
void ForEachListElement(std::string_view list, Visit visit);

class Headers {
 public:
  std::size_t size() const { return count_; }
  const Header& operator[](std::size_t i) const { return lines_[i]; }
  const Header* begin() const { return lines_.data(); }
  const Header* end() const { return lines_.data() + count_; }

  // The first line with this id; nullptr when there is none.
  const Header* Line(HeaderId id) const {
    const std::uint8_t at = first_[static_cast<std::size_t>(id)];
    return at == 0 ? nullptr : &lines_[at - 1];
  }
  // Its value; an empty view when there is none.
  std::string_view Get(HeaderId id) const {
    const Header* line = Line(id);
    return line == nullptr ? std::string_view() : line->value;
  }
  bool Has(HeaderId id) const { return first_[static_cast<std::size_t>(id)] != 0; }
  // Some known name stands on more than one line.
  bool repeats() const { return repeated_ != 0; }
  bool Repeats(HeaderId id) const { return (repeated_ >> static_cast<unsigned>(id) & 1) != 0; }
  // The first line of any name, compared without case. A scan.
  std::optional<std::string_view> Find(std::string_view name) const;

  void Clear() {
    count_ = 0;
    repeated_ = 0;
    first_.fill(0);
  }
  // Keeps one line; false when kMaxHeaders are kept already.
  bool Add(std::string_view name, std::string_view value);
  // The same when LookUpHeaderId(name) is known to be `id`.
  bool AddKnown(HeaderId id, std::string_view name, std::string_view value);

 private:
  static_assert(kMaxHeaders < 255);
  static_assert(kKnownHeaders < 64);
  std::uint32_t count_ = 0;
  std::uint64_t repeated_ = 0;                           // by id, but for kOther
  std::array<std::uint8_t, kKnownHeaders + 1> first_{};  // place of the first line + 1; 0: none
  std::array<Header, kMaxHeaders> lines_;                // [0, count_) are set
};

// Why a head was refused.
struct HeadError {
  int http_status = 0;        // 400, 413, 417, 431, 501, 505 ...; 0: no error
  const char* why = nullptr;  // a constant phrase for the log and the error body
  explicit operator bool() const { return http_status != 0; }
};

// How the body that follows a head is framed.
enum class BodyKind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

namespace internal {
// Parses header lines from *pos up to and with the empty line, which must be in `head`.
// On success *pos stands behind the empty line. kIncomplete when `head` ends first.
enum class BlockResult : std::uint8_t { kDone, kIncomplete, kError };
BlockResult ParseHeaderBlock(std::string_view head, std::size_t* pos, Headers* headers,
                             HeadError* error);
// Looks for the end of a head from *scanned on (kept by the caller between calls); true when found.
bool FindHeadEnd(std::string_view buffered, std::size_t* scanned);
struct Framing {
  BodyKind kind = BodyKind::kNone;
  std::uint64_t length = 0;
};
// Content-Length and Transfer-Encoding by the strict rules: one of them, once, well formed.
HeadError ReadFraming(const Headers& headers, int minor_version, Framing* framing);
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
};
ConnectionOptions ReadConnection(const Headers& headers);
bool IsTokenChar(char c);
}  // namespace internal

template <typename Visit>
void ForEachListElement(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view element = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    while (!element.empty() && (element.front() == ' ' || element.front() == '\t'))
      element.remove_prefix(1);
    while (!element.empty() && (element.back() == ' ' || element.back() == '\t'))
      element.remove_suffix(1);
    if (!element.empty()) visit(element);
  }
}

}  // namespace sluice::http1
