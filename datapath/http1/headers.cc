#include "datapath/http1/headers.h"

#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace sluice::http1 {
namespace {

constexpr std::array<std::string_view, kKnownHeaders> kNames = {
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "expect",
    "date",
    "authorization",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "content-type",
    "content-encoding",
    "content-range",
    "content-md5",
    "etag",
    "last-modified",
    "retry-after",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-copy-source",
    "x-amz-version-id",
    "x-amz-checksum-mode",
    "x-amz-request-id",
    "x-amz-server-side-encryption-customer-algorithm",
};

constexpr std::size_t kSlots = 256;

constexpr std::uint32_t Slot(std::string_view name, std::uint32_t seed) {
  const std::size_t n = name.size();
  const auto at = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(name[i]) | 0x20u);
  };
  std::uint32_t h = static_cast<std::uint32_t>(n) * 0x9E3779B1u + seed;
  h = (h ^ at(0)) * 0x85EBCA6Bu;
  h = (h ^ at(n / 2)) * 0xC2B2AE35u;
  h = (h ^ at(n - 1)) * 0x27D4EB2Fu;
  return h >> 24;
}

struct Table {
  std::uint32_t seed = 0;
  bool perfect = false;
  std::array<HeaderId, kSlots> ids{};
};

// Tries seeds until no two known names share a slot; at compile time.
constexpr Table MakeTable() {
  Table table;
  for (std::uint32_t seed = 1; seed < 4096 && !table.perfect; ++seed) {
    table.seed = seed;
    table.perfect = true;
    table.ids.fill(HeaderId::kOther);
    for (std::size_t i = 0; i < kKnownHeaders && table.perfect; ++i) {
      HeaderId& slot = table.ids[Slot(kNames[i], seed)];
      table.perfect = slot == HeaderId::kOther;
      slot = static_cast<HeaderId>(i);
    }
  }
  return table;
}
constexpr Table kTable = MakeTable();
static_assert(kTable.perfect, "no seed separates the known header names");

constexpr std::array<bool, 256> MakeTokenChars() {
  std::array<bool, 256> ok{};
  for (int c = '0'; c <= '9'; ++c) ok[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) ok[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) ok[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) ok[static_cast<unsigned char>(c)] = true;
  return ok;
}
constexpr std::array<bool, 256> kTokenChars = MakeTokenChars();

template <typename Word>
Word Load(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Eight characters at once, letters without regard to case.
bool SameWord(std::uint64_t left, std::uint64_t right) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  const std::uint64_t differ = left ^ right;
  if (differ == 0) return true;
  // They may differ in the case bit only, and only where it makes a letter of both.
  if ((differ & ~(0x20 * kOnes)) != 0) return false;
  const std::uint64_t lower = (left | 0x20 * kOnes) & 0x7f * kOnes;  // no sum carries over
  const std::uint64_t from_a = lower + (0x80 - 'a') * kOnes;
  const std::uint64_t after_z = lower + (0x80 - 'z' - 1) * kOnes;
  const std::uint64_t letters = from_a & ~after_z & ~left & 0x80 * kOnes;
  return (differ & ~(letters >> 2)) == 0;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// First byte in [from, end) that a field value may not hold: controls other than tab, and DEL.
// CR and LF are among them, so this also finds the end of the line.
const char* FindControl(const char* from, const char* end) {
#ifdef __SSE2__
  const __m128i below = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - from >= 16; from += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, below), bytes);
    const __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const int mask = _mm_movemask_epi8(bad);
    if (mask != 0) return from + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  for (; from < end; ++from) {
    const auto c = static_cast<unsigned char>(*from);
    if ((c < 0x20 && c != '\t') || c == 0x7f) return from;
  }
  return end;
}

// The first ':' in [from, end), or `end`.
const char* FindColon(const char* from, const char* end) {
#ifdef __SSE2__
  const __m128i colon = _mm_set1_epi8(':');
  for (; end - from >= 16; from += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, colon));
    if (mask != 0) return from + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  while (from < end && *from != ':') ++from;
  return from;
}

bool IsToken(std::string_view text) {
  for (const char c : text)
    if (!kTokenChars[static_cast<unsigned char>(c)]) return false;
  return true;
}

}  // namespace

HeaderId LookUpHeaderId(std::string_view name) {
  if (name.empty()) return HeaderId::kOther;
  const HeaderId id = kTable.ids[Slot(name, kTable.seed)];
  if (id == HeaderId::kOther) return id;
  return EqualsIgnoreCase(name, kNames[static_cast<std::size_t>(id)]) ? id : HeaderId::kOther;
}

std::string_view HeaderName(HeaderId id) {
  return id == HeaderId::kOther ? std::string_view() : kNames[static_cast<std::size_t>(id)];
}

std::optional<std::string_view> Headers::Find(std::string_view name) const {
  for (const Header& line : *this) {
    if (EqualsIgnoreCase(line.name, name)) return line.value;
  }
  return std::nullopt;
}

bool Headers::Add(std::string_view name, std::string_view value) {
  return AddKnown(LookUpHeaderId(name), name, value);
}

bool Headers::AddKnown(HeaderId id, std::string_view name, std::string_view value) {
  if (count_ == kMaxHeaders) return false;
  lines_[count_++] = Header{name, value, id};
  std::uint8_t& first = first_[static_cast<std::size_t>(id)];
  if (id == HeaderId::kOther) return true;
  if (first != 0) repeated_ |= std::uint64_t{1} << static_cast<unsigned>(id);
  if (first == 0) first = static_cast<std::uint8_t>(count_);
  return true;
}

namespace internal {

bool SameLetters(const char* a, const char* b, std::size_t size) {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    if (!SameWord(Load<std::uint64_t>(a + i), Load<std::uint64_t>(b + i))) return false;
  }
  if (i == size) return true;
  // The rest, overlapping what was compared before.
  if (size >= 8)
    return SameWord(Load<std::uint64_t>(a + size - 8), Load<std::uint64_t>(b + size - 8));
  if (size >= 4) {
    return SameWord(Load<std::uint32_t>(a), Load<std::uint32_t>(b)) &&
           SameWord(Load<std::uint32_t>(a + size - 4), Load<std::uint32_t>(b + size - 4));
  }
  for (; i < size; ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

bool IsTokenChar(char c) { return kTokenChars[static_cast<unsigned char>(c)]; }

BlockResult ParseHeaderBlock(std::string_view head, std::size_t* pos, Headers* headers,
                             HeadError* error) {
  const auto fail = [error](int status, const char* why) {
    *error = {status, why};
    return BlockResult::kError;
  };
  const char* at = head.data() + *pos;
  const char* const end = head.data() + head.size();
  for (;;) {
    if (at == end) return BlockResult::kIncomplete;
    if (*at == '\r') {
      if (end - at < 2) return BlockResult::kIncomplete;
      if (at[1] != '\n') return fail(400, "bare CR in the head");
      *pos = static_cast<std::size_t>(at + 2 - head.data());
      return BlockResult::kDone;
    }
    if (*at == ' ' || *at == '\t') return fail(400, "folded header line");
    const char* const name = at;
    at = FindColon(at, end);
    const std::size_t name_size = static_cast<std::size_t>(at - name);
    // A known name is a token; others are looked at letter by letter.
    const HeaderId id =
        at == end ? HeaderId::kOther : LookUpHeaderId(std::string_view(name, name_size));
    if (id == HeaderId::kOther) {
      if (!IsToken({name, name_size}) || (at < end && name_size == 0))
        return fail(400, "malformed header name");
      if (at == end) return BlockResult::kIncomplete;
    }
    ++at;
    while (at < end && (*at == ' ' || *at == '\t')) ++at;
    const char* const value = at;
    at = FindControl(at, end);
    if (end - at < 2) {
      if (at == end || *at == '\r') return BlockResult::kIncomplete;
    }
    if (*at != '\r') return fail(400, "control character in a header");
    if (at[1] != '\n') return fail(400, "bare CR in the head");
    const char* last = at;
    while (last > value && (last[-1] == ' ' || last[-1] == '\t')) --last;
    if (!headers->AddKnown(id, {name, name_size}, {value, static_cast<std::size_t>(last - value)}))
      return fail(431, "too many header lines");
    at += 2;
  }
}

bool FindHeadEnd(std::string_view buffered, std::size_t* scanned) {
  std::size_t at = *scanned;
  while (at < buffered.size()) {
    const void* found = std::memchr(buffered.data() + at, '\n', buffered.size() - at);
    if (found == nullptr) break;
    const std::size_t lf =
        static_cast<std::size_t>(static_cast<const char*>(found) - buffered.data());
    if (buffered.size() - lf < 3) {  // what follows the line is not here yet: look again from it
      if (buffered.size() - lf == 1 || buffered[lf + 1] == '\r') {
        *scanned = lf;
        return false;
      }
    } else if (buffered[lf + 1] == '\r' && buffered[lf + 2] == '\n') {
      *scanned = lf;
      return true;
    }
    at = lf + 1;
  }
  *scanned = buffered.size();
  return false;
}

HeadError ReadFraming(const Headers& headers, int minor_version, Framing* framing) {
  const bool has_length = headers.Has(HeaderId::kContentLength);
  const bool has_encoding = headers.Has(HeaderId::kTransferEncoding);
  if (!has_length && !has_encoding) return {};
  int lengths = 0;
  int encodings = 0;
  for (const Header& line : headers) {
    lengths += line.id == HeaderId::kContentLength;
    encodings += line.id == HeaderId::kTransferEncoding;
  }
  if (has_encoding) {
    if (has_length) return {400, "both Content-Length and Transfer-Encoding"};
    if (minor_version == 0) return {400, "Transfer-Encoding in HTTP/1.0"};
    if (encodings > 1) return {400, "repeated Transfer-Encoding"};
    if (!EqualsIgnoreCase(headers.Get(HeaderId::kTransferEncoding), "chunked"))
      return {501, "unknown transfer coding"};
    framing->kind = BodyKind::kChunked;
    return {};
  }
  if (lengths > 1) return {400, "repeated Content-Length"};
  const std::string_view digits = headers.Get(HeaderId::kContentLength);
  if (digits.empty() || digits.size() > 18) return {400, "malformed Content-Length"};
  std::uint64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return {400, "malformed Content-Length"};
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  framing->kind = BodyKind::kLength;
  framing->length = value;
  return {};
}

ConnectionOptions ReadConnection(const Headers& headers) {
  ConnectionOptions options;
  if (!headers.Has(HeaderId::kConnection)) return options;
  for (const Header& line : headers) {
    if (line.id != HeaderId::kConnection) continue;
    ForEachListElement(line.value, [&options](std::string_view token) {
      options.close |= EqualsIgnoreCase(token, "close");
      options.keep_alive |= EqualsIgnoreCase(token, "keep-alive");
    });
  }
  return options;
}

}  // namespace internal
}  // namespace sluice::http1
